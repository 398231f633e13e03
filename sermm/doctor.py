"""``sermm doctor``: what this machine has and what state things are in."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.table import Table

from data_modules.corpora import CORPORA
from data_modules.errors import DataError
from sermm.terminal import console

_PACKAGES = (
    "sermm",
    "torch",
    "torchaudio",
    "lightning",
    "transformers",
    "torchmetrics",
    "omegaconf",
    "wandb",
    "soundfile",
    "pocketsphinx",
    "espeakng-loader",
)


def examine(cache: Path) -> None:
    """Print versions, hardware, disk, W&B state and prepared corpora.

    Args:
        cache: Folder of manifests and features.
    """
    table = Table("what", "state", show_header=False, box=None)
    table.add_row("python", f"{platform.python_version()} on {platform.platform()}")
    for name in _PACKAGES:
        table.add_row(name, _version(name))
    table.add_row("cores", f"{os.cpu_count()}")
    table.add_row("gpu", _gpus())
    free = shutil.disk_usage(cache if cache.is_dir() else Path()).free
    table.add_row("free disk", f"{free / 2**30:.1f} GiB for {cache}")
    table.add_row("wandb", _wandb())
    for name in CORPORA:
        table.add_row(f"corpus {name}", _corpus(name, cache))
    console.print(table)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _gpus() -> str:
    import torch

    if not torch.cuda.is_available():
        return "none"
    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))


def _wandb() -> str:
    from sermm.tracking import logged_in

    return "logged in" if logged_in() else "not logged in: runs are written offline"


def _corpus(name: str, cache: Path) -> str:
    from data_modules.prepare import load_prepared

    try:
        prepared = load_prepared(CORPORA[name], cache)
    except DataError as error:
        return f"not prepared ({error.got})"
    return f"{len(prepared.utterances)} utterances in {prepared.root}"
