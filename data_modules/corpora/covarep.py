"""COVAREP of CMU-MOSI and CMU-MOSEI: 74 acoustic values every 10 ms, cut to the labelled segments.

A video is read at a time. Frames stand where their time puts them: frame i of a segment lies
between i and i + 1 strides after its start. Values that are not finite (there are many -inf) become
0 and are counted, and so do frames that the release lacks inside a segment. A segment without any
frame has no features.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from data_modules.corpora.cmu_files import find_csd
from data_modules.corpora.cmu_layout import COVAREP_DIM as DIM
from data_modules.corpora.cmu_layout import COVAREP_STRIDE_S as STRIDE_S
from data_modules.corpora.csd import Csd, CsdError, Entry, Floats, open_csd
from data_modules.errors import DataError
from data_modules.manifest import Utterance

if TYPE_CHECKING:
    from data_modules.corpora.release import FeatureArray

# a step within a tenth of the stride is drift of a clock; more is another kind of sequence
_STEP_TOLERANCE = 0.1
# times are sums of hundredths in binary; what they miss by is less than this part of a stride
_ROUNDING = 1e-6


def covarep_files(names: str, root: Path) -> Sequence[Path]:
    """The file with COVAREP, if it is there; ``names`` as in :func:`find_csd`."""
    return tuple(find_csd(root, {"covarep": names})[0].values())


def read_covarep(
    corpus: str, names: str, root: Path, utterances: Sequence[Utterance]
) -> Iterator[tuple[str, FeatureArray, int]]:
    """COVAREP of utterances, as ``ReadyFeatures.read`` gives it.

    Args:
        corpus: ``MOSI`` or ``MOSEI``, for errors.
        names: Pattern of the file's name, see :func:`find_csd`.
        root: Of the release.
        utterances: Of its manifest.

    Raises:
        DataError: There is no such file, or it is damaged.
    """
    files = covarep_files(names, root)
    if not files:
        raise DataError(
            root,
            expected=f"CMU_{corpus}_COVAREP.csd",
            got="no such file",
            fix="copy it from the release, into the folder of the labels",
        )
    by_video: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        by_video[utterance.dialogue or utterance.id].append(utterance)
    with open_csd(files[0]) as csd:
        for video, members in by_video.items():
            entries = csd.entries.get(video, [])
            pieces = {entry.piece: entry for entry in entries}
            if not entries:
                continue
            if not csd.is_cut(video):
                if len(entries) > 1:
                    raise _wrong(csd, entries[0], "a video whole or in pieces", "both")
                frames = _load(csd, entries[0])
                yield from _cut(csd, entries[0], frames, members)
                continue
            for member in members:
                entry = pieces.get(int(member.id[len(video) + 1 : -1]))
                if entry is not None:
                    frames = _load(csd, entry)
                    _expect_piece(csd, entry, frames[1], member)
                    yield from _cut(csd, entry, frames, [member])


_Frames = tuple[npt.NDArray[Any], Floats]


def _load(csd: Csd, entry: Entry) -> _Frames:
    """Values ``(n, 74)`` and the middle of each row in seconds, in order of time.

    Raises:
        CsdError: The rows are not a stride apart, as in sequences that were averaged over words.
    """
    values, intervals = csd.numbers(entry.key, DIM)
    if not np.isfinite(intervals).all():
        raise _wrong(csd, entry, "times", "some that are no number")
    middles = intervals.mean(axis=1)
    order = np.argsort(middles, kind="stable")
    values, middles = values[order], middles[order]
    step = float(np.median(np.diff(middles))) if len(middles) > 1 else STRIDE_S
    if not abs(step - STRIDE_S) <= _STEP_TOLERANCE * STRIDE_S:
        raise _wrong(csd, entry, f"a row every {STRIDE_S} s", f"one every {step:.4g} s")
    return values, middles


def _cut(
    csd: Csd, entry: Entry, frames: _Frames, utterances: Sequence[Utterance]
) -> Iterator[tuple[str, FeatureArray, int]]:
    values, middles = frames
    for utterance in utterances:
        start, end = utterance.start_s, utterance.end_s
        assert start is not None, "every segment has times"
        assert end is not None, "every segment has times"
        first, last = np.searchsorted(middles, (start, end), side="left")
        if first == last:
            continue
        places, num_frames = place_frames(middles[first:last], start, end)
        if (np.diff(places) <= 0).any():
            raise _wrong(
                csd, entry, "rows that follow each other", f"several at once in {utterance.id}"
            )
        cut = np.zeros((num_frames, DIM), dtype=np.float32)
        # what is too large for single precision becomes infinite, and is replaced below
        with np.errstate(over="ignore", invalid="ignore"):
            cut[places] = values[first:last]
        bad = ~np.isfinite(cut)
        cut[bad] = 0.0
        yield utterance.id, cut, int(bad.sum()) + (num_frames - len(places)) * DIM


def place_frames(
    middles: Floats, start_s: float, end_s: float
) -> tuple[npt.NDArray[np.int64], int]:
    """Where rows stand among the frames of a segment.

    Args:
        middles: Middle of each row in seconds ``(n,)``, in order, at least one, all inside.
        start_s: Start of the segment.
        end_s: Its end.

    Returns:
        The frame of each row ``(n,)``, and how many frames the segment has: all whose middle would
        be inside, on the grid of the first row.
    """
    offset = (middles[0] - start_s) / STRIDE_S
    first = math.floor(offset + _ROUNDING)
    # counted from the first row, so that no row is at the border between two frames
    places = first + np.rint((middles - middles[0]) / STRIDE_S).astype(np.int64)
    num_frames = math.ceil((end_s - start_s) / STRIDE_S - (offset - first) - _ROUNDING)
    return places, max(num_frames, int(places[-1]) + 1)


def _expect_piece(csd: Csd, entry: Entry, middles: Floats, utterance: Utterance) -> None:
    """A sequence may have been cut by words instead: then piece 3 is word 3."""
    start, end = utterance.start_s, utterance.end_s
    assert start is not None, "every segment has times"
    assert end is not None, "every segment has times"
    outside = (middles < start - STRIDE_S) | (middles > end + STRIDE_S)
    if outside.any():
        raise _wrong(
            csd,
            entry,
            f"rows of the segment, {start:.2f} s to {end:.2f} s",
            f"{int(outside.sum())} of {len(middles)} outside",
        )


def _wrong(csd: Csd, entry: Entry, expected: str, got: str) -> CsdError:
    return CsdError(
        f"{csd.path}:{csd.root_name}/data/{entry.key}",
        expected=expected,
        got=got,
        fix="use the file of the release as it is published, by video and not aligned",
    )
