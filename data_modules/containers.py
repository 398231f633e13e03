"""The sound of video containers (MP4, MKV, AVI, WebM, M4A), decoded by FFmpeg through PyAV.

PyAV is an extra and is imported on first use. FFmpeg plays what is left of a damaged file without
a word; here a file that ends early, skips a stretch or holds what cannot be decoded raises. The
first sample is the first that the track holds, as in a WAV that ``ffmpeg`` makes of it. What no
header tells stays hidden: a packet whose damage still decodes, a header that states less.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_modules.audio import (
    Array,
    EmptyMediaError,
    MissingReaderError,
    TruncatedMediaError,
    UnreadableMediaError,
)
from data_modules.container_sizes import expect_stated_size

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

SHORT_S = 0.1
"""How much less than its header says a whole track may hold: encoders round to their frames."""

_SCALES = {"uint8": (128, 128), "int16": (0, 1 << 15), "int32": (0, 1 << 31), "int64": (0, 1 << 63)}

GAP_S = 0.05
"""How far apart two frames in a row may lie: timestamps in milliseconds and rounding, no more."""


def read_track(path: Path, start_s: float | None, end_s: float | None) -> tuple[Array, int, int]:
    """Decode the sound of a container, up to where it is needed.

    Args:
        path: A file with one sound track.
        start_s: Where to start, None for the start of the track.
        end_s: Where to end, None for the end of the track.

    Returns:
        Samples ``(N, channels)`` float32 from ``start_s`` on, no later than ``end_s``; their rate
        in Hz; and how many samples per channel were decoded from the start of the track. Where
        the track ends before ``end_s``, there are fewer than asked for.

    Raises:
        MediaError: There is not one sound track, it ends before the file says, skips a stretch,
            cannot be decoded, or PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingReaderError(
            path,
            expected="the decoder for video files (PyAV)",
            got=f"none ({error})",
            fix="install it with `pip install sermm[video]`, or convert the sound to WAV",
        ) from None
    expect_stated_size(path)
    parts: list[Array] = []
    decoded = 0
    try:
        # neither a colon in the name nor a playlist in the file may lead anywhere else
        with av.open(
            f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="replace"
        ) as container:
            for block, rate in _blocks(path, container, _only_track(path, container)):
                low = 0 if start_s is None else max(round(start_s * rate) - decoded, 0)
                high = len(block)
                if end_s is not None:
                    high = min(round(end_s * rate) - decoded, high)
                # also an empty part has the channels of the track
                parts.append(block[low : max(low, high)])
                decoded += len(block)
                if high < len(block):
                    break
    except (av.error.FFmpegError, ValueError, IndexError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableMediaError(
            path,
            expected="a file whose sound can be decoded to its end",
            got=f"a decoder that stops ({str(reason).rstrip('.').lower()})",
            fix="copy the file again from its source",
        ) from None
    return np.concatenate(parts), rate, decoded


def _only_track(path: Path, container: InputContainer) -> AudioStream:
    tracks = container.streams.audio
    if len(tracks) != 1:
        raise UnreadableMediaError(
            path,
            expected="one sound track",
            got=str(len(tracks)) if tracks else "none",
            fix="keep one track, for instance with `ffmpeg -map 0:a:0`",
        )
    # a track that FFmpeg cannot describe has no decoder, and decoding it ends the process
    if tracks[0].codec_context is None:
        raise UnreadableMediaError(
            path,
            expected="a sound track that FFmpeg knows",
            got="one whose kind it cannot tell",
            fix="copy the file again from its source",
        )
    return tracks[0]


def _blocks(
    path: Path, container: InputContainer, stream: AudioStream
) -> Iterator[tuple[Array, int]]:
    """All samples of the track in blocks ``(n, channels)`` with their rate, each checked."""
    rate, channels = 0, 0
    ends = _Ends()
    decoded = 0
    for frame in _frames(container, stream, ends):
        rate, channels = rate or frame.sample_rate, channels or frame.layout.nb_channels
        planes = channels if frame.format.is_planar else 1
        now = (frame.sample_rate, frame.layout.nb_channels, len(frame.planes))
        # where damage changes the number of channels, planes lead to memory that is not theirs
        if now != (rate, channels, planes):
            raise UnreadableMediaError(
                path,
                expected=f"{channels} channels at {rate} Hz throughout",
                got=f"{now[1]} at {now[0]} Hz after {decoded / rate:.3f} s",
                fix="copy the file again from its source, or convert its sound to WAV",
            )
        block = _samples(frame)
        late = ends.sound is not None and (frame.time or 0.0) > ends.sound + GAP_S
        if late or frame.is_corrupt:
            raise TruncatedMediaError(
                path,
                expected="sound without holes",
                got=f"a hole after {decoded / rate:.3f} s",
                fix="copy the file again from its source, or convert its sound to WAV",
            )
        if frame.time is not None:
            ends.sound = frame.time + len(block) / rate
        decoded += len(block)
        yield block, rate
    if not decoded:
        raise EmptyMediaError(
            path,
            expected="audio",
            got="a sound track without samples",
            fix="copy the file again from its source",
        )
    _expect_whole(path, container, stream, decoded / rate, ends)


class _Ends:
    """How far, in seconds of the file, what was read reaches: the sound, and any track."""

    sound: float | None = None
    anything: float = 0.0


def _frames(container: InputContainer, stream: AudioStream, ends: _Ends) -> Iterator[AudioFrame]:
    """Decode the track; packets of other tracks only tell how far the file goes."""
    for packet in container.demux():
        if packet.pts is not None and packet.time_base is not None:
            end = (packet.pts + (packet.duration or 0)) * float(packet.time_base)
            ends.anything = max(ends.anything, end)
        if packet.stream.index == stream.index:
            frames: list[Any] = packet.decode()
            yield from frames


def _samples(frame: AudioFrame) -> Array:
    """``(n, channels)`` float32 of a frame, whatever its sample format."""
    values: np.ndarray[Any, np.dtype[Any]] = frame.to_ndarray()
    channels = frame.layout.nb_channels
    # packed formats come as one row with the channels in turn
    values = values.T if frame.format.is_planar else values.reshape(-1, channels)
    middle, scale = _SCALES.get(values.dtype.name, (0, 1))
    samples: Array = (values.astype(np.float32) - np.float32(middle)) / np.float32(scale)
    return samples


def _expect_whole(
    path: Path, container: InputContainer, stream: AudioStream, sound_s: float, ends: _Ends
) -> None:
    """Compare what was read with what the headers say; formats that say nothing pass."""
    stated: list[tuple[str, float, float]] = []
    if stream.time_base is not None:
        # AVI states the number of its units in place of a length, MP4 that of its packets, which
        # is always the smaller number
        units = max(stream.duration or 0, stream.frames)
        stated.append(("sound", float(units * stream.time_base), sound_s))
    if container.duration is not None:
        # the other tracks may be longer than the sound, so any track may reach the end
        start = (container.start_time or 0) / 1e6
        stated.append(("file", container.duration / 1e6 + start, max(ends.anything, sound_s)))
    for what, length, there in stated:
        if there < length - SHORT_S:
            raise TruncatedMediaError(
                path,
                expected=f"{length:.3f} s of {what}, as its header says",
                got=f"{there:.3f} s",
                fix="copy the file again from its source",
            )
