"""Packages that some speech upstreams run in and that are extras: found, or told how to get them.

Imports none of them, so that a missing one is told in a fraction of a second.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data_modules.errors import ConfigError, ModelError


@dataclass(frozen=True)
class Extra:
    """What a speech upstream needs beyond the dependencies of sermm.

    Attributes:
        package: What it imports.
        title: What people call it, with what its licence restricts.
        name: Of the extra in sermm's own package.
    """

    package: str
    title: str
    name: str


EXTRAS: Mapping[str, Extra] = {
    "opensmile": Extra(
        "opensmile", "openSMILE (licensed for research and private use alone)", "opensmile"
    ),
    "tflite": Extra("ai_edge_litert", "LiteRT, which runs TensorFlow Lite files", "encoders"),
    "tensorboard": Extra("tensorboard", "TensorBoard", "tensorboard"),
    "dashboard": Extra("wandb_workspaces", "W&B's workspaces as code", "dashboard"),
    "onnx": Extra("onnxruntime", "ONNX Runtime", "encoders"),
}
"""By ``model.speech.upstream``."""
ENCODER_FILES = ("tflite", "onnx")
"""Upstreams that run an encoder from one file, ``model.speech.name``."""


def expect_extra(name: str, where: str = "") -> None:
    """Make sure that the extra of an upstream or of a function, if it needs one, is installed.

    Args:
        name: Of the upstream or function.
        where: What asked for it; empty for an upstream.

    Raises:
        ModelError: It is not.
    """
    extra = EXTRAS.get(name)
    if extra is None or importlib.util.find_spec(extra.package) is not None:
        return
    raise ModelError(
        where or f"model.speech.upstream={name}",
        expected=extra.title,
        got=f"no package {extra.package}",
        fix=f"install it with `pip install sermm[{extra.name}]`, or "
        + ("do without" if where else "choose another upstream"),
    )


def expect_file(upstream: str, file: str) -> None:
    """Make sure that an upstream that reads an encoder's file has one.

    Raises:
        ConfigError: No file is named, or there is none.
    """
    if upstream not in ENCODER_FILES or Path(file).is_file():
        return
    raise ConfigError(
        "model.speech.name",
        expected=f"the .{upstream} file of an encoder",
        got=f"{file}, no file" if file else "nothing",
        fix="state it as model.speech.name=PATH",
    )
