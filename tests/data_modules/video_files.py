"""Writes small video and sound containers with PyAV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np

CASES: dict[str, dict[str, Any]] = {
    "clip.mp4": {"video": True},
    "first.mp4": {"video": True, "options": {"movflags": "faststart"}},
    "pieces.mp4": {"options": {"movflags": "frag_keyframe+empty_moov"}},
    "six.mp4": {"layout": "5.1"},
    "sound.m4a": {},
    "clip.mkv": {"video": True},
    "clip.webm": {"codec": "libopus"},
    "clip.avi": {"codec": "pcm_s16le", "video": True},
    "packed.avi": {"codec": "mp3"},
    "clip.mov": {"codec": "pcm_s16le"},
}
"""Kinds of containers, as keywords of :func:`write`; those with PCM are exact."""


def tone(seconds: float, rate: int, channels: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """``(N, channels)``: a tone that swells and fades, softer in each further channel."""
    time_s = np.arange(round(seconds * rate)) / rate
    swell = 0.5 * np.sin(np.pi * time_s / seconds) * np.sin(2 * np.pi * 440 * time_s)
    return np.stack([swell / (k + 1) for k in range(channels)], axis=1).astype(np.float32)


def write(
    path: Path,
    *,
    seconds: float = 1.0,
    rate: int = 48_000,
    layout: str = "stereo",
    codec: str = "aac",
    tracks: int = 1,
    video: bool = False,
    options: dict[str, str] | None = None,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Write a file; returns its samples ``(N, channels)`` before they were encoded."""
    samples = tone(seconds, rate, len(av.AudioLayout(layout).channels))
    with av.open(str(path), "w", options=options or {}) as out:
        streams = [out.add_stream(codec, rate=rate, layout=layout) for _ in range(tracks)]
        if video:
            pictures = out.add_stream("mpeg4", rate=25, width=64, height=64, pix_fmt="yuv420p")
            for number in range(round(seconds * 25)):
                grey = np.full((64, 64, 3), number % 255, np.uint8)
                out.mux(pictures.encode(av.VideoFrame.from_ndarray(grey)))
            out.mux(pictures.encode())
        for stream in streams:
            convert = av.AudioResampler(stream.codec_context.format.name, layout, rate)
            for start in range(0, len(samples), 1024):
                block = np.ascontiguousarray(samples[start : start + 1024].T)
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
                frame.sample_rate, frame.pts = rate, start
                for converted in convert.resample(frame):
                    out.mux(stream.encode(converted))
            out.mux(stream.encode())
    return samples
