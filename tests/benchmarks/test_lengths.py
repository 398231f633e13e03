from __future__ import annotations

import numpy as np

from benchmarks.lengths import draw_lengths, voice

LENGTHS = [0.5 + 0.01 * i for i in range(1000)]


def test_a_sample_has_the_spread_of_all() -> None:
    drawn = draw_lengths(LENGTHS, 400, seed=1)
    assert abs(sum(drawn) - 400) < 12
    assert abs(np.median(drawn) - np.median(LENGTHS)) < 0.3
    assert min(drawn) < 0.8
    assert max(drawn) > 10.1
    assert drawn != sorted(drawn)
    assert drawn == draw_lengths(LENGTHS, 400, seed=1) != draw_lengths(LENGTHS, 400, seed=2)


def test_all_of_them_at_most() -> None:
    assert sorted(draw_lengths(LENGTHS, 1e9)) == LENGTHS


def test_a_voice_is_audio_of_its_length() -> None:
    samples = voice(1.25, 3)
    assert (samples.shape, samples.dtype) == ((20_000,), np.float32)
    assert 0.1 < np.abs(samples).max() <= 1
