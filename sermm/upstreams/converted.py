"""Reading the fairseq models that s3prl published in a form without fairseq.

``s3prl/converted_ckpts`` on the hub: ``model_cfg`` (a dict, or a Namespace for RoBERTa),
``model_weight`` (tensors by name) and, of RoBERTa, ``text_dictionary``. Nothing in a file is run:
it is read with ``weights_only``, and of classes only ``argparse.Namespace`` is let in.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from data_modules.errors import ModelError
from data_modules.pretrained import find_checkpoint
from sermm.upstreams.pretrained import commit_of

PUBLISHED = "s3prl/converted_ckpts"
"""Hub repository of the converted checkpoints."""

_FIX = f"give the file of the hub repository {PUBLISHED}, or a folder that holds it"
_REFUSED = re.compile(r"(?:GLOBAL|global|class) `?([\w.]+)`?")
# A branch can move on while a process runs: each (id, revision) means one commit in one process.
_COMMITS: dict[tuple[str, str | None], str] = {}


@dataclass(frozen=True)
class Converted:
    """What a converted checkpoint holds.

    Attributes:
        settings: Of the model, by the names of fairseq.
        weights: By the names of fairseq, in half precision where they were trained so.
        dictionary: Lines ``word count`` of RoBERTa's vocabulary; None if there are none.
        where: What errors name.
    """

    settings: dict[str, Any]
    weights: dict[str, Tensor]
    dictionary: str | None
    where: str


def find_file(name: str, revision: str | None, file: str) -> Path:
    """Where a checkpoint is, downloaded once if ``name`` is a hub id.

    Args:
        name: A file under any name, a folder, or a hub id.
        revision: Branch, tag or commit of a hub id.
        file: Published name, looked for in a folder or on the hub.

    Raises:
        ModelError: There is no such file, or no hub to ask.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    where = f"model.speech.name={name}"
    known = _COMMITS.get((name, revision), revision)
    folder = find_checkpoint(name, known, patterns=(file,), where=where)
    if (commit := commit_of(folder)) is not None:
        _COMMITS[name, revision] = commit
    if not (folder / file).is_file():
        raise ModelError(where, expected=f"a file {file}", got="none of this name", fix=_FIX)
    return folder / file


def read_converted(path: Path) -> Converted:
    """The content of a converted checkpoint.

    Raises:
        ModelError: It is no file of this kind, or holds objects that would have to be run.
    """
    where = str(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # from the archive to the tensors, a damaged file fails anywhere
        raise ModelError(
            where, expected="a converted checkpoint", got=_reason(error), fix=_FIX
        ) from error
    parts = found if isinstance(found, dict) else {}
    settings, weights = parts.get("model_cfg"), parts.get("model_weight")
    if isinstance(settings, argparse.Namespace):
        settings = vars(settings)
    if not isinstance(settings, dict) or not isinstance(weights, dict):
        raise ModelError(
            where,
            expected="a converted checkpoint, with model_cfg and model_weight",
            got=", ".join(sorted(map(str, parts))[:5]) or type(found).__name__,
            fix=_FIX,
        )
    strange = [name for name, value in weights.items() if not isinstance(value, Tensor)]
    if strange:
        raise ModelError(
            where, expected="tensors alone in model_weight", got=f"also {strange[0]}", fix=_FIX
        )
    dictionary = parts.get("text_dictionary")
    return Converted(
        {str(key): value for key, value in settings.items()},
        {str(name): value for name, value in weights.items()},
        dictionary if isinstance(dictionary, str) else None,
        where,
    )


def _reason(error: Exception) -> str:
    """One line of what may be a page."""
    if "eights only" in str(error) and (name := _REFUSED.search(str(error))):
        return f"a pickle that asks for {name[1]}, which is not run"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__


def fill(module: nn.Module, weights: Mapping[str, Tensor], *, where: str) -> None:
    """Every weight of a module from those of a checkpoint, and no other; they become float32.

    Args:
        module: Whose state is filled.
        weights: By the module's names.
        where: What the error names.

    Raises:
        ModelError: One is missing, left over or of another shape.
    """
    expected = module.state_dict()
    problems = {
        "none for": [name for name in expected if name not in weights],
        "also": [name for name in weights if name not in expected],
        "other shapes of": [
            f"{name} {tuple(weights[name].shape)} in place of {tuple(value.shape)}"
            for name, value in expected.items()
            if name in weights and weights[name].shape != value.shape
        ],
    }
    for got, names in problems.items():
        if names:
            raise ModelError(
                where,
                expected="weights for exactly the model that its model_cfg describes",
                got=f"{got} {', '.join(names[:3])} ({len(names)} in all)",
                fix=_FIX,
            )
    module.load_state_dict(dict(weights))


def setting(checkpoint: Converted, key: str, default: Any) -> Any:
    """A setting of the type of its default; numbers may be whole.

    Raises:
        ModelError: It is of another type.
    """
    value = checkpoint.settings.get(key, default)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default):
        raise refused(checkpoint, key, f"a {type(default).__name__}")
    return value


def refused(checkpoint: Converted, key: str, expected: str) -> ModelError:
    """The error for a setting that cannot be used."""
    return ModelError(
        f"{checkpoint.where} model_cfg.{key}",
        expected=expected,
        got=repr(checkpoint.settings.get(key))[:80],
        fix=_FIX,
    )


def parse_layers(text: str) -> tuple[tuple[int, int, int], ...]:
    """Convolutions as fairseq writes them: ``[(512, 10, 5)] + [(512, 4, 2)] * 3``.

    It runs such texts as programs; here they are read.

    Returns:
        Channels, kernel and stride of each.

    Raises:
        ValueError: It is anything else.
    """
    try:
        layers = _layers_of(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(text) from error
    for layer in layers:
        fits = isinstance(layer, tuple) and len(layer) == 3
        if not fits or not all(type(number) is int and number > 0 for number in layer):
            raise ValueError(text)
    if not 0 < len(layers) <= 100:
        raise ValueError(text)
    return tuple(layers)


def _layers_of(node: ast.expr) -> Sequence[Any]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_layers_of(node.left), *_layers_of(node.right)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        layers, times = _layers_of(node.left), ast.literal_eval(node.right)
        if type(times) is not int or not 0 < len(layers) * times <= 100:
            raise ValueError(ast.dump(node))
        return [*layers] * times
    value = ast.literal_eval(node)
    if not isinstance(value, list):
        raise ValueError(ast.dump(node))
    return value
