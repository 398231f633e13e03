from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchaudio.compliance import kaldi

from data_modules.errors import ConfigError
from sermm.upstreams import SPEECH_UPSTREAMS, SpeechUpstream, build_speech_upstream, options_of

NAMES = list(SPEECH_UPSTREAMS)


def noise(num_samples: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(num_samples, generator=generator)


def frames_of(upstream: SpeechUpstream, waveform: Tensor) -> Tensor:
    features = upstream(waveform.unsqueeze(0), torch.tensor([len(waveform)]))
    assert features.lengths.tolist() == [features.frames.shape[1]]
    frames: Tensor = features.frames[0]
    return frames


def kaldi_logmel(waveform: np.ndarray, num_bands: int = 64) -> np.ndarray:
    """Kaldi's definition in float64, window by window, with numpy alone."""
    samples, window, hop, size = waveform.astype(np.float64) * 32768, 400, 320, 512
    mirrored = np.concatenate([samples[:40][::-1], samples, samples[::-1]])
    povey = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / (window - 1))) ** 0.85

    def mel(hertz: np.ndarray) -> np.ndarray:
        return 1127 * np.log1p(hertz / 700)

    edges = np.linspace(mel(np.array(20.0)), mel(np.array(8000.0)), num_bands + 2)
    bins = mel(np.arange(size // 2) * 16000 / size)
    up = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    down = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    weights = np.clip(np.minimum(up, down), 0, None)
    rows = []
    for start in range(0, (len(samples) + 160) // hop * hop, hop):
        part = mirrored[start : start + window]
        part = part - part.mean()
        part = (part - 0.97 * np.concatenate([part[:1], part[:-1]])) * povey
        power = np.abs(np.fft.rfft(part, size)[: size // 2]) ** 2
        rows.append(np.log(weights @ power))
    return np.stack(rows)


def test_logmel_is_kaldis() -> None:
    waveform = noise(8123)
    expected = kaldi_logmel(waveform.numpy())
    assert expected.min() > 0  # nothing reaches the floor here
    frames = frames_of(build_speech_upstream("logmel"), waveform)
    np.testing.assert_allclose(frames.numpy(), expected, atol=2e-3)


def test_logmel_floor_is_one_16_bit_step() -> None:
    frames = frames_of(build_speech_upstream("logmel"), torch.zeros(16000))
    assert torch.equal(frames, torch.zeros(50, 64))


def test_mfcc_is_kaldis_with_differences() -> None:
    waveform = noise(16000)
    frames = frames_of(build_speech_upstream("mfcc"), waveform).numpy()
    cepstra = kaldi.mfcc(
        waveform.unsqueeze(0) * 32768,
        num_ceps=40,
        num_mel_bins=64,
        frame_shift=20.0,
        snip_edges=False,
        use_energy=False,
    ).numpy()
    np.testing.assert_allclose(frames[:, :40], cepstra, atol=1e-3)

    def differences(values: np.ndarray) -> np.ndarray:
        """Least-squares slope over five frames, edges repeated."""
        padded = np.concatenate([values[:1], values[:1], values, values[-1:], values[-1:]])
        weighted = [k * padded[2 + k : len(values) + 2 + k] for k in (-2, -1, 1, 2)]
        return np.sum(weighted, axis=0) / 10

    np.testing.assert_allclose(frames[:, 40:80], differences(frames[:, :40]), atol=1e-3)
    np.testing.assert_allclose(frames[:, 80:], differences(frames[:, 40:80]), atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
@given(num_samples=st.integers(1, 4000), hop_ms=st.sampled_from([5.0, 10.0, 12.5, 20.0, 25.0]))
@settings(max_examples=25)
def test_the_number_of_frames_is_known_beforehand(
    name: str, num_samples: int, hop_ms: float
) -> None:
    upstream = build_speech_upstream(name, hop_ms=hop_ms)
    frames = frames_of(upstream, noise(num_samples))
    assert frames.shape == (upstream.num_frames(num_samples), upstream.dim)
    assert frames.isfinite().all()
    # a clip as long as k frames has k frames
    assert upstream.num_frames(50 * upstream.frame_stride) == 50


@pytest.mark.parametrize("hop_ms", [10.0, 20.0])
@pytest.mark.parametrize(("name", "column"), [("logmel", 30), ("mfcc", 0), ("lld", 4)])
@pytest.mark.parametrize("index", [0, 1, 17, 39])
def test_a_sound_stands_in_the_frame_of_its_time(
    name: str, column: int, index: int, hop_ms: float
) -> None:
    upstream = build_speech_upstream(name, hop_ms=hop_ms)
    waveform = torch.zeros(40 * upstream.frame_stride)
    center = upstream.first_center + index * upstream.frame_stride
    assert int(center / upstream.frame_stride) == index
    waveform[int(center) - 20 : int(center) + 20] = noise(40)
    frames = frames_of(upstream, waveform)
    assert int(frames[:, column].argmax()) == index


@pytest.mark.parametrize("name", NAMES)
def test_the_batch_and_its_padding_change_no_bit(name: str) -> None:
    upstream = build_speech_upstream(name)
    lengths = torch.tensor([16000, 1, 399, 400, 401, 5003, 31999])
    # what stands after a clip's end must not matter
    waveform = torch.stack([noise(32000, seed) for seed in range(len(lengths))])
    batch = upstream(waveform, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = frames_of(upstream, waveform[row, :length])
        count = int(batch.lengths[row])
        assert torch.equal(batch.frames[row, :count], alone)
        assert not batch.frames[row, count:].any()


@pytest.mark.parametrize("name", NAMES)
def test_a_short_clip_is_filled_up_with_zeros(name: str) -> None:
    upstream = build_speech_upstream(name)
    assert upstream.min_samples == 400
    short = noise(150)
    filled = torch.cat([short, torch.zeros(250)])
    frames = frames_of(upstream, short)
    assert len(frames) == 1
    assert torch.equal(frames, frames_of(upstream, filled))


def test_log_mel_and_descriptors_stand_side_by_side() -> None:
    waveform = noise(12345)
    both = frames_of(build_speech_upstream("logmel_lld"), waveform)
    parts = [frames_of(build_speech_upstream(name), waveform) for name in ("logmel", "lld")]
    assert torch.equal(both, torch.cat(parts, dim=1))


def test_the_fingerprint_follows_name_options_and_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes: list[tuple[str, dict[str, float]]] = [(name, {}) for name in NAMES]
    for name in NAMES:
        for option in options_of(name):
            default = {"num_ceps": 40, "num_bands": 64, "window_ms": 25.0, "hop_ms": 20.0}
            value = default.get(option, 100.0)
            changes.append((name, {option: value + (-1 if option.startswith("num") else 1)}))
    prints = [build_speech_upstream(name, **options).fingerprint() for name, options in changes]
    assert len(set(prints)) == len(prints) == 4 + 3 + 4 + 4 + 5
    assert prints[0] == build_speech_upstream("logmel", num_bands=64, hop_ms=20).fingerprint()
    for part, wholes in (("logmel", ["mfcc", "logmel_lld"]), ("lld", ["logmel_lld"])):
        with monkeypatch.context() as patch:
            patch.setattr(SPEECH_UPSTREAMS[part], "transform_version", 99)
            for name in [part, *wholes]:
                assert build_speech_upstream(name).fingerprint() not in prints


GOLDEN = {
    "logmel": (
        "5df56287583120654d6f2e22",
        [
            [11.954797, 17.852842, 10.581581, 17.341251, 11.90871],
            [13.442059, 21.060743, 16.726671, 12.717859, 21.359869],
            [14.761923, 20.979937, 21.415419, 15.202608, 16.11576],
        ],
    ),
    "mfcc": (
        "928a2be824345b82a9e82a6d",
        [
            [134.6555, 0.784679, 10.478205, 5.020763, 11.366009],
            [155.58969, 5.993454, 4.666708, -1.070056, -14.898801],
            [166.29236, -1.606333, 5.738693, -14.497934, -52.829987],
        ],
    ),
    "lld": (
        "8700bcc8c922fc343e4f8091",
        [
            [26.687227, 0.973775, 0.324882, 0.368445, -0.877463],
            [30.523415, 0.988101, 0.374528, 0.355986, 0.711608],
            [33.709843, 0.985812, 0.432468, 0.361885, -6.288157],
        ],
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_stored_features_stay_true(name: str) -> None:
    """If this fails, features that users have stored differ from what is computed now.

    Raise ``transform_version`` of the upstream, then take the new values.
    """
    upstream = build_speech_upstream(name)
    fingerprint, expected = GOLDEN[name]
    assert upstream.fingerprint() == fingerprint
    time_s = torch.arange(16000) / 16000
    sweep = torch.sin(2 * torch.pi * (120 * time_s + 40 * time_s.square()))
    frames = frames_of(upstream, 0.3 * sweep.sign() * time_s + noise(16000) / 50)
    found = frames[[5, 25, 45]][:, [0, 3, 6, 9, 12]]
    np.testing.assert_allclose(found.numpy(), np.array(expected), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("logmell", {}, "model.speech.upstream: expected one of logmel, mfcc, lld, logmel_lld"),
        ("logmel", {"num_ceps": 3}, "model.speech.num_ceps: expected an option of logmel: num_b"),
        ("logmel", {"hop_ms": 30}, "hop_ms: expected between .*window_ms .25 ms., got 30"),
        ("lld", {"hop_ms": 0.01}, "hop_ms: expected between"),
        ("logmel", {"num_bands": 300}, "num_bands: expected bands .* got 300, of which .* none"),
        ("mfcc", {"num_ceps": 65}, r"num_ceps: expected at most model.speech.num_bands \(64\)"),
        ("lld", {"window_ms": 4, "hop_ms": 4}, "window_ms: expected at least 4.1 ms for lld"),
        ("lld", {"f0_min_hz": 700}, "f0_min_hz: expected 20 <= .* got 700 and 600"),
        ("logmel_lld", {"f0_max_hz": 9000}, "f0_min_hz: expected 20 <= .* got 60 and 9000"),
    ],
)
def test_wrong_options_name_the_key(name: str, options: dict[str, float], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        build_speech_upstream(name, **options)
