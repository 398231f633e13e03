from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from data_modules.check import check
from data_modules.corpora import CORPORA, SCHEMES, cmu
from data_modules.corpora.cmu_files import read_folds
from data_modules.prepare import prepare
from data_modules.protocols import find_protocol, make_folds
from tests.data_modules import csd_tree as tree

MOSI = CORPORA["mosi"]
FOLDS = read_folds("mosi")


def test_the_folds_are_those_of_the_toolkit() -> None:
    assert Counter(FOLDS.values()) == {"train": 52, "val": 10, "test": 31}
    assert {FOLDS["2iD-tVS8NPw"], FOLDS["WKA5OygbEKI"], FOLDS["tmZoasNr4rU"]} == {
        "train",
        "val",
        "test",
    }


@pytest.mark.parametrize(
    "names",
    [
        {},
        {
            "words": (
                "CMU_MOSI_ModifiedTimestampedWords",
                "CMU_MOSI_ModifiedTimestampedWords",
            ),
            "labels": ("Opinion Segment Labels", "Opinion Segment Labels"),
            "covarep": ("COVAREP", "COVAREP"),
        },
        {"words": ("a", "CMU_MOSI_TimestampedWords"), "labels": ("b", "Opinion Segment Labels")},
    ],
    ids=["published", "tutorial", "by root"],
)
def test_a_release_is_read_and_divided(tmp_path: Path, names: dict[str, tuple[str, str]]) -> None:
    videos = tree.make_videos("mosi", train=3, val=2, test=2)
    root = tree.write_tree(tmp_path / "data", "mosi", videos, names=names, recordings=True)
    prepared = prepare(MOSI, root, tmp_path / "cache")
    assert (len(prepared.utterances), prepared.exclusions, prepared.ignored) == (21, [], {})
    first = next(u for u in prepared.utterances if u.id == f"{videos[0].id}[0]")
    assert first.labels == {"sentiment": round(videos[0].segments[0].ratings[0], 6)}
    assert first.audio == f"Raw/Audio/WAV_16000/Full/{videos[0].id}.wav"
    assert (first.start_s, first.end_s, first.part) == (0.5, 2.0, "train")
    assert len(first.words) == 3
    (fold,) = make_folds(find_protocol("mosi-standard"), prepared.utterances)
    assert [len(ids) for ids in fold.parts().values()] == [9, 6, 6]
    results = {result.name: result for result in check(prepared)}
    assert results["size"].detail == "21 of 2199 segments in the standard folds of the release"
    frames = list(MOSI.features["covarep"].read(root, prepared.utterances))
    assert {(array.shape, replaced) for _, array, replaced in frames} == {((150, 74), 21)}


def test_films_stand_in_for_sound(tmp_path: Path) -> None:
    """Where there are only videos, they are what the segments are cut from."""
    videos = tree.make_videos("mosi")
    root = tree.write_tree(tmp_path, "mosi", videos)
    folder = root / "Raw" / "Video" / "Full"
    folder.mkdir(parents=True)
    for video in videos[1:]:
        (folder / f"{video.id}.mp4").write_bytes(b"")
    release = MOSI.read(root)
    assert {utterance.audio for utterance in release.utterances} == {
        f"Raw/Video/Full/{video.id}.mp4" for video in videos
    }


def test_the_schemes_are_those_of_sentiment() -> None:
    assert [scheme.name for scheme in MOSI.schemes] == [
        "mosi_sentiment",
        "mosi7",
        "mosi2_has0",
        "mosi2_non0",
    ]
    assert MOSI.scheme.family == "sentiment"


@pytest.mark.real
def test_the_real_segments_and_their_folds(shared_data: Path, tmp_path: Path) -> None:
    table = shared_data / "mosi" / "segments_train.tsv"
    with table.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    for row in rows:
        fold = {"valid": "val"}.get(row["official_fold"], row["official_fold"])
        assert FOLDS[row["video_id"]] == fold
    videos: dict[str, tree.VideoSpec] = {}
    for row in sorted(rows, key=lambda row: float(row["start"])):
        video = videos.setdefault(row["video_id"], tree.VideoSpec(row["video_id"], []))
        video.segments.append(
            tree.SegmentSpec(float(row["start"]), float(row["end"]), (float(row["score"]),))
        )
        # the published transcript, its words at even distances
        assert video.words is not None
        words = row["text"].split()
        step = (float(row["end"]) - float(row["start"])) / len(words)
        start = float(row["start"])
        video.words += [
            (word, start + index * step, start + (index + 1) * step)
            for index, word in enumerate(words)
        ]
    release = MOSI.read(tree.write_tree(tmp_path, "mosi", list(videos.values()), skip=["covarep"]))
    assert len(release.utterances) == len(rows) == 1447
    assert Counter(u.part for u in release.utterances) == Counter(
        {"valid": "val"}.get(row["official_fold"], row["official_fold"]) for row in rows
    )
    assert not release.exclusions
    assert cmu.NEGATIVE not in release.counts
    # words of what two segments have in common are in both; all others have their own text
    texts = {(row["video_id"], float(row["start"])): " ".join(row["text"].split()) for row in rows}
    spans = [
        (u.dialogue or "", u.start_s or 0.0, u.end_s or 0.0, u.text) for u in release.utterances
    ]
    alone = [
        (video, start, text)
        for video, start, end, text in spans
        if sum(video == v and start < e and s < end for v, s, e, _ in spans) == 1
    ]
    assert len(alone) > 1000
    assert all(text == texts[video, start] for video, start, text in alone)
    signs = Counter(SCHEMES["mosi2_has0"].target_of(u) for u in release.utterances)
    assert signs == {0: 738, 1: 65 + 644}
