"""Cutting the ends of a clip and removing its level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.frames import FramePreparation


def clip(num_frames: int, dim: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(5, 2, (num_frames, dim)).astype(np.float32)


def test_nothing_is_done_by_default() -> None:
    frames = clip(7)
    prepared, first = FramePreparation(num_bands=3)(frames)
    np.testing.assert_array_equal(prepared, frames)
    assert first == 0
    assert prepared.base is not frames
    prepared[:] = 0  # memory of its own: a mapped shard could not be written
    assert frames.any()


def test_soft_ends_are_cut_and_soft_middles_stay() -> None:
    # natural logarithm of power: 30 dB are 6.9
    level = np.array([0.0, 3.2, 9.0, 1.0, 10.0, 3.0, 0.0], dtype=np.float32)
    frames = np.repeat(level[:, None], 4, axis=1)
    prepared, first = FramePreparation(num_bands=4, trim_db=30.0)(frames)
    assert first == 1
    np.testing.assert_array_equal(prepared[:, 0], level[1:5])


def test_only_bands_decide_what_is_cut() -> None:
    frames = np.zeros((4, 3), dtype=np.float32)
    frames[:, 2] = [50, 0, 0, 50]
    frames[1, :2] = 20
    prepared, first = FramePreparation(num_bands=2, trim_db=30.0)(frames)
    assert (first, len(prepared)) == (1, 1)


def test_a_recording_and_the_same_at_half_the_gain_are_equal() -> None:
    frames = clip(20)
    soft = frames.copy()
    soft[:, :3] -= np.log(4.0)  # half the amplitude is a quarter of the power
    prepare = FramePreparation(num_bands=3, center="level")
    np.testing.assert_allclose(prepare(frames)[0], prepare(soft)[0], atol=1e-5)
    np.testing.assert_array_equal(prepare(frames)[0][:, 3:], frames[:, 3:])
    # differences between bands stay, unlike with a mean for each dimension
    np.testing.assert_allclose(
        np.diff(prepare(frames)[0][:, :3], axis=1), np.diff(frames[:, :3], axis=1), atol=1e-5
    )


def test_the_mean_over_the_clip_is_zero_in_every_dimension() -> None:
    prepared, _ = FramePreparation(num_bands=3, center="utterance")(clip(20))
    np.testing.assert_allclose(prepared.mean(axis=0), 0, atol=1e-5)


@given(st.integers(1, 30), st.floats(0.5, 60), st.integers(0, 1000))
def test_something_is_always_left(num_frames: int, trim_db: float, seed: int) -> None:
    frames = clip(num_frames, seed=seed)
    prepared, first = FramePreparation(num_bands=5, trim_db=trim_db)(frames)
    assert len(prepared) >= 1
    np.testing.assert_array_equal(prepared, frames[first : first + len(prepared)])


@pytest.mark.parametrize("center", ["none", "level", "utterance"])
def test_one_frame_is_enough(center: str) -> None:
    prepared, first = FramePreparation(num_bands=5, center=center, trim_db=20.0)(clip(1))  # type: ignore[arg-type]
    assert prepared.shape == (1, 5)
    assert np.isfinite(prepared).all()
    assert first == 0
