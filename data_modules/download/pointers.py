"""Git LFS pointers, and the files that they stand for.

A pointer is three lines of text in place of a large file: version, ``oid sha256:...``, size. An
archive of a repository holds pointers where a clone holds the files.
"""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from data_modules.download.sources import Media, RemoteFile

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n"
    rb"oid sha256:(?P<sha256>[0-9a-f]{64})\nsize (?P<size>[0-9]{1,18})\n"
)
_LONGEST = 1024


@dataclass(frozen=True)
class Pointer:
    """What a pointer says of its file."""

    sha256: str
    size: int


def read_pointer(path: Path) -> Pointer | None:
    """The pointer that a file is; None if it is something else."""
    with path.open("rb") as stream:
        match = _POINTER.fullmatch(stream.read(_LONGEST))
    return Pointer(match["sha256"].decode(), int(match["size"])) if match else None


def find_pointers(folder: Path) -> dict[Pointer, list[str]]:
    """Names of the pointers in a folder; two files of the same content share theirs."""
    found: dict[Pointer, list[str]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if path.is_file() and (pointer := read_pointer(path)) is not None:
            found[pointer].append(path.name)
    return dict(found)


def media_files(media: Media, pointers: dict[Pointer, list[str]]) -> list[RemoteFile]:
    """What to fetch, each content once, under the name of its SHA-256."""
    return [
        RemoteFile(
            pointer.sha256,
            tuple(url.format(path=f"{media.folder}/{names[0]}") for url in media.urls),
            pointer.size,
            f"sha256:{pointer.sha256}",
        )
        for pointer, names in pointers.items()
    ]


def put_in_place(pointers: dict[Pointer, list[str]], objects: Path, folder: Path) -> None:
    """Replace pointers by their files; may be stopped anywhere and called again."""
    for pointer, names in pointers.items():
        content = objects / pointer.sha256
        for name in names[1:]:
            copy = objects / f"{pointer.sha256}.copy"
            shutil.copyfile(content, copy)
            copy.replace(folder / name)
        content.replace(folder / names[0])
