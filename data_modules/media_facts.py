"""What is known of each clip once it was decoded, and many of these in little memory.

A million clips take 0.2 GB as columns and 0.7 GB as objects of their own.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """One clip, decoded.

    Attributes:
        id: Utterance id.
        path: Relative to the corpus root.
        size: Bytes of the file.
        mtime_ns: Time of the file's last change, in nanoseconds.
        start_s: Where the clip starts in its file, None for the start.
        end_s: Where it ends, None for the end.
        content_sha256: Of the samples at 16 kHz mono.
        sample_rate: Of the file, in Hz.
        channels: Of the file.
        num_samples: At 16 kHz.
        duration_s: At the file's own rate.
        peak: Largest absolute value in any channel of the file.
        rms: Root mean square at 16 kHz mono.
        clipped_run: Longest run of samples at full scale in a row.
    """

    id: str
    path: str
    size: int
    mtime_ns: int
    start_s: float | None
    end_s: float | None
    content_sha256: str
    sample_rate: int
    channels: int
    num_samples: int
    duration_s: float
    peak: float
    rms: float
    clipped_run: int

    def is_current(
        self, root: Path, audio: str, start_s: float | None, end_s: float | None
    ) -> bool:
        """Whether these facts are of that part of that file, as it is now."""
        if (self.path, self.start_s, self.end_s) != (audio, start_s, end_s):
            return False
        try:
            stat = (root / audio).stat()
        except (OSError, ValueError):
            return False
        return (self.size, self.mtime_ns) == (stat.st_size, stat.st_mtime_ns)


FACT_NAMES = tuple(field.name for field in fields(MediaFacts))
_COUNTS = ("size", "mtime_ns", "sample_rate", "channels", "num_samples", "clipped_run")
_REALS = ("duration_s", "peak", "rms")
_TIMES = ("start_s", "end_s")  # may be None, kept as NaN
_DIGEST_BYTES = 32


class MediaTable(Mapping[str, MediaFacts]):
    """Facts by utterance id, in the order in which they came.

    Args:
        facts: One for each clip; a later one takes the place of an earlier one of the same id.

    Raises:
        TypeError: A value is not of its type.
        ValueError: A hash is not 64 hexadecimal digits.
    """

    def __init__(self, facts: Iterable[MediaFacts] = ()) -> None:
        self._rows: dict[str, int] = {}
        self._paths: list[str] = []
        self._digests = bytearray()
        self._columns: dict[str, array[Any]] = {
            **{name: array("q") for name in _COUNTS},
            **{name: array("d") for name in (*_REALS, *_TIMES)},
        }
        for one in facts:
            self[one.id] = one

    def __setitem__(self, name: str, facts: MediaFacts) -> None:
        digest = bytes.fromhex(facts.content_sha256)
        if len(digest) != _DIGEST_BYTES:
            raise ValueError(f"{facts.content_sha256!r} is no SHA-256")
        row = self._rows.setdefault(name, len(self._rows))
        if row == len(self._paths):
            self._paths.append(facts.path)
            self._digests += digest
            for key, column in self._columns.items():
                value = getattr(facts, key)
                column.append(math.nan if value is None else value)
            return
        self._paths[row] = facts.path
        self._digests[row * _DIGEST_BYTES : (row + 1) * _DIGEST_BYTES] = digest
        for key, column in self._columns.items():
            value = getattr(facts, key)
            column[row] = math.nan if value is None else value

    def __getitem__(self, name: str) -> MediaFacts:
        row = self._rows[name]
        values = {key: column[row] for key, column in self._columns.items()}
        for key in _TIMES:
            values[key] = None if math.isnan(values[key]) else values[key]
        digest = self._digests[row * _DIGEST_BYTES : (row + 1) * _DIGEST_BYTES].hex()
        return MediaFacts(id=name, path=self._paths[row], content_sha256=digest, **values)

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __or__(self, other: Mapping[str, MediaFacts]) -> MediaTable:
        return MediaTable([*self.values(), *other.values()])

    def column(self, name: str) -> npt.NDArray[Any]:
        """One number of all clips, ``(N,)`` in order: int64, or float64 for seconds and levels."""
        return np.array(self._columns[name])

    def rows(self, names: Iterable[str]) -> npt.NDArray[np.int64]:
        """Places of clips in :meth:`column`, -1 for those that are not here."""
        return np.array([self._rows.get(name, -1) for name in names], np.int64)

    def contents(self) -> npt.NDArray[np.int64]:
        """A number for each clip ``(N,)``; clips of equal audio have the same one."""
        digests = np.frombuffer(bytes(self._digests), dtype=f"V{_DIGEST_BYTES}")
        codes: npt.NDArray[np.int64] = np.unique(digests, return_inverse=True)[1].astype(np.int64)
        return codes


def as_table(facts: Mapping[str, MediaFacts]) -> MediaTable:
    """Facts as a table: the same one if they are one."""
    return facts if isinstance(facts, MediaTable) else MediaTable(facts.values())
