"""Whether a pretrained model can be had, found out without importing torch.

A folder is looked into; a hub id is looked for in the local cache and then, with one short
request, on the hub. Loading itself is left to transformers.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from data_modules.errors import ModelError

_TIMEOUT_S = 5.0
_HUB_ID = r"[\w.\-]+(/[\w.\-]+)?"
# what a folder has to hold: its name for the user, and patterns of which one has to match
_Needed = tuple[tuple[str, tuple[str, ...]], ...]
_CONFIG = ("config.json", ("config.json",))
_WEIGHTS = ("weights (*.safetensors)", ("*.safetensors", "pytorch_model*.bin"))
_TEXT_MODEL: _Needed = (
    _CONFIG,
    ("tokenizer.json", ("tokenizer.json", "vocab.txt", "vocab.json")),
    _WEIGHTS,
)
_EXTRACTOR = ("preprocessor_config.json", ("preprocessor_config.json", "processor_config.json"))
_SPEECH_MODEL: _Needed = (_CONFIG, _EXTRACTOR, _WEIGHTS)
_CTC_MODEL: _Needed = (
    _CONFIG,
    ("vocab.json", ("vocab.json", "tokenizer.json")),
    _EXTRACTOR,
    _WEIGHTS,
)


def check_text_model(name: str, revision: str | None = None) -> None:
    """Look for a text model.

    Args:
        name: ``scratch``, a folder, or a hub id such as ``bert-base-uncased`` or ``org/model``.
        revision: Of a hub id.

    Raises:
        ModelError: The folder is no checkpoint; or the id is not in the cache, and the hub does
            not have it or cannot be reached.
    """
    if name != "scratch":
        _check(name, revision, _TEXT_MODEL, "model.text.name", "scratch, a folder, or a hub id")


def check_speech_model(name: str, revision: str | None = None) -> None:
    """Look for a speech encoder, with its feature extractor.

    Args:
        name: A folder, or a hub id such as ``facebook/wav2vec2-base``.
        revision: Of a hub id.

    Raises:
        ModelError: As :func:`check_text_model`.
    """
    _check(name, revision, _SPEECH_MODEL, "model.speech.name", "a folder, or a hub id")


def check_ctc_model(name: str, revision: str | None = None, *, where: str) -> None:
    """Look for a CTC model, with its vocabulary and feature extractor.

    Args:
        name: A folder, or a hub id such as ``facebook/wav2vec2-base-960h``.
        revision: Of a hub id.
        where: Option or key that names it.

    Raises:
        ModelError: As :func:`check_text_model`.
    """
    _check(name, revision, _CTC_MODEL, where, "a folder, or a hub id")


def _check(name: str, revision: str | None, needed: _Needed, key: str, choices: str) -> None:
    where = f"{key}={name}"
    folder = Path(name).expanduser()
    if folder.exists() or name.startswith((".", "/", "~")):
        _check_folder(where, folder, needed, "scratch" in choices)
    elif not re.fullmatch(_HUB_ID, name):
        raise ModelError(
            where,
            expected=f"{choices} such as org/model",
            got="no such folder",
            fix="check the path",
        )
    elif not _is_cached(name):
        _ask_hub(where, name, revision or "main")


def _check_folder(where: str, folder: Path, needed: _Needed, or_scratch: bool) -> None:
    missing = [
        what
        for what, patterns in needed
        if not any(match for pattern in patterns for match in folder.glob(pattern))
    ]
    if missing:
        got = f"no {', no '.join(missing)}" if folder.is_dir() else "no such folder"
        raise ModelError(
            where,
            expected="the folder of a transformers checkpoint",
            got=got,
            fix="give the folder that `save_pretrained` wrote"
            + (", a hub id, or scratch" if or_scratch else ", or a hub id"),
        )
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            where,
            expected="a config.json with a model_type",
            got=f"{type(error).__name__} ({error})",
            fix="give the folder that `save_pretrained` wrote",
        ) from None
    assert kind is not None


def _is_cached(name: str) -> bool:
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub")).expanduser()
    snapshots = cache / f"models--{name.replace('/', '--')}" / "snapshots"
    return any(snapshots.glob("*/config.json"))


def _ask_hub(where: str, name: str, revision: str) -> None:
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    fix = "check the id and the network, or download the model and give its folder"
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise ModelError(
            where,
            expected="a folder, or a hub id that is in the local cache (HF_HUB_OFFLINE is set)",
            got="neither",
            fix=fix,
        )
    # a tenth of a second to import, and needed here alone
    import http.client
    import urllib.error
    import urllib.request

    url = f"{endpoint}/{name}/resolve/{revision}/config.json"
    token = os.environ.get("HF_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        request = urllib.request.Request(url, headers=headers, method="HEAD")
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S):
            return
    except urllib.error.HTTPError as error:
        got = f"status {error.code} ({error.reason}) from the hub for {name}@{revision}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        got = f"no such folder, and a hub that cannot be reached ({reason})"
    raise ModelError(
        where,
        expected="a folder, or a hub id that can be reached",
        got=got,
        fix=fix,
    )
