"""What is known of each clip once it was decoded, and how that is kept from one day to the next.

A file whose size and time of change are as before is not decoded again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO

import numpy as np

from data_modules.atomic import write_atomically
from data_modules.audio import Array, content_hash, read_channels, to_mono_16k
from data_modules.errors import ManifestError

FULL_SCALE = 0.999
"""Absolute value from which a sample counts as clipped; 16-bit audio tops out at 0.99997."""


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
        except OSError:
            return False
        return (self.size, self.mtime_ns) == (stat.st_size, stat.st_mtime_ns)


def scan_media(
    name: str, root: Path, audio: str, start_s: float | None = None, end_s: float | None = None
) -> MediaFacts:
    """Decode a clip and measure it.

    Args:
        name: Utterance id.
        root: Corpus root.
        audio: Path relative to it.
        start_s: Where the clip starts in its file, None for the start.
        end_s: Where it ends, None for the end.

    Raises:
        MediaError: The clip cannot be used whole.
    """
    path = root / audio
    # before reading: a file that changes meanwhile is then seen as changed the next time
    stat = path.stat() if path.is_file() else None
    samples, sample_rate = read_channels(path, start_s, end_s)
    assert stat is not None, "read_channels raises for a missing file"
    mono = to_mono_16k(samples, sample_rate)
    return MediaFacts(
        id=name,
        path=audio,
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        start_s=start_s,
        end_s=end_s,
        content_sha256=content_hash(mono),
        sample_rate=sample_rate,
        channels=samples.shape[1],
        num_samples=len(mono),
        duration_s=len(samples) / sample_rate,
        peak=float(np.abs(samples).max()),
        rms=float(np.sqrt(np.mean(np.square(mono, dtype=np.float64)))),
        clipped_run=max(longest_run(np.abs(channel) >= FULL_SCALE) for channel in samples.T),
    )


def longest_run(flags: np.ndarray[tuple[int], np.dtype[np.bool_]] | Array) -> int:
    """Length of the longest run of True in ``(N,)`` flags."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def read_media(path: Path) -> dict[str, MediaFacts]:
    """Read stored facts by utterance id.

    Raises:
        ManifestError: A line is not what :func:`write_media` writes.
    """
    names = {field.name for field in fields(MediaFacts)}
    facts: dict[str, MediaFacts] = {}
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if not isinstance(record, dict) or set(record) != names:
                raise ManifestError(
                    f"{path}:{number}",
                    expected=f"an object with {', '.join(sorted(names))}",
                    got=line.strip()[:60],
                    fix="write it again with `sermm prepare`",
                )
            facts[record["id"]] = MediaFacts(**record)
    return facts


def write_media(path: Path, facts: Iterable[MediaFacts]) -> None:
    """Write facts whole or not at all."""
    names = [field.name for field in fields(MediaFacts)]

    def write(stream: IO[str]) -> None:
        for fact in facts:
            record = {name: getattr(fact, name) for name in names}
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")

    write_atomically(path, write)
