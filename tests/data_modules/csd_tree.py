"""CMU-MOSI and CMU-MOSEI in their true layout, for tests: real video ids, made-up words and values.

``make_videos`` gives sound videos of the standard folds; what is wrong with one is written into its
``VideoSpec``. ``write_tree`` writes labels, words, COVAREP at 100 Hz and, if wanted, recordings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from data_modules.corpora.cmu_files import read_folds
from tests.data_modules.iemocap_tree import wav_bytes

Entry = tuple[np.ndarray, np.ndarray]

NAMES = {
    "mosei": {
        "labels": ("CMU_MOSEI_Labels", "All Labels"),
        "words": ("CMU_MOSEI_TimestampedWords", "words"),
        "covarep": ("CMU_MOSEI_COVAREP", "COVAREP"),
    },
    "mosi": {
        "labels": ("CMU_MOSI_Opinion_Labels", "Opinion Segment Labels"),
        "words": ("CMU_MOSI_TimestampedWords", "words"),
        "covarep": ("CMU_MOSI_COVAREP", "COVAREP"),
    },
}
"""Stem of the file and name of the root group, as published."""

RECORDINGS = {"mosei": "Raw/Audio/Full/WAV_16000", "mosi": "Raw/Audio/WAV_16000/Full"}

_WORDS = {
    -1: ("bad", "boring", "film"),
    0: ("it", "was", "there"),
    1: ("great", "lovely", "film"),
}


@dataclass
class SegmentSpec:
    start: float
    end: float
    ratings: tuple[float, ...]


@dataclass
class VideoSpec:
    """A video.

    Attributes:
        id: Of the video.
        segments: In the order of the labels.
        words: Text, start, end; None leaves the video out of the words.
        frames: COVAREP ``(n, 74)`` from time 0 on; None leaves the video out of it.
        length_s: Of the recording.
    """

    id: str
    segments: list[SegmentSpec]
    words: list[tuple[Any, float, float]] | None = field(default_factory=list)
    frames: np.ndarray | None = None
    length_s: float = 0.0


def make_videos(
    corpus: str = "mosei",
    *,
    train: int = 2,
    val: int = 1,
    test: int = 1,
    segments: int = 3,
    seed: int = 0,
) -> list[VideoSpec]:
    """Sound videos whose words and frames tell the sentiment.

    Each has half a second of silence, then segments of a second and a half that abut, each with the
    words ``sp``, three words, ``sp``.
    """
    rng = np.random.default_rng(seed)
    folds = read_folds(corpus)
    videos = []
    for part, number in (("train", train), ("val", val), ("test", test)):
        for name in [video for video, own in folds.items() if own == part][:number]:
            video = VideoSpec(name, [], [("sp", 0.0, 0.5)], length_s=1.0 + 1.5 * segments)
            frames = rng.normal(size=(round(video.length_s * 100), 74))
            for index in range(segments):
                start = 0.5 + 1.5 * index
                sentiment = int(rng.integers(-9, 10)) / 3
                sign = int(np.sign(sentiment))
                emotions = [float(value) / 3 for value in rng.integers(-6, 10, 6).clip(0)]
                ratings = [sentiment, *emotions] if corpus == "mosei" else [sentiment]
                video.segments.append(SegmentSpec(start, start + 1.5, tuple(ratings)))
                assert video.words is not None
                video.words.append(("sp", start, start + 0.3))
                for place, word in enumerate(_WORDS[sign]):
                    at = start + 0.3 * (place + 1)
                    video.words.append((word, at, at + 0.3))
                video.words.append(("sp", start + 1.2, start + 1.5))
                frames[round(start * 100) : round(start * 100) + 150, 11] += 2 * sentiment
            # unvoiced frames, as COVAREP writes them
            frames[::10, 1] = -np.inf
            frames[::25, 2] = np.nan
            video.frames = frames
            videos.append(video)
    return videos


def write_tree(
    root: Path,
    corpus: str,
    videos: Sequence[VideoSpec],
    *,
    names: Mapping[str, tuple[str, str]] | None = None,
    recordings: bool = False,
    skip: Sequence[str] = (),
) -> Path:
    """Write a release.

    Args:
        root: Its folder, made if need be.
        corpus: ``mosei`` or ``mosi``.
        videos: What is in it.
        names: Stem and root group by role, where they differ from ``NAMES``.
        recordings: Whether to write noise of the videos' lengths, 16 kHz mono.
        skip: Roles whose files are left out.
    """
    root.mkdir(parents=True, exist_ok=True)
    contents = {
        "labels": {v.id: label_entry(v) for v in videos if v.segments},
        "words": {v.id: word_entry(v.words) for v in videos if v.words is not None},
        "covarep": {v.id: frame_entry(v.frames) for v in videos if v.frames is not None},
    }
    for role, (stem, root_name) in (NAMES[corpus] | dict(names or {})).items():
        if role not in skip:
            write_csd(root / f"{stem}.csd", root_name, contents[role])
    if recordings:
        folder = root / RECORDINGS[corpus]
        folder.mkdir(parents=True)
        for index, video in enumerate(videos):
            noise = np.random.default_rng(index).integers(
                -3000, 3000, round(video.length_s * 16_000), dtype=np.int16
            )
            (folder / f"{video.id}.wav").write_bytes(wav_bytes(noise))
    return root


def label_entry(video: VideoSpec) -> Entry:
    return (
        np.array([segment.ratings for segment in video.segments], dtype="<f4"),
        np.array([(segment.start, segment.end) for segment in video.segments]),
    )


def word_entry(words: Sequence[tuple[Any, float, float]]) -> Entry:
    texts = [text if isinstance(text, bytes) else text.encode() for text, _, _ in words]
    return (
        np.array(texts, dtype="S32").reshape(len(words), 1),
        np.array([(start, end) for _, start, end in words]).reshape(len(words), 2),
    )


def frame_entry(frames: np.ndarray, start: float = 0.0, stride: float = 0.01) -> Entry:
    starts = start + stride * np.arange(len(frames))
    return frames, np.stack([starts, starts + stride], axis=1)


def write_csd(path: Path, root_name: str, entries: Mapping[str, Entry]) -> Path:
    """A computational sequence as the corpora's own toolkit writes it."""
    with h5py.File(path, "w") as file:
        data = file.create_group(root_name).create_group("data")
        for key, (features, intervals) in entries.items():
            entry = data.create_group(key)
            squeeze = {"compression": "gzip"} if len(features) else {}
            entry.create_dataset("features", data=features, **squeeze)
            entry.create_dataset("intervals", data=intervals, **squeeze)
        metadata = file[root_name].create_group("metadata")
        for key, value in (("root name", root_name), ("computational sequence version", 1.0)):
            metadata.create_dataset(key, (1,), dtype=h5py.string_dtype())
            metadata[key][0] = json.dumps(value)
    return path
