"""Audio files to 16 kHz mono float32, and every way in which a file can disappoint, by name.

Nothing here knows corpora. A file that cannot be used whole raises; it is never shortened or
filled up. The sound of video files is decoded in ``containers.py``.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import soundfile

from data_modules.errors import MediaError

SAMPLE_RATE = 16_000
"""Rate of all audio inside sermm, in Hz."""

Array = np.ndarray[Any, np.dtype[np.float32]]

CONTAINERS = frozenset((".mp4", ".mkv", ".avi", ".webm", ".m4a", ".mov"))
"""Suffixes of files whose sound FFmpeg decodes, all others go to libsndfile."""

_LARGEST = float(1 << 32)
# 22,254 Hz of old computers takes 89 million; 16,001 Hz, which only damage writes, 256 million
_LARGEST_FILTER = 100_000_000
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
# writers that stream (pipes) cannot know the length and leave one of these in its place
_UNKNOWN_SIZES = (0, 0x7FFFFFFF, 0xFFFFFFFF)


class MissingMediaError(MediaError):
    """There is no such file."""


class EmptyMediaError(MediaError):
    """The file has zero bytes, or a header and no samples."""


class UnreadableMediaError(MediaError):
    """The file is no audio, or not one that can be decoded."""


class PointerMediaError(UnreadableMediaError):
    """The file is a Git LFS pointer: the address of the audio, and not the audio."""


class TruncatedMediaError(MediaError):
    """The file ends before its header, or its utterance, says."""


class MissingReaderError(MediaError):
    """What reads such files is not installed: no fault of the file."""


@dataclass(frozen=True)
class AudioInfo:
    """What a file says of itself.

    Attributes:
        sample_rate: Hz.
        channels: Number of channels.
        num_samples: Samples per channel at ``sample_rate``.
    """

    sample_rate: int
    channels: int
    num_samples: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.num_samples / self.sample_rate


def read_info(path: Path) -> AudioInfo:
    """Rate, channels and length of a file, from its header; a video file is decoded for it.

    Raises:
        MediaError: The file is missing, empty, no audio, or shorter than its header says.
    """
    if is_container(path):
        samples, sample_rate = _read_container(path, None, None)
        return AudioInfo(sample_rate, samples.shape[1], len(samples))
    try:
        _expect_bytes(path)
        _expect_whole_wav(path)
        info = soundfile.info(str(path))
    except RuntimeError as error:  # libsndfile's
        _unreadable(path, error)
    except OSError as error:
        _forbidden(path, error)
    if info.frames <= 0:
        raise EmptyMediaError(
            path,
            expected="audio",
            got="a header without samples",
            fix="copy the file again from its source",
        )
    return AudioInfo(int(info.samplerate), int(info.channels), int(info.frames))


def is_container(path: Path) -> bool:
    """Whether the sound of a file is decoded by FFmpeg."""
    return path.suffix.lower() in CONTAINERS


def read_channels(
    path: Path, start_s: float | None = None, end_s: float | None = None
) -> tuple[Array, int]:
    """Decode a file as it is.

    Args:
        path: WAV, FLAC, OGG or MP3, or a video file (``CONTAINERS``).
        start_s: Where to start, None for the start of the file.
        end_s: Where to end, None for the end of the file.

    Returns:
        Samples ``(N, channels)`` float32 at the file's own rate, and that rate in Hz.

    Raises:
        MediaError: As :func:`read_info`; also if the file ends before ``end_s``, cannot be decoded
            to its end, or holds values that are not finite.
    """
    if is_container(path):
        return _read_container(path, start_s, end_s)
    info = read_info(path)
    start = 0 if start_s is None else round(start_s * info.sample_rate)
    stop = info.num_samples if end_s is None else round(end_s * info.sample_rate)
    _expect_part(path, start, stop, info.sample_rate)
    if stop > info.num_samples:
        _ends_before(path, stop / info.sample_rate, info.duration_s)
    try:
        samples, _ = soundfile.read(
            str(path), start=start, frames=stop - start, dtype="float32", always_2d=True
        )
    except MemoryError:
        raise TruncatedMediaError(
            path,
            expected="as many samples as memory holds",
            got=f"{stop - start} in each of {info.channels} channels, as its header says",
            fix="copy the file again from its source, or cut it into parts",
        ) from None
    except RuntimeError as error:
        # the header was read, so the rest of the file is what is missing or damaged
        raise TruncatedMediaError(
            path,
            expected=f"{info.num_samples} samples, as its header says",
            got=f"a decoder that stops before ({_reason(error)})",
            fix="copy the file again from its source",
        ) from None
    if len(samples) < stop - start:
        raise TruncatedMediaError(
            path,
            expected=f"{stop - start} samples, as its header says",
            got=str(len(samples)),
            fix="copy the file again from its source",
        )
    _expect_usable(path, samples, info.sample_rate)
    return samples, info.sample_rate


def _read_container(path: Path, start_s: float | None, end_s: float | None) -> tuple[Array, int]:
    """As :func:`read_channels`, of a video file."""
    try:
        _expect_bytes(path)
        with path.open("rb") as stream:
            if stream.read(len(_LFS_POINTER)) == _LFS_POINTER:
                _lfs_pointer(path)
    except OSError as error:
        _forbidden(path, error)
    from data_modules.containers import read_track

    samples, sample_rate, there = read_track(path, start_s, end_s)
    start = 0 if start_s is None else round(start_s * sample_rate)
    stop = there if end_s is None else round(end_s * sample_rate)
    _expect_part(path, start, stop, sample_rate)
    if stop > there:
        _ends_before(path, stop / sample_rate, there / sample_rate)
    _expect_usable(path, samples, sample_rate)
    return samples, sample_rate


def to_mono_16k(samples: Array, sample_rate: int) -> Array:
    """Mean of the channels, resampled.

    Args:
        samples: ``(N, channels)`` float32.
        sample_rate: Their rate in Hz.

    Returns:
        ``(N',)`` float32 at 16 kHz, ``N' = ceil(N * 16000 / sample_rate)``. One channel at 16 kHz
        comes back bit for bit.
    """
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
    if sample_rate == SAMPLE_RATE:
        return np.ascontiguousarray(mono)
    # a second of import that most corpora never need
    import torch
    from torchaudio.functional import resample

    resampled = resample(torch.from_numpy(np.ascontiguousarray(mono)), sample_rate, SAMPLE_RATE)
    result: Array = resampled.numpy()
    return result


def load_audio(path: Path, start_s: float | None = None, end_s: float | None = None) -> Array:
    """The samples of a file, or of a part of it, as all of sermm uses them.

    Args:
        path: WAV, FLAC, OGG or MP3, any rate, any number of channels.
        start_s: Where to start, None for the start of the file.
        end_s: Where to end, None for the end of the file.

    Returns:
        ``(N,)`` float32, 16 kHz, mono.

    Raises:
        MediaError: As :func:`read_channels`.
    """
    return to_mono_16k(*read_channels(path, start_s, end_s))


def content_hash(waveform: Array) -> str:
    """SHA-256 of samples, so that features belong to what is heard and not to a file name.

    Args:
        waveform: ``(N,)`` float32, 16 kHz, mono.
    """
    return hashlib.sha256(np.ascontiguousarray(waveform, dtype="<f4").tobytes()).hexdigest()


def _expect_bytes(path: Path) -> None:
    if not path.is_file():
        raise MissingMediaError(
            path,
            expected="an audio file",
            got="a folder" if path.is_dir() else "no file",
            fix="copy it from the release, or correct data.root",
        )
    if path.stat().st_size == 0:
        raise EmptyMediaError(
            path, expected="audio", got="zero bytes", fix="copy the file again from its source"
        )


def _expect_whole_wav(path: Path) -> None:
    """Check a WAV header here, since libsndfile reads what is left of a cut file without a word."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return
        while len(chunk := stream.read(8)) == 8:
            length = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"data":
                there = size - stream.tell()
                if length > there and length not in _UNKNOWN_SIZES:
                    raise TruncatedMediaError(
                        path,
                        expected=f"{length} bytes of samples, as its header says",
                        got=str(there),
                        fix="copy the file again from its source",
                    )
                return
            # chunks start at even positions
            stream.seek(length + length % 2, 1)


def _expect_part(path: Path, start: int, stop: int, sample_rate: int) -> None:
    """Check that there is something between two samples."""
    if not 0 <= start < stop:
        raise EmptyMediaError(
            path,
            expected="a part with a start before its end",
            got=f"{start / sample_rate:.3f} s to {stop / sample_rate:.3f} s",
            fix="mend the times of the utterance in the release, then `sermm prepare` again",
        )


def _expect_usable(path: Path, samples: Array, sample_rate: int) -> None:
    """Check that samples are sound, and that they can be brought to 16 kHz."""
    # not finite, or larger than any sound that was ever recorded in whole numbers
    bad = ~(np.abs(samples) <= _LARGEST)
    if bad.any():
        raise UnreadableMediaError(
            path,
            expected="finite samples",
            got=f"{int(bad.sum())} that are infinite, not a number or beyond {_LARGEST:.0e}",
            fix="convert the file again from its source",
        )
    common = math.gcd(sample_rate, SAMPLE_RATE)
    if sample_rate // common * (SAMPLE_RATE // common) > _LARGEST_FILTER:
        raise UnreadableMediaError(
            path,
            expected=f"a rate that a filter of {_LARGEST_FILTER:,} values brings to 16 kHz",
            got=f"{sample_rate} Hz",
            fix="correct its header, or convert the file to 16 kHz",
        )


def _ends_before(path: Path, wanted_s: float, there_s: float) -> NoReturn:
    raise TruncatedMediaError(
        path,
        expected=f"audio up to {wanted_s:.3f} s",
        got=f"{there_s:.3f} s",
        fix="copy the file again from its source, then `sermm prepare` again",
    )


def _forbidden(path: Path, error: OSError) -> NoReturn:
    raise UnreadableMediaError(
        path,
        expected="a file that may be read",
        got=str(error.strerror),
        fix="correct its permissions, or copy it again from its source",
    ) from None


def _lfs_pointer(path: Path) -> NoReturn:
    raise PointerMediaError(
        path,
        expected="audio",
        got="a Git LFS pointer, that is the address of the audio",
        fix="run `git lfs pull` where it lies",
    ) from None


def _unreadable(path: Path, error: Exception) -> NoReturn:
    with path.open("rb") as stream:
        if stream.read(len(_LFS_POINTER)) == _LFS_POINTER:
            _lfs_pointer(path)
    raise UnreadableMediaError(
        path,
        expected="audio that libsndfile reads (WAV, FLAC, OGG, MP3)",
        got=_reason(error),
        fix="copy the file again from its source, or convert it to WAV",
    ) from None


def _reason(error: Exception) -> str:
    """What libsndfile says, without the path that stands in the message already."""
    text = str(getattr(error, "error_string", error)).strip().rstrip(".")
    return text.removeprefix("Error : ").removeprefix("Error in ") or "an unknown format"
