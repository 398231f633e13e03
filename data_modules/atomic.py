"""Files that appear whole or not at all: written under another name, synced, then renamed."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def write_atomically(path: Path, write: Callable[[IO[str]], None]) -> None:
    """Give ``write`` a text stream whose content appears at ``path`` only when it is complete."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        write(stream)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that is renamed to it on success and removed on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    # not by mkstemp: its files are private, and these are meant to be shared like any other
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text whole or not at all."""

    def write(stream: IO[str]) -> None:
        stream.write(text)

    write_atomically(path, write)


def write_json(path: Path, value: object) -> None:
    """Write indented JSON whole or not at all."""

    def write(stream: IO[str]) -> None:
        json.dump(value, stream, indent=2, ensure_ascii=False)
        stream.write("\n")

    write_atomically(path, write)
