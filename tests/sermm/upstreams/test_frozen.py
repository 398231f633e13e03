from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv1d

from data_modules.errors import ConfigError, ModelError
from sermm.upstreams import SpeechUpstream, build_speech_upstream, options_of
from tests.sermm.upstreams.encoder_files import STRETCH, convolution, running_sum

pytest.importorskip("ai_edge_litert", reason="the extra encoders is not installed")
pytest.importorskip("onnxruntime", reason="the extra encoders is not installed")

WEIGHT = np.random.default_rng(0).normal(size=(3, 1, 32)).astype(np.float32)
# 2 ms windows every 1 ms
TIMES = {"window_ms": 2.0, "hop_ms": 1.0}


def frames_of(upstream: SpeechUpstream, waveform: Tensor) -> Tensor:
    features = upstream(waveform.unsqueeze(0), torch.tensor([len(waveform)]))
    assert features.lengths.tolist() == [features.frames.shape[1]]
    assert features.frames.shape[1] == upstream.num_frames(len(waveform))
    frames: Tensor = features.frames[0]
    assert frames.dtype == torch.float32
    return frames


def noise(num_samples: int, seed: int = 0) -> Tensor:
    return torch.randn(num_samples, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def stateful(tmp_path: Path) -> SpeechUpstream:
    path = tmp_path / "sum.tflite"
    path.write_bytes(running_sum())
    return build_speech_upstream("tflite", name=str(path))


@pytest.fixture
def whole(tmp_path: Path) -> SpeechUpstream:
    path = tmp_path / "whole.onnx"
    path.write_bytes(convolution(WEIGHT, stride=16))
    return build_speech_upstream("onnx", name=str(path), **TIMES)


@pytest.fixture
def pieces(tmp_path: Path) -> SpeechUpstream:
    path = tmp_path / "pieces.onnx"
    path.write_bytes(convolution(WEIGHT, stride=16, length=48))
    return build_speech_upstream("onnx", name=str(path))


def test_each_clip_begins_from_nothing(stateful: SpeechUpstream) -> None:
    assert (stateful.dim, stateful.frame_stride, stateful.first_center) == (4, 4, 2)
    for _ in range(2):
        waveform = noise(3 * STRETCH - 3)
        frames = frames_of(stateful, waveform)
        filled = torch.cat([waveform, torch.zeros(3)]).reshape(3, STRETCH)
        torch.testing.assert_close(frames, filled.cumsum(0).reshape(6, 4))


def test_whole_clips_are_what_torch_computes(whole: SpeechUpstream) -> None:
    assert (whole.dim, whole.frame_stride, whole.first_center) == (3, 16, 16)
    waveform = noise(333)
    expected = conv1d(waveform.view(1, 1, -1), torch.from_numpy(WEIGHT), stride=16)[0].T
    torch.testing.assert_close(frames_of(whole, waveform), expected, atol=1e-5, rtol=1e-5)


def test_stretches_follow_each_other(pieces: SpeechUpstream) -> None:
    # two frames of each 48 samples
    assert (pieces.dim, pieces.frame_stride, pieces.min_samples) == (3, 24, 48)
    waveform = noise(100)
    filled = torch.cat([waveform, torch.zeros(44)]).reshape(3, 1, 48)
    expected = conv1d(filled, torch.from_numpy(WEIGHT), stride=16).transpose(1, 2).reshape(6, 3)
    torch.testing.assert_close(frames_of(pieces, waveform), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["stateful", "whole", "pieces"])
def test_neither_batch_nor_threads_change_a_digit(
    kind: str, request: pytest.FixtureRequest
) -> None:
    upstream: SpeechUpstream = request.getfixturevalue(kind)
    clips = [noise(n, seed=n) for n in (500, 1, 333, 48, 47, 49)]
    alone = [frames_of(upstream, clip) for clip in clips]
    padded = torch.full((len(clips), 500), torch.nan)
    for row, clip in zip(padded, clips, strict=True):
        row[: len(clip)] = clip
    features = upstream(padded, torch.tensor([len(clip) for clip in clips]))
    for row, count, expected in zip(features.frames, features.lengths, alone, strict=True):
        assert torch.equal(row[:count], expected)
        assert not row[count:].any()
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda clip: frames_of(upstream, clip), clips * 5))
    assert all(torch.equal(a, b) for a, b in zip(alone * 5, together, strict=True))


