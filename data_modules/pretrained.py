"""Where the files of a pretrained model are: a folder, or a hub id that is downloaded once.

Asks the hub a single question with a time limit, so that a machine without network answers at
once: with the copy that an earlier download left, or with one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_modules.errors import ModelError

_HUB_ID = re.compile(r"[\w.\-]+(/[\w.\-]+)?")
_TIMEOUT_S = 5.0
_OFFLINE_FIX = "connect to the network, or download the model to a folder and give its path"


def find_checkpoint(
    name: str, revision: str | None = None, *, patterns: Sequence[str], where: str
) -> Path:
    """The folder with the files of a checkpoint.

    Args:
        name: A folder, or a hub id such as ``google-bert/bert-base-uncased``.
        revision: Branch, tag or commit of a hub id; its main branch if None.
        patterns: Which files are needed, as shell patterns.
        where: What the error names.

    Returns:
        ``name`` itself if it is a folder, else the folder of that revision in the hub's cache.

    Raises:
        ModelError: There is no such folder or model, or the hub cannot be reached and no copy is
            on this machine.
    """
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    if not _HUB_ID.fullmatch(name):
        raise ModelError(
            where,
            expected="a folder of a checkpoint or a hub id",
            got="no such folder",
            fix="check the path",
        )
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    reason = ""
    try:
        HfApi().model_info(name, revision=revision, timeout=_TIMEOUT_S)
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ModelError(
            where,
            expected="a folder of a checkpoint or a model of the hub",
            got=f"no such folder, and the hub says: {_one_line(error)}",
            fix="check name and revision; a private or gated model needs `hf auth login`",
        ) from error
    except Exception as error:
        # the HTTP library's own errors have no common type; all mean that the hub did not answer
        reason = _one_line(error)
    try:
        folder = snapshot_download(
            name, revision=revision, allow_patterns=list(patterns), local_files_only=bool(reason)
        )
    except Exception as error:
        raise ModelError(
            where,
            expected="a folder of a checkpoint, or a hub that can be reached",
            got=f"neither a folder nor a copy on this machine, and no hub: "
            f"{reason or _one_line(error)}",
            fix=_OFFLINE_FIX,
        ) from error
    return Path(folder)


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without a progress bar, and without a table of keys: who loads checks those that matter."""
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging  # half of it has no types
    level, had_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if had_bar:
            logging.enable_progress_bar()
