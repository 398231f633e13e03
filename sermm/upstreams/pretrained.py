"""Loading an encoder of transformers so that what runs is what was stored, or nothing runs.

Weights in float32 (a half-precision checkpoint would otherwise fine-tune in half), from
safetensors or, where there are none, from ``.bin`` files that are not unpickled; no weight of the
encoder missing or left over, since transformers fills gaps with random numbers in silence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from data_modules.errors import ModelError
from data_modules.pretrained import find_checkpoint, quiet_transformers

# By their full names: some repositories hold thousands of adapters and a second copy of the weights
WEIGHT_FILES = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json")
# what older checkpoints have in place of safetensors
OLD_WEIGHT_FILES = ("pytorch_model.bin", "pytorch_model-*.bin", "pytorch_model.bin.index.json")

# Parts that a checkpoint may lack or have: nothing here reads them.
_UNUSED = frozenset({"pooler", "masked_spec_embed", "adapter", "intermediate_ffn", "decoder"})

# A branch can move on while a process runs: each (id, revision) means one commit in one process.
_COMMITS: dict[tuple[str, str | None], str] = {}


def find_folder(
    name: str, revision: str | None = None, *, settings: Sequence[str], where: str
) -> Path:
    """The folder of a checkpoint, downloaded once if ``name`` is a hub id.

    Args:
        name: A folder or a hub id.
        revision: Branch, tag or commit of a hub id.
        settings: Names of its files beside the weights, ``config.json`` among them.
        where: What the error names.

    Raises:
        ModelError: There is no such folder or model, or no hub to ask.
    """
    known = _COMMITS.get((name, revision), revision)
    folder = find_checkpoint(name, known, patterns=(*settings, *WEIGHT_FILES), where=where)
    if not any(match for pattern in WEIGHT_FILES for match in folder.glob(pattern)):
        folder = find_checkpoint(name, known, patterns=(*settings, *OLD_WEIGHT_FILES), where=where)
    if (commit := commit_of(folder)) is not None:
        _COMMITS[name, revision] = commit
    return folder


def commit_of(folder: Path) -> str | None:
    """Commit of a folder in the hub's cache, which names it so; None for any other folder."""
    return folder.name if folder.parent.name == "snapshots" else None


def load_encoder(model_class: Any, folder: Path, *, where: str, **options: Any) -> Any:
    """A model with the weights of a folder, in evaluation mode.

    Args:
        model_class: With a ``from_pretrained`` as transformers has it.
        folder: From :func:`find_folder`.
        where: What the error names.
        **options: Of ``from_pretrained``.

    Raises:
        ModelError: It cannot be read, or its weights are not those of the encoder.
    """
    with reading(where), quiet_transformers():
        model, info = model_class.from_pretrained(
            str(folder),
            dtype=torch.float32,
            output_loading_info=True,
            weights_only=True,
            local_files_only=True,
            **options,
        )
    _check_keys(model, info["missing_keys"], info["unexpected_keys"], where)
    return model


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Any error becomes one line: damaged files fail anywhere from the parser to the shapes.

    Raises:
        ModelError: In place of the error.
    """
    try:
        yield
    except Exception as error:
        raise ModelError(
            where,
            expected="a checkpoint that transformers can read",
            got=f"{type(error).__name__}: {error}".splitlines()[0],
            fix="give the folder that `save_pretrained` wrote, or download the model again",
        ) from error


def _check_keys(model: Any, missing: Iterable[str], unexpected: Iterable[str], where: str) -> None:
    lacking = [key for key in missing if _part_of(key, model) not in _UNUSED]
    # a head stands beside the encoder; what belongs to a part of the encoder has to fit
    strange = [
        key
        for key in unexpected
        if key.split(".")[0] == model.base_model_prefix or hasattr(model, key.split(".")[0])
        if _part_of(key, model) not in _UNUSED
    ]
    for keys, expected, got in (
        (lacking, "weights for every part of the encoder", "none for"),
        (strange, "no weights beside those of the encoder", "also"),
    ):
        if keys:
            raise ModelError(
                where,
                expected=expected,
                got=f"{got} {', '.join(sorted(keys)[:3])} ({len(keys)} in all)",
                fix="use the checkpoint that belongs to this architecture",
            )


def _part_of(key: str, model: Any) -> str:
    return key.removeprefix(f"{model.base_model_prefix}.").split(".")[0]


def file_digest(folder: Path, patterns: Sequence[str]) -> str:
    """SHA-256 over files of a folder, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def state_digest(model: nn.Module) -> str:
    """SHA-256 over the names, shapes, types and values of a model's state as it is now."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        plain = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(plain.numpy())
    return digest.hexdigest()
