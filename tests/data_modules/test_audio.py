from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from data_modules.audio import (
    SAMPLE_RATE,
    EmptyMediaError,
    MissingMediaError,
    TruncatedMediaError,
    UnreadableMediaError,
    content_hash,
    load_audio,
    read_info,
)
from data_modules.errors import MediaError
from tests.data_modules.iemocap_tree import wav_bytes


def noise(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-20_000, 20_000, length, dtype=np.int16)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_16_khz_mono_comes_back_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    samples = noise(4321)
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, samples, SAMPLE_RATE, subtype="PCM_16")
    waveform = load_audio(path)
    assert waveform.dtype == np.float32
    assert waveform.shape == (4321,)
    np.testing.assert_array_equal(waveform * 32768, samples)
    assert read_info(path).duration_s == 4321 / 16_000


@pytest.mark.parametrize("sample_rate", [8_000, 22_050, 24_000, 44_100, 48_000])
def test_other_rates_are_resampled(tmp_path: Path, sample_rate: int) -> None:
    seconds = 0.5
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    tone = (0.5 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone, sample_rate, subtype="FLOAT")
    waveform = load_audio(path)
    assert len(waveform) == 8_000
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8_000) / SAMPLE_RATE)
    # filters ring at both ends; between them the tone is the tone
    np.testing.assert_allclose(waveform[400:-400], expected[400:-400], atol=2e-3)


def test_resampling_removes_what_16_khz_cannot_hold(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / "noise.wav"
    soundfile.write(path, 0.1 * rng.standard_normal(48_000).astype(np.float32), 48_000, "FLOAT")
    source, _ = soundfile.read(path)
    reference = resample_poly(source, 1, 3)
    ours = load_audio(path)
    # two filters of different steepness: equal in loudness to a few percent, not in samples
    assert np.std(ours) == pytest.approx(np.std(reference), rel=0.05)
    assert np.corrcoef(ours, reference)[0, 1] > 0.99


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = noise(2000), noise(2000, seed=1)
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([left, right], axis=1), SAMPLE_RATE)
    expected = (left.astype(np.float64) + right) / 2 / 32768
    np.testing.assert_allclose(load_audio(path), expected, atol=1e-7)
    assert read_info(path).channels == 2


def test_a_part_of_a_file(tmp_path: Path) -> None:
    samples = noise(16_000)
    path = tmp_path / "clip.wav"
    path.write_bytes(wav_bytes(samples))
    part = load_audio(path, 0.25, 0.75)
    np.testing.assert_array_equal(part * 32768, samples[4_000:12_000])
    np.testing.assert_array_equal(load_audio(path, end_s=0.5), load_audio(path)[:8_000])
    with pytest.raises(TruncatedMediaError, match=r"up to 1\.500 s, got 1\.000 s"):
        load_audio(path, 0.5, 1.5)
    with pytest.raises(EmptyMediaError, match="a start before its end"):
        load_audio(path, 0.5, 0.5)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingMediaError, match=r"gone\.wav: expected an audio file, got no file"):
        load_audio(tmp_path / "gone.wav")
    with pytest.raises(MissingMediaError, match="got a folder"):
        load_audio(tmp_path)


