from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.errors import DataError
from data_modules.manifest import Utterance
from data_modules.speakers import SpeakerStatistics


def spoken(name: str, speaker: str | None) -> Utterance:
    return Utterance(name, "made", speaker=speaker, start_s=0.0, end_s=1.0)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5)), min_size=1, max_size=8),
    st.floats(-1e6, 1e6),
)
def test_each_speakers_frames_have_mean_zero_and_deviation_one(
    parts: list[tuple[str, int]], offset: float
) -> None:
    draw = np.random.default_rng(0)
    frames = {
        f"u{i}": (draw.normal(size=(count, 3)) * 5 + offset + ord(speaker)).astype(np.float32)
        for i, (speaker, count) in enumerate(parts)
    }
    utterances = [spoken(f"u{i}", speaker) for i, (speaker, _) in enumerate(parts)]
    speakers = SpeakerStatistics.measure(utterances, lambda u: frames[u.id])
    for name in {speaker for speaker, _ in parts}:
        own = [u for u in utterances if u.speaker == name]
        raw = np.concatenate([frames[u.id] for u in own]).astype(np.float64)
        made = np.concatenate([speakers.apply(u, frames[u.id]) for u in own])
        assert made.dtype == np.float32
        varies = raw.std(axis=0) > 1e-8 * max(1.0, float(np.abs(raw).max()))
        expected = (raw - raw.mean(axis=0)) / np.where(varies, raw.std(axis=0), 1.0)
        np.testing.assert_allclose(made, expected, atol=1e-4)


def test_a_constant_stays_at_scale_one() -> None:
    # 0.1 has no exact float: the mean over many frames is off by its rounding
    frames = np.full((1_001, 1), 0.1, np.float32)
    speakers = SpeakerStatistics.measure([spoken("u", "a")], lambda _: frames)
    assert np.abs(speakers.apply(spoken("v", "a"), np.float32([[0.1]]))).max() < 1e-6
    assert speakers.apply(spoken("v", "a"), np.float32([[1.1]]))[0, 0] == pytest.approx(1.0)


def test_utterances_without_a_speaker_are_named() -> None:
    utterances = [spoken("u1", "a"), spoken("u2", None), spoken("u3", "")]
    with pytest.raises(DataError, match=r"none for 2: u2, u3; choose model.speech.normalise=train"):
        SpeakerStatistics.measure(utterances, lambda _: np.zeros((1, 1), np.float32))
