"""How clips are decoded and measured, and how what was found is kept from one day to the next.

A file whose size and time of change are as before is not decoded again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from data_modules.atomic import write_atomically
from data_modules.audio import Array, content_hash, read_channels, to_mono_16k
from data_modules.errors import ManifestError
from data_modules.manifest import Utterance
from data_modules.media_facts import FACT_NAMES, MediaFacts, MediaTable
from data_modules.plain_json import parse_json

__all__ = ["MediaFacts", "MediaTable", "longest_run", "read_media", "scan_media", "write_media"]

FULL_SCALE = 0.999
"""Absolute value from which a sample counts as clipped; 16-bit audio tops out at 0.99997."""


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
    try:
        stat = path.stat()
    except (OSError, ValueError):
        # no name of a file may hold a zero or be that long; what follows says so
        stat = None
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


def read_media(path: Path, utterances: Sequence[Utterance] = ()) -> MediaTable:
    """Read stored facts by utterance id.

    Args:
        path: What :func:`write_media` wrote.
        utterances: Of the same manifest; their ids and paths are used where they are the same.

    Raises:
        ManifestError: A line is not what :func:`write_media` writes.
    """
    names = set(FACT_NAMES)
    table = MediaTable()
    clips = (utterance for utterance in utterances if utterance.audio is not None)
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                record = parse_json(line)
                if type(record) is not dict or record.keys() != names:
                    raise ValueError("other fields")
                clip = next(clips, None)
                if clip is not None and clip.id == record["id"]:
                    record["id"] = clip.id
                    record["path"] = clip.audio if clip.audio == record["path"] else record["path"]
                facts = MediaFacts(**record)
                if facts.id in table or not _is_sound(facts):
                    raise ValueError("an id twice, or facts of no clip")
                table[facts.id] = facts
            except (ValueError, TypeError, OverflowError):
                raise ManifestError(
                    f"{path}:{number}",
                    expected=f"an object with {', '.join(sorted(names))}",
                    got=line.decode(errors="replace").strip()[:60],
                    fix="write it again with `sermm prepare`",
                ) from None
    return table


def _is_sound(facts: MediaFacts) -> bool:
    return (
        type(facts.id) is str
        and type(facts.path) is str
        and facts.sample_rate > 0
        and facts.num_samples > 0
        and all(map(math.isfinite, (facts.duration_s, facts.peak, facts.rms)))
        and all(time is None or math.isfinite(time) for time in (facts.start_s, facts.end_s))
    )


def write_media(path: Path, facts: Iterable[MediaFacts]) -> None:
    """Write facts whole or not at all."""

    def write(stream: IO[str]) -> None:
        for fact in facts:
            record = {name: getattr(fact, name) for name in FACT_NAMES}
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")

    write_atomically(path, write)