def test_zero_bytes_and_no_samples(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(b"")
    with pytest.raises(EmptyMediaError, match=r"clip\.wav: .*got zero bytes; copy the file again"):
        load_audio(path)
    path.write_bytes(wav_bytes(noise(0)))
    with pytest.raises(EmptyMediaError, match="a header without samples"):
        load_audio(path)


@pytest.mark.parametrize("kept", [46, 1_000, 3_999, 4_043])
def test_a_cut_wav_is_told_from_its_header(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(wav_bytes(noise(2_000))[:kept])
    with pytest.raises(TruncatedMediaError, match=r"expected 4000 bytes of samples.*got \d+; copy"):
        read_info(path)


def test_a_wav_with_chunks_before_its_samples(tmp_path: Path) -> None:
    whole = wav_bytes(noise(2_000))
    listed = whole[:36] + b"LIST" + (5).to_bytes(4, "little") + b"INFO!\0" + whole[36:]
    path = tmp_path / "clip.wav"
    path.write_bytes(listed)
    assert len(load_audio(path)) == 2_000
    path.write_bytes(listed[:-2])
    with pytest.raises(TruncatedMediaError):
        load_audio(path)


def test_a_streamed_wav_does_not_know_its_length(tmp_path: Path) -> None:
    whole = bytearray(wav_bytes(noise(2_000)))
    whole[4:8] = whole[40:44] = b"\xff" * 4
    path = tmp_path / "clip.wav"
    path.write_bytes(whole)
    assert len(load_audio(path)) == 2_000


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_cut_flac(tmp_path: Path, share: float) -> None:
    path = tmp_path / "clip.flac"
    soundfile.write(path, noise(40_000), SAMPLE_RATE)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(TruncatedMediaError, match="as its header says"):
        load_audio(path)


def test_a_cut_mp3_gives_fewer_samples_than_its_header_says(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp3"
    soundfile.write(path, noise(40_000), SAMPLE_RATE)
    assert len(load_audio(path)) == 40_000
    path.write_bytes(path.read_bytes()[:4_000])
    with pytest.raises(TruncatedMediaError, match=r"expected 40000 samples.*got \d+; copy"):
        load_audio(path)


@pytest.mark.parametrize("content", [b"hello", b"RIFF\0\0\0\0WAVE", b"RIFF", b"\0" * 500, b"fLaC"])
def test_what_is_no_audio(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"clip\.wav: expected audio") as caught:
        load_audio(path)
    assert str(caught.value).count(str(path)) == 1


def test_a_git_lfs_pointer_is_called_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(UnreadableMediaError, match=r"Git LFS pointer.*git lfs pull"):
        load_audio(path)


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    samples = np.zeros(100, dtype=np.float32)
    samples[[3, 5]] = np.nan, np.inf
    path = tmp_path / "clip.wav"
    soundfile.write(path, samples, SAMPLE_RATE, subtype="FLOAT")
    with pytest.raises(UnreadableMediaError, match="finite samples, got 2"):
        load_audio(path)


def test_the_hash_is_of_what_is_heard(tmp_path: Path) -> None:
    samples = noise(3000)
    wav, flac = tmp_path / "a.wav", tmp_path / "b.flac"
    wav.write_bytes(wav_bytes(samples))
    soundfile.write(flac, samples, SAMPLE_RATE)
    expected = hashlib.sha256((samples.astype("<f4") / 32768).tobytes()).hexdigest()
    assert content_hash(load_audio(wav)) == content_hash(load_audio(flac)) == expected
    samples[1500] += 1
    wav.write_bytes(wav_bytes(samples))
    assert content_hash(load_audio(wav)) != expected


@pytest.mark.real
def test_real_48_khz_stereo_and_mono_agree_with_the_copy_at_16_khz(shared_data: Path) -> None:
    originals = sorted((shared_data / "ravdess" / "original_wav").rglob("*.wav"))
    assert len(originals) == 7
    assert sum(read_info(path).channels == 2 for path in originals) == 3
    for path in originals:
        assert read_info(path).sample_rate == 48_000
        copies = shared_data / "ravdess" / "Audio_Speech_Actors_01-24" / path.parent.name
        copy = load_audio(copies / f"{path.stem}.flac")
        ours = load_audio(path)
        assert abs(len(ours) - len(copy)) <= 1
        length = min(len(ours), len(copy))
        assert np.corrcoef(ours[:length], copy[:length])[0, 1] > 0.999


@pytest.mark.parametrize("sample_rate", [16_001, 2_000_000_011])
def test_rates_that_only_damage_writes_are_refused(tmp_path: Path, sample_rate: int) -> None:
    path = tmp_path / "a.wav"
    data = bytearray(wav_bytes(np.ones(800, np.int16)))
    data[24:28] = sample_rate.to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(UnreadableMediaError, match=rf"a\.wav: .* got {sample_rate} Hz; correct"):
        load_audio(path)


def test_samples_beyond_any_sound_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    samples = np.zeros(800, np.float32)
    samples[7] = 3e38
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    with pytest.raises(UnreadableMediaError, match="1 that are infinite, not a number or beyond"):
        load_audio(path)
