"""Computational sequences (``.csd``): the HDF5 files of CMU's corpora, one entry at a time.

Layout: ``ROOT/data/ENTRY/features`` (n, d) and ``intervals`` (n, 2) in seconds, beside
``ROOT/metadata``, which nothing here needs. ROOT differs between releases. ENTRY is a video, or
``video[k]`` where a toolkit cut the sequence into pieces. Nothing here knows corpora.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from data_modules.errors import DataError

Floats = npt.NDArray[np.float64]

MAX_ROWS = 2_000_000
"""More than five hours at 100 rows a second: a larger number comes from a damaged header."""

_ENTRY = re.compile(r"(?P<video>.+?)(?:\[(?P<piece>[0-9]{1,9})\])?", re.DOTALL)

# what h5py raises over damaged files, by the layer that notices
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError, OverflowError)


class CsdError(DataError):
    """A file is no computational sequence, or an entry of it is not what it should be."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A piece of a sequence.

    Attributes:
        key: Its name in the file.
        piece: k of ``video[k]``; None for a whole video.
    """

    key: str
    piece: int | None


class Csd:
    """An open computational sequence; see :func:`open_csd`.

    Attributes:
        path: Of the file.
        root_name: The one top-level group that holds data.
        entries: Of each video, whole or in pieces by their number.
    """

    def __init__(self, path: Path, root_name: str, data: Any) -> None:
        self.path = path
        self.root_name = root_name
        self._data = data
        self.entries: dict[str, list[Entry]] = {}
        for key in _names(path, data):
            match = _ENTRY.fullmatch(key)
            if match is None:
                raise self._wrong(key, "an id of a video", repr(key))
            piece = None if match["piece"] is None else int(match["piece"])
            self.entries.setdefault(_printable(match["video"]), []).append(Entry(key, piece))
        for entries in self.entries.values():
            entries.sort(key=lambda entry: -1 if entry.piece is None else entry.piece)

    def is_cut(self, video: str) -> bool:
        """Whether all of a video that there is stands in pieces."""
        return all(entry.piece is not None for entry in self.entries[video])

    def num_rows(self, key: str) -> int:
        """Rows of an entry.

        Raises:
            CsdError: The entry is not what it should be.
        """
        return int(self._open(key)[0].shape[0])

    def width(self, key: str) -> int:
        """Features in a row of an entry.

        Raises:
            CsdError: The entry is not what it should be.
        """
        return int(self._open(key)[0].shape[1])

    def span(self, key: str) -> tuple[float, float]:
        """Start of the first and end of the last row in seconds, of an entry with rows.

        Raises:
            CsdError: The entry is not what it should be, or empty.
        """
        intervals = self._open(key)[1]
        if not len(intervals):
            raise self._wrong(key, "rows", "none")
        try:
            return float(intervals[0, 0]), float(intervals[len(intervals) - 1, 1])
        except _DAMAGE as error:
            self._damaged(key, error)

    def numbers(self, key: str, width: int) -> tuple[npt.NDArray[Any], Floats]:
        """Numbers of an entry.

        Args:
            key: Of the entry.
            width: How many in a row.

        Returns:
            Features ``(n, width)`` as they are stored and intervals ``(n, 2)`` in seconds. Neither
            need be finite.

        Raises:
            CsdError: The entry is damaged, no numbers, or of another width.
        """
        features, intervals = self._open(key)
        if features.dtype.kind not in "fiu":
            raise self._wrong(key, "numbers", f"values of type {features.dtype}")
        if features.shape[1] != width:
            raise self._wrong(key, f"{width} values in a row", str(features.shape[1]))
        return self._load(key, features), self._load(key, intervals).astype(np.float64)

    def words(self, key: str) -> tuple[list[str], Floats, int]:
        """Words of an entry.

        Args:
            key: Of the entry.

        Returns:
            ``n`` words, intervals ``(n, 2)`` in seconds, and how many words were no UTF-8 and are
            read as Latin-1.

        Raises:
            CsdError: The entry is damaged, or no words.
        """
        features, intervals = self._open(key)
        if features.dtype.kind not in "SOU" or features.shape[1] != 1:
            raise self._wrong(
                key,
                "one word in a row",
                f"{features.shape[1]} values of type {features.dtype}",
            )
        words, num_latin = [], 0
        for value in self._load(key, features)[:, 0].tolist():
            if isinstance(value, bytes):
                try:
                    value = value.decode("utf-8")
                except UnicodeDecodeError:
                    value = value.decode("latin-1")
                    num_latin += 1
            if not isinstance(value, str):
                raise self._wrong(key, "words", f"a value of type {type(value).__name__}")
            words.append(value.strip())
        return words, self._load(key, intervals).astype(np.float64), num_latin

    def _open(self, key: str) -> tuple[Any, Any]:
        """Both arrays of an entry, unread, with shapes that fit."""
        try:
            entry = self._data[key]
            features, intervals = entry["features"], entry["intervals"]
            shapes = tuple(features.shape), tuple(intervals.shape)
            kind = intervals.dtype.kind
            features.dtype.kind  # noqa: B018  a type that h5py cannot name raises here
        except (*_DAMAGE, AttributeError) as error:
            self._damaged(key, error)
        (rows, *widths), places = shapes[0] or (0,), shapes[1]
        if len(widths) != 1 or places != (rows, 2) or kind not in "fiu":
            raise self._wrong(
                key, "features (n, d) and intervals (n, 2)", f"{shapes[0]} and {shapes[1]}"
            )
        if rows > MAX_ROWS:
            raise self._wrong(key, f"at most {MAX_ROWS} rows", str(rows))
        return features, intervals

    def _load(self, key: str, array: Any) -> npt.NDArray[Any]:
        try:
            loaded: npt.NDArray[Any] = array[...]
        except _DAMAGE as error:
            self._damaged(key, error)
        return loaded

    def _damaged(self, key: str, error: Exception) -> NoReturn:
        raise self._wrong(key, "an entry that can be read", _reason(error)) from None

    def _wrong(self, key: str, expected: str, got: str) -> CsdError:
        return CsdError(
            f"{self.path}:{_printable(self.root_name)}/data/{_printable(key)}",
            expected=expected,
            got=got,
            fix="copy the file again from the release",
        )


@contextmanager
def open_csd(path: Path) -> Iterator[Csd]:
    """Open a computational sequence; only its list of entries is read.

    Raises:
        CsdError: The file is no HDF5, or has not exactly one root with data.
    """
    import h5py

    try:
        file = h5py.File(path, "r")
    except _DAMAGE as error:
        raise _no_csd(path, "an HDF5 file", _reason(error)) from None
    with file:
        yield Csd(path, *_find_data(path, file))


def _find_data(path: Path, file: Any) -> tuple[str, Any]:
    found = []
    for name in _names(path, file):
        try:
            data = file[name]["data"]
            data.keys()
        except (*_DAMAGE, AttributeError):
            # another kind of group; if it is the damaged root, none is found
            continue
        found.append((name, data))
    if len(found) != 1:
        names = ", ".join(_printable(name) for name, _ in found) or "none"
        raise _no_csd(path, "one top-level group that holds data", names)
    return found[0]


def _names(path: Path, group: Any) -> list[str]:
    try:
        names = list(group.keys())
    except _DAMAGE as error:
        raise _no_csd(path, "groups that can be listed", _reason(error)) from None
    # h5py gives bytes where a name is no UTF-8, as only a damaged one is
    return [n.decode("utf-8", "surrogateescape") if isinstance(n, bytes) else n for n in names]


def _printable(name: str) -> str:
    """A name as it can be written, without lone surrogates."""
    return name.encode("utf-8", "replace").decode("utf-8")


def _no_csd(path: Path, expected: str, got: str) -> CsdError:
    return CsdError(path, expected=expected, got=got, fix="copy the file again from the release")


def _reason(error: Exception) -> str:
    """What HDF5 says, in one line."""
    return (str(error).strip("'\"").splitlines() or [type(error).__name__])[0]
