from __future__ import annotations

import importlib.util
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from data_modules.audio import load_audio
from data_modules.errors import ConfigError, ModelError
from sermm.upstreams import SpeechUpstream, build_speech_upstream, options_of
from sermm.upstreams.opensmile import LEVELS

opensmile = pytest.importorskip("opensmile", reason="the extra opensmile is not installed")
KINDS = [(level, name) for level, names in LEVELS.items() for name in names]


def build(level: str, feature_set: str) -> SpeechUpstream:
    return build_speech_upstream("opensmile", feature_set=feature_set, feature_level=level)


def frames_of(upstream: SpeechUpstream, waveform: Tensor) -> Tensor:
    features = upstream(waveform.unsqueeze(0), torch.tensor([len(waveform)]))
    assert features.lengths.tolist() == [features.frames.shape[1]]
    frames: Tensor = features.frames[0]
    return frames


def voice(num_samples: int, pitch_hz: float = 180.0) -> Tensor:
    """Harmonics of a pitch with a little noise, as 16-bit samples."""
    time = torch.arange(num_samples) / 16_000
    tones = sum(torch.sin(2 * torch.pi * k * pitch_hz * time) / k for k in range(1, 8))
    noise = torch.randn(num_samples, generator=torch.Generator().manual_seed(0))
    return ((0.1 * tones + 0.01 * noise) * 32768).round() / 32768


@pytest.mark.parametrize(("level", "feature_set"), KINDS)
def test_values_are_those_of_the_package_bit_for_bit(level: str, feature_set: str) -> None:
    long_name = {"functionals": "Functionals", "lld": "LowLevelDescriptors"}[level]
    reference = opensmile.Smile(
        opensmile.FeatureSet[feature_set], opensmile.FeatureLevel[long_name]
    )
    upstream = build(level, feature_set)
    waveform = voice(9_123)
    frames = frames_of(upstream, waveform)
    _, _, expected = reference.process(waveform.numpy(), 16_000)
    assert np.array_equal(frames.numpy(), expected)
    assert frames.dtype == torch.float32
    assert frames.shape == (upstream.num_frames(9_123), upstream.dim)


def test_samples_are_neither_rounded_nor_wrapped_round() -> None:
    upstream = build("lld", "eGeMAPSv02")
    waveform = voice(4_000)
    finer = waveform + 0.3 / 32768
    assert not torch.equal(frames_of(upstream, finer), frames_of(upstream, waveform))
    # at +1 the package's 16-bit samples turn into -1: a click, and three times the loudness
    loud = waveform / waveform.max()
    almost = loud * (1 - 2**-15)
    torch.testing.assert_close(
        frames_of(upstream, loud)[:, 0], frames_of(upstream, almost)[:, 0], rtol=1e-3, atol=0
    )


@pytest.mark.parametrize(("level", "feature_set"), KINDS)
def test_a_clip_in_a_padded_batch_is_the_clip_alone(level: str, feature_set: str) -> None:
    upstream = build(level, feature_set)
    clips = [voice(n, pitch) for n, pitch in ((3_000, 120.0), (1_000, 220.0), (700, 300.0))]
    padded = torch.full((3, 3_000), torch.nan)
    for row, clip in zip(padded, clips, strict=True):
        row[: len(clip)] = clip
    features = upstream(padded, torch.tensor([len(clip) for clip in clips]))
    for row, count, clip in zip(features.frames, features.lengths, clips, strict=True):
        assert torch.equal(row[:count], frames_of(upstream, clip))
        assert not row[count:].any()


@pytest.mark.parametrize("feature_set", ["eGeMAPSv02", "ComParE_2016"])
def test_frames_are_known_beforehand(feature_set: str) -> None:
    functionals, lld = build("functionals", feature_set), build("lld", feature_set)
    for num_samples in (1, 959, 960, 1_119, 1_120, 1_121, 2_000, 5_555):
        waveform = voice(num_samples)
        assert len(frames_of(lld, waveform)) == lld.num_frames(num_samples)
        assert len(frames_of(functionals, waveform)) == 1
    assert functionals.num_frames(10**7) == 1
    assert (functionals.frame_stride, functionals.min_samples) == (0, 960)


def test_a_short_clip_is_the_clip_with_zeros_after_it() -> None:
    upstream = build("lld", "ComParE_2016")
    short = voice(500)
    filled = torch.cat([short, torch.zeros(460)])
    assert torch.equal(frames_of(upstream, short), frames_of(upstream, filled))


@pytest.mark.parametrize("feature_set", ["eGeMAPSv02", "ComParE_2016"])
@pytest.mark.parametrize("centre", [0.3, 0.505])
def test_where_frames_lie(feature_set: str, centre: float) -> None:
    """Loudness and pitch answer to a short sound within a hop of the stated centres."""
    upstream = build("lld", feature_set)
    reference = opensmile.Smile(
        opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.LowLevelDescriptors
    )
    time = torch.arange(16_000) / 16_000
    sound = torch.sin(2 * torch.pi * 200 * time) * torch.exp(-(((time - centre) / 0.05) ** 2))
    changes = (frames_of(upstream, sound) - frames_of(upstream, torch.zeros(16_000))).abs()
    places = torch.arange(len(changes)) * upstream.frame_stride_s + upstream.first_center_s
    found = (changes * places.unsqueeze(1)).sum(0) / changes.sum(0)
    names = [name.lower() for name in reference.feature_names]
    for word, offset_s in (("loudness", 0.01), ("rmsenergy", 0.01), ("f0", -0.01)):
        for column in [i for i, name in enumerate(names) if word in name and "rel" not in name]:
            assert found[column] == pytest.approx(centre + offset_s, abs=0.002), names[column]


def test_silence_has_finite_values() -> None:
    for level, feature_set in KINDS:
        assert frames_of(build(level, feature_set), torch.zeros(4_000)).isfinite().all()


def test_threads_change_nothing() -> None:
    upstream = build("functionals", "eGeMAPSv02")
    clips = [voice(2_000 + 100 * k, 100 + 10 * k) for k in range(12)]
    alone = [frames_of(upstream, clip) for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda clip: frames_of(upstream, clip), clips))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


def test_the_fingerprint_follows_set_level_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    prints = {build(*kind).fingerprint() for kind in KINDS}
    assert len(prints) == 4
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"99.0 of {name}")
    assert build(*KINDS[0]).fingerprint() not in prints


def test_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="feature_set: expected one of eGeMAPSv02, ComParE_2016"):
        build("lld", "eGeMAPS")
    with pytest.raises(ConfigError, match="feature_level: expected one of functionals, lld"):
        build("llds", "eGeMAPSv02")
    assert options_of("opensmile") == ("feature_set", "feature_level")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"research and private use.*sermm\[opensmile\]"):
        build("lld", "eGeMAPSv02")


@pytest.mark.real
def test_a_recording_has_the_packages_functionals(shared_data: Path) -> None:
    path = next(iter(sorted((shared_data / "emodb").rglob("*.flac"))))
    waveform = load_audio(path)
    for feature_set in LEVELS["functionals"]:
        smile = opensmile.Smile(
            opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.Functionals
        )
        with warnings.catch_warnings():
            _, _, expected = smile.process(waveform, 16_000)
        frames = frames_of(build("functionals", feature_set), torch.from_numpy(waveform))
        assert np.array_equal(frames.numpy(), expected)
