"""``sermm export``: what is asked is checked, the folder is written, and sent if that is asked."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import typer

from data_modules.errors import ConfigError, RunFailedError
from sermm.predict.source import find_model
from sermm.terminal import say

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.\-]*/[A-Za-z0-9][\w.\-]*")


def export_run(
    run: str,
    folder: Path,
    *,
    fold: int | None,
    seed: int | None,
    onnx: bool,
    with_upstream: bool,
    licence: str,
    push: str,
    public: bool,
    yes: bool,
) -> None:
    """Write the folder and tell what is in it.

    Raises:
        SermmError: What is asked is wrong, or the model cannot be exported.
        RunFailedError: The hub did not take it; the folder is there.
    """
    source = find_model(run, fold=fold, seed=seed)
    if push:
        _expect_pushable(push, public=public, yes=yes)
    from sermm.export.folder import ExportOptions, export_model

    options = ExportOptions(onnx=onnx, with_upstream=with_upstream, licence=licence)
    done = export_model(source, folder, options, say=say)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    say(f"{folder}: {size / 1e6:.1f} MB; read its README.md before you hand it on")
    for note in done.notes:
        say(note, style="yellow")
    if done.onnx_gap is not None:
        say(f"ONNX: largest difference from torch {done.onnx_gap:.1e}")
    if push:
        say(f"sent: {push_folder(folder, push, private=not public)}")


def _expect_pushable(name: str, *, public: bool, yes: bool) -> None:
    if not _HUB_ID.fullmatch(name):
        raise ConfigError(
            "--push", expected="owner/name on the hub", got=repr(name), fix="correct it"
        )
    if yes:
        return
    if not (sys.stdin and sys.stdin.isatty()):
        raise ConfigError(
            "--push",
            expected="--yes, since weights and numbers leave this machine",
            got="no terminal to ask at",
            fix="add --yes",
        )
    seen = "everybody sees" if public else "only its owner sees"
    if not typer.confirm(f"Send the model to {name}, which {seen}?"):
        raise ConfigError("--push", expected="yes", got="no", fix="leave --push away")


def push_folder(folder: Path, name: str, *, private: bool) -> str:
    """Send an export to the Hugging Face hub and return its address.

    Raises:
        RunFailedError: The hub refuses it or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        api.create_repo(name, private=private, exist_ok=True)
        sent = api.upload_folder(
            repo_id=name, folder_path=folder, commit_message="Model exported by sermm"
        )
    except Exception as error:
        # the hub's errors have no common type; each says in its first line what it minds
        raise RunFailedError(
            f"--push {name}",
            expected="a hub that takes the folder",
            got=f"{type(error).__name__}: {error}".splitlines()[0],
            fix=f"log in with `hf auth login`; the export is in {folder}",
        ) from error
    return str(sent)