def test_the_fingerprint_follows_content_times_and_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, copy = tmp_path / "a.onnx", tmp_path / "b.onnx"
    for file in (path, copy):
        file.write_bytes(convolution(WEIGHT, stride=16))

    def fingerprint(name: Path, **times: float) -> str:
        return build_speech_upstream("onnx", name=str(name), **{**TIMES, **times}).fingerprint()

    first = fingerprint(path)
    assert fingerprint(copy) == first
    assert fingerprint(path, hop_ms=2.0) != first
    copy.write_bytes(convolution(2 * WEIGHT, stride=16))
    assert fingerprint(copy) != first
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"99.0 of {name}")
    assert fingerprint(path) != first
    assert options_of("tflite") == ("name",)
    assert options_of("onnx") == ("name", "window_ms", "hop_ms")


def test_times_that_are_not_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(convolution(WEIGHT, stride=16))
    wrong = build_speech_upstream("onnx", name=str(path), window_ms=2.0, hop_ms=2.0)
    with pytest.raises(ModelError, match=r"expected \(10, 3\) values for 333 samples, got \(19, 3"):
        frames_of(wrong, noise(333))
    short = build_speech_upstream("onnx", name=str(path), window_ms=1.0, hop_ms=1.0)
    with pytest.raises(
        ModelError, match=r"frames of 16 samples.*set model.speech.hop_ms and model"
    ):
        frames_of(short, noise(16))


@pytest.mark.parametrize(
    ("upstream", "content", "message"),
    [
        ("tflite", b"", "expected a TensorFlow Lite file"),
        ("tflite", b"TFL3" * 99, "expected a TensorFlow Lite file"),
        ("tflite", convolution(WEIGHT, stride=16), "expected a TensorFlow Lite file"),
        ("tflite", running_sum(inputs=2), "expected one input and one output, got 2 and 1"),
        ("onnx", b"no model", "expected an ONNX file with its weights inside"),
        (
            "onnx",
            convolution(WEIGHT, stride=16, outside="weights.bin"),
            "expected an ONNX file with its weights inside",
        ),
        (
            "onnx",
            convolution(WEIGHT, stride=3, length=47),
            r"N samples to a number of frames that divides N, got \[1, 47\] to \[1, 6, 3\]",
        ),
    ],
)
def test_files_that_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    upstream: str,
    content: bytes,
    message: str,
) -> None:
    path = tmp_path / "encoder"
    path.write_bytes(content)
    # they are where they would be looked for
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.bin").write_bytes(WEIGHT.tobytes())
    with pytest.raises(ModelError, match=message) as caught:
        build_speech_upstream(upstream, name=str(path))
    assert caught.value.where == f"model.speech.name={path}"
    assert "\n" not in str(caught.value)


def test_no_file_and_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for upstream in ("tflite", "onnx"):
        with pytest.raises(ConfigError, match=rf"the \.{upstream} file of an encoder, got nothing"):
            build_speech_upstream(upstream, name="")
        with pytest.raises(ConfigError, match="none here, no file"):
            build_speech_upstream(upstream, name="none here")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install sermm\[encoders\]"):
        build_speech_upstream("tflite", name=str(tmp_path))


@pytest.mark.real
def test_lyras_encoder(shared_data: Path) -> None:
    path = shared_data / "lyra" / "soundstream_encoder.tflite"
    upstream = build_speech_upstream("tflite", name=str(path))
    assert (upstream.dim, upstream.frame_stride, upstream.first_center) == (64, 320, 160)
    waveform = 0.1 * noise(16_000)
    first = frames_of(upstream, waveform)
    assert first.shape == (50, 64)
    assert torch.equal(frames_of(upstream, waveform), first)
    # causal: what comes later does not change what was
    assert torch.equal(frames_of(upstream, waveform[:8_000]), first[:25])
    sound = waveform.clone()
    sound[8_000:8_320] += 0.5
    changed = (frames_of(upstream, sound) != first).any(dim=1)
    assert int(changed.nonzero()[0]) == 25
