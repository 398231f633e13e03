"""COVAREP frames of CMU-MOSEI at the times of the segments."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.corpora import cmu
from data_modules.corpora.cmu_layout import COVAREP_STRIDE_S as STRIDE_S
from data_modules.corpora.covarep import place_frames
from data_modules.corpora.csd import Csd, CsdError
from data_modules.errors import DataError
from tests.data_modules import csd_tree as tree
from tests.data_modules.corpora.mosei_release import (
    MOSEI,
    PLAIN,
    VAL,
    noted,
    read,
)
from tests.data_modules.csd_tree import SegmentSpec, VideoSpec


def covarep(root: Path, *videos: VideoSpec) -> dict[str, tuple[np.ndarray, int]]:
    release = read(root, *videos)
    reader = MOSEI.features["covarep"]
    return {name: (frames, n) for name, frames, n in reader.read(root, release.utterances)}


def test_covarep_is_cut_to_the_segments(tmp_path: Path) -> None:
    frames = np.arange(300 * 74, dtype=np.float64).reshape(300, 74)
    frames[20, 5] = -np.inf
    frames[21] = np.nan
    frames[22, 0] = 1e300
    segments = [
        SegmentSpec(-0.5, 0.3, PLAIN),
        SegmentSpec(0.307, 1.0, PLAIN),
        SegmentSpec(2.9, 3.2, PLAIN),
        SegmentSpec(3.5, 4.0, PLAIN),
    ]
    found = covarep(tmp_path, VideoSpec(VAL[1], segments, None, frames))
    name = VAL[1]
    assert list(found) == [f"{name}[0]", f"{name}[1]", f"{name}[2]"]
    first, replaced = found[f"{name}[0]"]
    assert (first.shape, first.dtype, replaced) == ((30, 74), np.float32, 1 + 74 + 1)
    np.testing.assert_array_equal(first[:20], frames[:20].astype(np.float32))
    assert (first[20, 5], first[22, 0]) == (0.0, 0.0)
    assert not first[21].any()
    second, replaced = found[f"{name}[1]"]
    # frame 30 has its middle at 0.305, before the start
    np.testing.assert_array_equal(second, frames[31:100].astype(np.float32))
    assert replaced == 0
    # the release has 10 of the 30 frames
    third, replaced = found[f"{name}[2]"]
    assert (third.shape, replaced) == ((30, 74), 20 * 74)
    assert third[:10].all()
    assert not third[10:].any()


def test_covarep_frames_stand_at_their_times(tmp_path: Path) -> None:
    frames = np.ones((100, 74))
    video = VideoSpec(VAL[1], [SegmentSpec(0.0, 1.0, PLAIN)], None, frames)
    root = tree.write_tree(tmp_path, "mosei", [video])
    values, times = tree.frame_entry(np.ones((60, 74)), start=0.2)
    # 40 ms are missing in the middle, and rows are out of order
    times[30:] += 0.04
    order = np.random.default_rng(0).permutation(60)
    tree.write_csd(root / "CMU_MOSEI_COVAREP.csd", "r", {video.id: (values, times[order])})
    ((_, found, replaced),) = MOSEI.features["covarep"].read(root, MOSEI.read(root).utterances)
    assert np.flatnonzero(found.any(axis=1)).tolist() == [*range(20, 50), *range(54, 84)]
    assert (found.shape, replaced) == ((100, 74), 40 * 74)


def doubled_rows() -> tree.Entry:
    values, times = tree.frame_entry(np.ones((60, 74)))
    times[20:30] = times[10:20]
    return values, times


def wrong_rows(stride: float, width: int = 74) -> tree.Entry:
    return tree.frame_entry(np.ones((40, width)), stride=stride)


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ({"": wrong_rows(0.01, 73)}, "74 values in a row, got 73"),
        ({"": wrong_rows(0.3)}, r"a row every 0\.01 s, got one every 0\.3 s"),
        ({"": wrong_rows(0.0)}, "a row every"),
        ({"": doubled_rows()}, r"several at once in \S+\[0\]"),
        ({"": wrong_rows(math.nan)}, "times, got some that are no number"),
        ({"": wrong_rows(0.01), "[0]": wrong_rows(0.01)}, "whole or in pieces, got both"),
        ({"[0]": tree.frame_entry(np.ones((40, 74)), start=1.5)}, "10 of 40 outside"),
    ],
)
def test_covarep_of_another_kind_is_refused(
    tmp_path: Path, entries: dict[str, tree.Entry], text: str
) -> None:
    video = VideoSpec(VAL[1], [SegmentSpec(0.0, 1.79, PLAIN)], None)
    root = tree.write_tree(tmp_path, "mosei", [video])
    named = {f"{video.id}{piece}": entry for piece, entry in entries.items()}
    tree.write_csd(root / "CMU_MOSEI_COVAREP.csd", "COVAREP", named)
    utterances = MOSEI.read(root).utterances
    with pytest.raises(CsdError, match=rf"COVAREP/data/{video.id}.*{text}"):
        list(MOSEI.features["covarep"].read(root, utterances))


def test_covarep_is_read_one_video_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree.write_tree(tmp_path, "mosei", tree.make_videos(train=3))
    utterances = MOSEI.read(root).utterances
    read_so_far = []
    numbers = Csd.numbers

    def counting(self: Csd, key: str, width: int) -> object:
        read_so_far.append(key)
        return numbers(self, key, width)

    monkeypatch.setattr(Csd, "numbers", counting)
    reader = MOSEI.features["covarep"].read(root, utterances)
    for index in range(len(utterances)):
        next(reader)
        assert len(read_so_far) == 1 + index // 3


def test_covarep_in_pieces_is_read(tmp_path: Path) -> None:
    video = VideoSpec(VAL[1], [SegmentSpec(1.0, 2.0, PLAIN), SegmentSpec(2.0, 3.0, PLAIN)], None)
    root = tree.write_tree(tmp_path, "mosei", [video])
    piece = tree.frame_entry(np.ones((100, 74)), start=2.0)
    tree.write_csd(root / "CMU_MOSEI_COVAREP.csd", "COVAREP", {f"{video.id}[1]": piece})
    release = MOSEI.read(root)
    ((name, found, replaced),) = MOSEI.features["covarep"].read(root, release.utterances)
    assert (name, found.shape, replaced) == (f"{video.id}[1]", (100, 74), 0)
    assert noted(release)[cmu.NO_COVAREP] == 1


def test_a_release_without_covarep_says_so(tmp_path: Path) -> None:
    root = tree.write_tree(tmp_path, "mosei", tree.make_videos(), skip=["covarep"])
    reader = MOSEI.features["covarep"]
    assert not reader.files(root)
    with pytest.raises(DataError, match=r"expected CMU_MOSEI_COVAREP\.csd, got no such file"):
        next(reader.read(root, MOSEI.read(root).utterances))


@given(
    start=st.floats(1, 500),
    length=st.floats(0.02, 60),
    grid=st.floats(0, 0.00999),
    drift=st.floats(-1e-6, 1e-6),
)
def test_whole_stretches_of_frames_stay_whole(
    start: float, length: float, grid: float, drift: float
) -> None:
    """Wherever a segment begins on the grid of the frames, none is doubled, moved or missing."""
    number = round((start + length) * 100) + 200
    middles = grid + STRIDE_S * (0.5 + np.arange(number)) * (1 + drift)
    inside = middles[(middles >= start) & (middles < start + length)]
    if len(inside):
        places, num_frames = place_frames(inside, start, start + length)
        assert places.tolist() == list(range(len(inside)))
        assert len(inside) <= num_frames <= len(inside) + 1
