"""Sound files: used whole, or refused by their name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from data_modules.audio import load_audio, read_info
from data_modules.errors import MediaError
from data_modules.media import scan_media
from tests.data_modules import video_files
from tests.fuzz.mutate import BINARY, Mutation
from tests.fuzz.run import Parser

Files = list[tuple[Path, tuple[Mutation, ...]]]

_KINDS = {
    "a.wav": ("WAV", "PCM_16"),
    "b.wav": ("WAV", "FLOAT"),
    "c.flac": ("FLAC", "PCM_16"),
    "d.ogg": ("OGG", "VORBIS"),
    "e.mp3": ("MP3", "MPEG_LAYER_III"),
}


def write_sounds(folder: Path) -> Files:
    samples = video_files.tone(0.3, 24_000, 2)
    for name, (kind, subtype) in _KINDS.items():
        soundfile.write(folder / name, samples, 24_000, format=kind, subtype=subtype)
    return [(folder / name, BINARY) for name in _KINDS]


def write_videos(folder: Path) -> Files:
    for name in ("clip.mp4", "clip.mkv", "clip.avi"):
        video_files.write(folder / name, seconds=0.3, **video_files.CASES[name])
    return [(folder / name, BINARY) for name in ("clip.mp4", "clip.mkv", "clip.avi")]


def read_media(folder: Path) -> Any:
    found = []
    errors: list[MediaError] = []
    for path in sorted(folder.iterdir()):
        try:
            waveform = load_audio(path)
            found.append((read_info(path), waveform, scan_media("x", folder, path.name)))
        except MediaError as error:
            errors.append(error)
    if errors:
        (error,) = errors
        raise error
    return found


def check_media(folder: Path, result: Any) -> None:
    for info, waveform, facts in result:
        assert waveform.ndim == 1
        assert len(waveform) > 0
        assert waveform.dtype == np.float32
        assert np.isfinite(waveform).all()
        assert facts.num_samples == len(waveform)
        assert info.num_samples > 0
        assert abs(len(waveform) - 16_000 * info.duration_s) <= 1


MEDIA_PARSERS: tuple[Parser, ...] = (
    Parser("sounds", write_sounds, read_media, check_media),
    Parser("videos", write_videos, read_media, check_media, cases=60),
)
