"""Long recordings in parts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.errors import ConfigError
from sermm.predict.cutting import Cutting

RATE = 16_000


@given(st.integers(1, 200_000), st.floats(0.1, 5), st.floats(0.02, 1))
def test_windows_cover_everything(num_samples: int, window_s: float, share: float) -> None:
    cutting = Cutting(window_s=window_s, hop_s=window_s * share)
    parts = cutting.parts(np.zeros(num_samples, dtype=np.float32))
    assert parts[0][0] == 0
    assert parts[-1][1] == num_samples
    for (start, end), (following, _) in pairwise(parts):
        assert end - start == round(window_s * RATE)
        assert start < following <= end
    assert 0 < parts[-1][1] - parts[-1][0] <= round(window_s * RATE)


def test_sound_is_found_between_silences() -> None:
    waveform = np.zeros(10 * RATE, dtype=np.float32)
    tone = np.sin(np.arange(2 * RATE) / 5).astype(np.float32)
    waveform[RATE : 3 * RATE] = tone
    waveform[round(3.2 * RATE) : round(5.2 * RATE)] = tone  # a pause too short to part
    waveform[7 * RATE : 9 * RATE] = tone
    parts = Cutting(pause_s=0.4).parts(waveform)
    seconds = [(start / RATE, end / RATE) for start, end in parts]
    assert seconds == [pytest.approx((1, 5.2), abs=0.02), pytest.approx((7, 9), abs=0.02)]
    short = Cutting(pause_s=0.4, longest_s=2.5).parts(waveform)
    assert all(end - start <= 2.5 * RATE for start, end in short)
    assert short[0][1] / RATE == pytest.approx(3.1, abs=0.12)  # cut where it is soft
    assert sum(end - start for start, end in short) == sum(end - start for start, end in parts)


def test_silence_alone_is_one_part() -> None:
    assert Cutting().parts(np.zeros(RATE, dtype=np.float32)) == [(0, RATE)]


@pytest.mark.parametrize(
    "values", [{"window_s": 0.01}, {"window_s": 1, "hop_s": 2}, {"pause_s": 0}]
)
def test_senseless_values_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Cutting(**values)
    with pytest.raises(ConfigError):
        Cutting(window_s=float("nan"))
