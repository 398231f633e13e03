"""Pitch and descriptors against sounds whose answers are known."""

from __future__ import annotations

from math import log2, log10, pi, sqrt
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from sermm.upstreams import build_speech_upstream
from sermm.upstreams.descriptors import DESCRIPTORS, _interpolate
from sermm.upstreams.pitch import Pitch, track_pitch

TIME_S = torch.arange(16000) / 16000


def pitch_of(waveform: Tensor) -> Pitch:
    return track_pitch(waveform, hop=320, f0_min_hz=60, f0_max_hz=600)


def describe(waveform: Tensor) -> dict[str, np.ndarray]:
    upstream = build_speech_upstream("lld")
    frames = upstream(waveform.unsqueeze(0), torch.tensor([len(waveform)])).frames[0]
    return dict(zip(DESCRIPTORS, frames.numpy().T, strict=True))


def harmonics(f0_hz: float, numbers: range) -> Tensor:
    """A voice-like tone: harmonics that fall by 6 dB an octave, with mixed phases."""
    parts = [torch.sin(2 * pi * f0_hz * k * TIME_S + k * k) / k for k in numbers]
    return 0.2 * torch.stack(parts).sum(dim=0)


def noise(seed: int = 0) -> Tensor:
    return torch.randn(16000, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("f0_hz", [65.0, 82.4, 110.0, 196.0, 261.6, 392.0, 587.3])
@pytest.mark.parametrize("kind", ["sine", "voice", "missing fundamental", "noisy"])
def test_pitch_of_a_tone_is_within_two_per_cent(f0_hz: float, kind: str) -> None:
    waveform = {
        "sine": harmonics(f0_hz, range(1, 2)),
        "voice": harmonics(f0_hz, range(1, 12)),
        "missing fundamental": harmonics(f0_hz, range(2, 8)),
        "noisy": harmonics(f0_hz, range(1, 12)) + 0.02 * noise(),
    }[kind]
    pitch = pitch_of(waveform)
    # the first and last windows reach beyond the clip
    np.testing.assert_allclose(pitch.f0_hz[1:-1].numpy(), f0_hz, rtol=0.02)
    assert pitch.periodicity[2:-2].min() > 0.8


def test_pitch_follows_a_glide() -> None:
    # one octave in a second: 150 * 2 ** t
    phase = 2 * pi * 150 * (2**TIME_S - 1) / np.log(2)
    pitch = pitch_of(0.3 * torch.sin(phase) + 0.1 * torch.sin(2 * phase))
    centers_s = (np.arange(50) + 0.5) * 0.02
    np.testing.assert_allclose(pitch.f0_hz[1:-1].numpy(), 150 * 2 ** centers_s[1:-1], rtol=0.01)


def test_a_stretch_of_rough_voice_is_no_jump_of_an_octave() -> None:
    """Every second period is weaker: alone it fits the lower octave, among its neighbours not."""
    voice = harmonics(200, range(1, 12))
    rough = voice * (1 + 0.2 * torch.sin(2 * pi * 100 * TIME_S))
    waveform = torch.where((TIME_S > 0.45) & (TIME_S < 0.55), rough, voice)
    np.testing.assert_allclose(pitch_of(waveform).f0_hz[1:-1].numpy(), 200, rtol=0.02)
    np.testing.assert_allclose(pitch_of(rough).f0_hz[1:-1].numpy(), 100, rtol=0.02)


def test_noise_and_silence_have_no_pitch() -> None:
    assert not pitch_of(0.1 * noise()).f0_hz.any()
    assert not pitch_of(torch.zeros(16000)).f0_hz.any()
    assert not pitch_of(torch.full((16000,), 0.5)).f0_hz.any()


def test_voiced_and_unvoiced_parts_are_told_apart() -> None:
    waveform = torch.cat([0.05 * noise(), harmonics(140, range(1, 12)), 0.001 * noise(1)])
    voiced = pitch_of(waveform).f0_hz > 0
    # the window is 50 ms long, so a border is known to a frame
    assert voiced[51:99].all()
    assert not voiced[:49].any()
    assert not voiced[101:].any()


def test_pitch_is_on_a_musical_scale_and_bridges_gaps() -> None:
    tone = harmonics(200, range(1, 8))
    found = describe(torch.cat([tone, 0.01 * noise(), harmonics(300, range(1, 8))]))
    low, high = 12 * log2(200 / 27.5), 12 * log2(300 / 27.5)
    np.testing.assert_allclose(found["pitch"][5:45], low, atol=0.05)
    np.testing.assert_allclose(found["pitch"][105:145], high, atol=0.05)
    gap = found["pitch"][52:98]
    assert (np.diff(gap) > 0).all()
    np.testing.assert_allclose(np.diff(gap), (high - low) / 51, rtol=0.1)
    assert found["voiced"].sum() == pytest.approx(100, abs=3)
    assert np.abs(found["pitch_change"][1:-1]).max() < 0.2
    assert not found["pitch_change"][53:97].any()


def test_pitch_change_counts_between_voiced_frames_alone() -> None:
    phase = 2 * pi * 150 * (2**TIME_S - 1) / np.log(2)
    found = describe(torch.cat([0.3 * torch.sin(phase), 0.01 * noise()]))
    # an octave in 50 frames
    np.testing.assert_allclose(found["pitch_change"][3:45], 12 / 50, atol=0.05)
    assert not found["pitch_change"][55:].any()


def test_interpolation_is_numpys() -> None:
    generator = torch.Generator().manual_seed(3)
    for num_known in (1, 2, 7, 30):
        known = torch.zeros(30, dtype=torch.bool)
        known[torch.randperm(30, generator=generator)[:num_known]] = True
        values = torch.randn(30, generator=generator)
        expected = np.interp(np.arange(30), np.flatnonzero(known), values[known])
        np.testing.assert_allclose(_interpolate(values, known).numpy(), expected, atol=1e-5)


def test_descriptors_of_a_sine_are_those_of_the_textbook() -> None:
    found = describe(0.25 * torch.sin(2 * pi * 1000 * TIME_S))
    inside = slice(2, -2)
    steps = 0.25 * 32768
    np.testing.assert_allclose(found["energy"][inside], 20 * log10(steps / sqrt(2)), atol=0.01)
    np.testing.assert_allclose(found["zero_crossings"][inside], 2 * 1000 / 16000, atol=0.003)
    np.testing.assert_allclose(found["centroid"][inside], 1.0, atol=0.01)
    np.testing.assert_allclose(found["rolloff"][inside], 1.0, atol=0.04)
    assert found["spread"][inside].max() < 0.1
    assert found["entropy"][inside].max() < 0.3
    assert found["flux"][inside].max() < 0.05
    assert found["hammarberg"][inside].min() > 50


def test_descriptors_of_white_noise_are_flat() -> None:
    found = {name: values.mean() for name, values in describe(0.1 * noise()).items()}
    assert found["centroid"] == pytest.approx(4.0, abs=0.1)
    assert found["spread"] == pytest.approx(8 / sqrt(12), abs=0.15)
    assert found["rolloff"] == pytest.approx(0.85 * 8, abs=0.2)
    assert found["zero_crossings"] == pytest.approx(0.5, abs=0.02)
    assert found["alpha_ratio"] == pytest.approx(10 * log10(0.95 / 4), abs=0.4)
    assert found["slope_high"] == pytest.approx(0, abs=1)
    assert found["entropy"] > 0.85
    assert found["flux"] > 0.5
    assert found["voiced"] == 0


def test_a_spectrum_that_falls_has_that_slope() -> None:
    # 12 dB a kilohertz, from tones on every fifth line of the spectrum
    parts = [10 ** (-12 * k / 20) * torch.sin(2 * pi * 1000 * k * TIME_S + 9 * k * k)
             for k in np.arange(0.05, 4, 0.03125)]  # fmt: skip
    found = describe(0.02 * torch.stack(parts).sum(dim=0))
    assert found["slope_high"][2:-2].mean() == pytest.approx(-12, abs=2)
    assert found["alpha_ratio"][2:-2].mean() > 8


def test_long_audio_is_worked_through_in_blocks_that_do_not_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waveform = harmonics(150, range(1, 20)) + 0.05 * noise()
    whole = describe(waveform)
    monkeypatch.setattr("sermm.upstreams.descriptors._BLOCK", 7)
    monkeypatch.setattr("sermm.upstreams.pitch._BLOCK", 7)
    blocks = describe(waveform)
    for name in DESCRIPTORS:
        np.testing.assert_allclose(blocks[name], whole[name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_loudness_moves_the_energy_alone() -> None:
    waveform = harmonics(150, range(1, 20)) + 0.05 * noise()
    quiet, loud = describe(waveform), describe(2 * waveform)
    for name in DESCRIPTORS:
        difference = 20 * log10(2) if name == "energy" else 0
        np.testing.assert_allclose(loud[name] - quiet[name], difference, atol=0.02, err_msg=name)


def test_digital_silence_is_finite_and_has_no_energy() -> None:
    found = describe(torch.zeros(8000))
    assert all(np.isfinite(values).all() for values in found.values())
    assert not found["energy"].any()
    # no voiced frame in the clip: the middle of 60 to 600 Hz
    np.testing.assert_allclose(found["pitch"], 12 * log2(sqrt(60 * 600) / 27.5), rtol=1e-5)


@pytest.mark.real
def test_women_of_ravdess_speak_higher_than_men(shared_data: Path) -> None:
    medians: dict[str, list[float]] = {"men": [], "women": []}
    for actor in range(1, 17):
        folder = shared_data / "ravdess" / "Audio_Speech_Actors_01-24" / f"Actor_{actor:02d}"
        waveform, _ = soundfile.read(
            folder / f"03-01-01-01-01-01-{actor:02d}.flac", dtype="float32"
        )
        f0_hz = pitch_of(torch.from_numpy(waveform)).f0_hz
        voiced = f0_hz > 0
        assert 0.15 < voiced.float().mean() < 0.6
        medians["men" if actor % 2 else "women"].append(float(f0_hz[voiced].median()))
    assert max(medians["men"]) < min(medians["women"])
