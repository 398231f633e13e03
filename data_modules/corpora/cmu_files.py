"""Where the files of CMU-MOSI and CMU-MOSEI lie, and which video belongs to which fold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from data_modules.corpora.csd import CsdError, open_csd
from data_modules.corpora.release import Release, list_files, one_format_each, relative
from data_modules.errors import DataError

RECORDINGS: tuple[str, ...] = (
    "Audio/Full/WAV_16000",
    "Audio/WAV_16000/Full",
    "Audio/Full",
    "Videos/Full/Combined",
    "Video/Full/Combined",
    "Videos/Full",
    "Video/Full",
)
"""Folders of whole recordings in the raw releases, in the order of choice."""

SUFFIXES = (".wav", ".flac", ".mp4")


def find_csd(root: Path, roles: Mapping[str, str]) -> tuple[dict[str, Path], list[Path]]:
    """Which of the ``.csd`` files in a folder, or in folders directly in it, is which.

    Args:
        root: Folder of the release.
        roles: For each role a pattern of what the name of its file is, in lower-case letters and
            digits alone. A file of another name is known by the name of its root group.

    Returns:
        Path by role, and the files without a role.

    Raises:
        DataError: Two files claim one role.
    """
    found: dict[str, Path] = {}
    others = []
    for path in sorted((*root.glob("*.csd"), *root.glob("*/*.csd"))):
        # leftovers of a file system (._*) bear the names of what they belong to
        hidden = path.relative_to(root).as_posix().startswith(".") or path.name.startswith(".")
        role = None if hidden else _role(path.stem, roles) or _role(_root_name(path), roles)
        if role is None:
            others.append(path)
        elif role in found:
            raise DataError(
                root,
                expected=f"one file with {role}",
                got=f"{relative(found[role], root)} and {relative(path, root)}",
                fix="move one of them out of the folder",
            )
        else:
            found[role] = path
    return found, others


def _role(name: str, roles: Mapping[str, str]) -> str | None:
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return next((role for role, names in roles.items() if re.fullmatch(names, plain)), None)


def _root_name(path: Path) -> str:
    try:
        with open_csd(path) as csd:
            return csd.root_name
    except CsdError:
        # neither its name nor its content says that it is needed
        return ""


def find_recordings(root: Path, release: Release) -> tuple[Path, dict[str, Path]] | None:
    """Recordings of whole videos.

    Args:
        root: Folder of the release, with ``Raw/`` in it or itself that folder.
        release: What is passed over is listed there.

    Returns:
        Their folder, and paths by video; None if there is no such folder.
    """
    for base in (root / "Raw", root):
        for name in RECORDINGS:
            folder = base / name
            if folder.is_dir() and any(p.suffix.lower() in SUFFIXES for p in folder.iterdir()):
                files = list_files(folder, SUFFIXES, root, release)
                return folder, {path.stem: path for path in one_format_each(files, root, release)}
    return None


@cache
def read_folds(corpus: str) -> Mapping[str, str]:
    """The standard folds: ``train``, ``val`` or ``test`` by video."""
    parts: dict[str, str] = {}
    part = ""
    path = Path(__file__).parent / "data" / f"{corpus}_folds.txt"
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith("["):
            part = line.strip("[]")
        elif not line.startswith("#"):
            parts.update(dict.fromkeys(line.split(), part))
    return parts
