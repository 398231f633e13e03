from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from data_modules.check import check
from data_modules.corpora import CORPORA, SCHEMES, cmu, cmu_words, mosei
from data_modules.errors import CorpusNotFoundError, DataError
from data_modules.manifest import Utterance, Word, read_manifest
from data_modules.prepare import manifest_path, prepare
from data_modules.protocols import find_protocol, make_folds
from tests.data_modules import csd_tree as tree
from tests.data_modules.corpora.mosei_release import (
    FOLDS,
    MOSEI,
    PLAIN,
    TEST,
    TRAIN,
    VAL,
    by_id,
    listed,
    noted,
    read,
)
from tests.data_modules.csd_tree import SegmentSpec, VideoSpec


def test_the_folds_are_those_of_the_toolkit() -> None:
    assert Counter(FOLDS.values()) == {"train": 2249, "val": 300, "test": 678}
    assert {FOLDS["hh04W3xXa5s"], FOLDS["188343"], FOLDS["7l3BNtSE0xc"]} == {"train", "val", "test"}


def test_a_segment_is_an_utterance(tmp_path: Path) -> None:
    video = VideoSpec(
        TRAIN[0],
        [SegmentSpec(1.0, 3.0, (-2 / 3, 0, 1 / 3, 2, 0, 0, 3)), SegmentSpec(0.0, 1.0, PLAIN)],
        [("sp", 0, 0.2), ("so", 0.2, 1.0), ("not", 1.0, 1.5), ("sp", 1.5, 2.0), ("good", 2.0, 2.5)],
    )
    first, second = read(tmp_path, video).utterances
    assert second == Utterance(
        id=f"{TRAIN[0]}[1]",
        corpus="mosei",
        start_s=0.0,
        end_s=1.0,
        speaker=TRAIN[0],
        dialogue=TRAIN[0],
        part="train",
        text="so",
        words=(Word("so", 0.2, 1.0, "corpus"),),
        labels=dict.fromkeys(("sentiment", *mosei.EMOTIONS), 0.0),
    )
    assert (first.id, first.start_s, first.end_s) == (f"{TRAIN[0]}[0]", 1.0, 3.0)
    assert (first.text, first.audio) == ("not good", None)
    # from the start of the segment, not of the video
    assert first.words == (Word("not", 0.0, 0.5, "corpus"), Word("good", 1.0, 1.5, "corpus"))
    # single precision does not show
    assert first.labels == {
        "sentiment": -0.666667,
        "happy": 0.0,
        "sad": 0.333333,
        "anger": 2.0,
        "surprise": 0.0,
        "disgust": 0.0,
        "fear": 3.0,
    }


def test_everything_that_is_clipped_replaced_or_left_out_is_counted(tmp_path: Path) -> None:
    """Show 2 of the corpora: the standard folds give the right segments, and nothing is silent."""
    videos = tree.make_videos(train=3, val=2, test=2)
    train, other, third, val, empty, test, last = videos
    # a negative start, times out of order that overlap, and one without length
    train.segments[0].start = -0.45
    train.segments[1], train.segments[2] = train.segments[2], train.segments[1]
    train.segments.append(SegmentSpec(0.2, 1.0, PLAIN))
    train.segments.append(SegmentSpec(1.0, 1.0, PLAIN))
    train.segments.append(SegmentSpec(-0.5, -0.1, PLAIN))
    # a word over the edge between two segments
    assert other.words is not None
    other.words[6] = ("over", 1.7, 2.4)
    other.words.append(("late", 5.1, 5.3))
    third.segments[1].ratings = (math.nan, *PLAIN[1:])
    # words, COVAREP and labels that are missing; a segment after the end of the COVAREP
    val.words = None
    assert test.frames is not None
    test.frames = test.frames[:180]
    last.frames = None
    empty.segments = []
    outside = VideoSpec("nowhere", [SegmentSpec(0, 1, PLAIN), SegmentSpec(1, 2, PLAIN)])
    release = read(tmp_path / "data", *videos, outside)

    assert Counter(u.part for u in release.utterances) == {
        "train": 3 + 1 + 3 + 2,
        "val": 3,
        "test": 6,
    }
    assert listed(release) == {
        f"{train.id}[4]": cmu.NO_LENGTH,
        f"{train.id}[5]": cmu.NO_LENGTH,
        f"{third.id}[1]": cmu.NO_RATING,
        "nowhere[0]": cmu.OUTSIDE_FOLDS,
        "nowhere[1]": cmu.OUTSIDE_FOLDS,
    }
    assert noted(release) == {
        cmu.NEGATIVE: 1,
        # [2] starts before [1], [3] before [2]
        cmu.DISORDER: 2,
        # [3] lies in [0], which now starts at 0
        cmu.OVERLAP: 1,
        # "over" begins before its segment, and the word from 0.8 to 1.1 ends after 1.0
        cmu_words.CUT: 2,
        # two a segment; the one at the start where a segment begins at 0; not the one replaced
        cmu_words.SILENCES: (3 * 2 + 1) + (3 * 2 - 1) + 2 * 2 + 2 * 3 * 2,
        # "late", and the words of the segment without a rating
        cmu_words.OUTSIDE: 1 + 3,
        cmu_words.NO_WORDS: 3,
        cmu.NO_COVAREP: 3 + 2,
    }
    notes = {note.id: note for note in release.notes}
    assert notes[empty.id].reason == cmu.NO_LABELS
    assert notes[f"{train.id}[0]"].detail == "-0.450 s to 2.000 s"
    found = by_id(release)
    assert (found[f"{train.id}[0]"].start_s, found[f"{train.id}[0]"].end_s) == (0.0, 2.0)
    assert all(found[f"{val.id}[{k}]"].text is None for k in range(3))

    # the summary that `sermm prepare` keeps says the same
    prepared = prepare(MOSEI, tmp_path / "data", tmp_path / "cache")
    assert list(read_manifest(manifest_path("mosei", tmp_path / "cache"))) == prepared.utterances
    results = {result.name: result for result in check(prepared)}
    assert "2 interval without length" in results["release files"].detail
    assert "2 outside the standard folds" in results["release files"].detail
    for reason, number in noted(release).items():
        assert f"{number} {reason}" in results["remarks"].detail
    assert (results["transcripts"].status, results["transcripts"].detail) == (
        "fail",
        "3 missing and 0 empty of 18",
    )
    (fold,) = make_folds(find_protocol("mosei-standard"), prepared.utterances)
    assert {part: {name.split("[")[0] for name in ids} for part, ids in fold.parts().items()} == {
        "train": {train.id, other.id, third.id},
        "val": {val.id},
        "test": {test.id, last.id},
    }


def test_a_word_belongs_where_its_middle_is(tmp_path: Path) -> None:
    segments = [
        SegmentSpec(4.0, 5.0, PLAIN),
        SegmentSpec(0.0, 1.0, PLAIN),
        SegmentSpec(1, 2, PLAIN),
    ]
    words = [("early", 0.0, 1.8), ("border", 0.5, 1.5), ("late", 1.5, 4.2), ("last", 4.5, 5.4)]
    release = read(tmp_path, VideoSpec(TRAIN[0], segments, words))
    found = by_id(release)
    assert [found[f"{TRAIN[0]}[{k}]"].text for k in range(3)] == ["last", "early", "border"]
    assert found[f"{TRAIN[0]}[1]"].words == (Word("early", 0.0, 1.0, "corpus"),)
    assert found[f"{TRAIN[0]}[2]"].words == (Word("border", 0.0, 0.5, "corpus"),)
    counts = noted(release)
    assert (counts[cmu_words.CUT], counts[cmu_words.OUTSIDE], counts[cmu.DISORDER]) == (3, 1, 1)


def test_words_of_pieces_belong_to_the_segments_of_the_same_number(tmp_path: Path) -> None:
    """After the toolkit's alignment both files name pieces, and edges stand in two of them."""
    labels = {
        f"{VAL[0]}[0]": (np.array([PLAIN]), np.array([[0.0, 1.0]])),
        f"{VAL[0]}[3]": (np.array([PLAIN]), np.array([[0.9, 2.0]])),
        f"{VAL[0]}[7]": (np.array([PLAIN, PLAIN]), np.array([[2.0, 3.0], [3.0, 4.0]])),
    }
    words = {
        f"{VAL[0]}[0]": tree.word_entry([("one", 0.1, 0.9), ("two", 0.9, 1.0)]),
        f"{VAL[0]}[3]": tree.word_entry([("two", 0.9, 1.2), ("three", 1.2, 2.0)]),
    }
    tree.write_csd(tmp_path / "All Labels.csd", "All Labels", labels)
    tree.write_csd(tmp_path / "words.csd", "words", words)
    release = MOSEI.read(tmp_path)
    assert {u.id: u.text for u in release.utterances} == {
        f"{VAL[0]}[0]": "one two",
        f"{VAL[0]}[3]": "two three",
    }
    assert listed(release) == {f"{VAL[0]}[7]": cmu.TWO_ROWS}
    # labels by video: all pieces of the words together are the video's words
    tree.write_csd(
        tmp_path / "All Labels.csd",
        "All Labels",
        {VAL[0]: (np.array([PLAIN]), np.array([[0.0, 2.0]]))},
    )
    words[f"{VAL[0]}[0]"] = tree.word_entry([("one", 0.1, 0.9)])
    tree.write_csd(tmp_path / "words.csd", "words", words)
    (utterance,) = MOSEI.read(tmp_path).utterances
    assert utterance.text == "one two three"


def test_words_that_are_wrong_are_counted(tmp_path: Path) -> None:
    video = VideoSpec(
        TEST[0],
        [SegmentSpec(0.0, 4.0, PLAIN), SegmentSpec(4.0, 5.0, PLAIN)],
        [
            ("second", 1.0, 2.0),
            ("first", 0.0, 1.0),
            ("back", 3.0, 2.0),
            ("lost", math.nan, 2.0),
            (b"caf\xe9", 3.0, 3.5),
            ("", 3.5, 4.0),
        ],
    )
    release = read(tmp_path, video, skip=["covarep"])
    first, second = release.utterances
    assert (first.text, second.text) == ("first second back caf\u00e9", "")
    # its place among the words is known, its length is not
    assert [word.text for word in first.words] == ["first", "second", "caf\u00e9"]
    assert noted(release) == {
        cmu_words.UNORDERED: 1,
        cmu_words.UNTIMED: 1,
        cmu_words.BACKWARDS: 1,
        cmu_words.NOT_UTF8: 1,
        cmu_words.SILENCES: 1,
        cmu_words.EMPTY: 1,
        f"{cmu.NO_FILE} covarep": 1,
    }


def test_what_is_damaged_is_listed_and_the_rest_is_read(tmp_path: Path) -> None:
    videos = tree.make_videos(train=2, val=1, test=1)
    root = tree.write_tree(tmp_path, "mosei", videos)
    good, bad, val, test = videos
    six = (np.zeros((2, 6)), np.array([[0.0, 1.0], [1.0, 2.0]]))
    labels = {v.id: tree.label_entry(v) for v in (good, val, test)}
    tree.write_csd(root / "CMU_MOSEI_Labels.csd", "All Labels", labels | {bad.id: six})
    words = {v.id: tree.word_entry(v.words or []) for v in (good, val)}
    tree.write_csd(root / "CMU_MOSEI_TimestampedWords.csd", "words", words | {test.id: six})
    covarep = {v.id: tree.frame_entry(np.zeros((500, 74))) for v in (good, test)}
    covarep[val.id] = (np.zeros((500, 74)), np.zeros((500, 3)))
    tree.write_csd(root / "CMU_MOSEI_COVAREP.csd", "COVAREP", covarep)
    release = MOSEI.read(root)
    assert listed(release) == {bad.id: cmu.DAMAGED_LABELS}
    assert release.exclusions[0].detail == (
        f"{root}/CMU_MOSEI_Labels.csd:All Labels/data/{bad.id}: expected 7 values in a row, got 6; "
        "copy the file again from the release"
    )
    assert (noted(release)[cmu_words.DAMAGED], noted(release)[cmu.DAMAGED_COVAREP]) == (3, 3)
    assert {u.text for u in release.utterances if u.dialogue == test.id} == {None}
    assert all(u.text for u in release.utterances if u.dialogue != test.id)


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (math.nan, 1.0, cmu.NO_TIMES),
        (0.0, math.inf, cmu.NO_TIMES),
        (2.0, 1.0, cmu.NO_LENGTH),
        (-2.0, 0.0, cmu.NO_LENGTH),
        (0.0, 4000.0, cmu.TOO_LONG),
    ],
)
def test_intervals_that_cannot_be_are_left_out(
    tmp_path: Path, start: float, end: float, reason: str
) -> None:
    segments = [SegmentSpec(0.0, 1.0, PLAIN), SegmentSpec(start, end, PLAIN)]
    release = read(tmp_path, VideoSpec(TRAIN[1], segments))
    assert [utterance.id for utterance in release.utterances] == [f"{TRAIN[1]}[0]"]
    assert listed(release) == {f"{TRAIN[1]}[1]": reason}


def test_files_are_known_by_name_or_by_root(tmp_path: Path) -> None:
    videos = tree.make_videos()
    names = {"words": ("w", "CMU_MOSEI_TimestampedWords"), "labels": ("l", "All Labels")}
    root = tree.write_tree(tmp_path, "mosei", videos, names=names)
    for name, folder in (("l.csd", "labels"), ("CMU_MOSEI_COVAREP.csd", "acoustic")):
        (root / folder).mkdir()
        (root / name).rename(root / folder / name)
    tree.write_csd(root / "CMU_MOSEI_TimestampedPhones.csd", "phones", {})
    (root / "broken.csd").write_bytes(b"nothing")
    (root / "._l.csd").write_bytes(b"nothing")
    (root / "labels" / "._CMU_MOSEI_Labels.csd").write_bytes(b"nothing")
    release = MOSEI.read(root)
    assert len(release.utterances) == 12
    assert all(utterance.words for utterance in release.utterances)
    assert release.ignored == {
        cmu.OTHER_CSD: [
            "._l.csd",
            "CMU_MOSEI_TimestampedPhones.csd",
            "broken.csd",
            "labels/._CMU_MOSEI_Labels.csd",
        ],
    }
    assert len(list(MOSEI.features["covarep"].read(root, release.utterances))) == 12
    (file,) = MOSEI.features["covarep"].files(root)
    assert file == root / "acoustic" / "CMU_MOSEI_COVAREP.csd"

    tree.write_csd(root / "labels" / "words.csd", "words", {})
    with pytest.raises(DataError, match=r"one file with words, got labels/words\.csd and w\.csd"):
        MOSEI.read(root)


def test_a_folder_without_labels_is_told(tmp_path: Path) -> None:
    tree.write_tree(tmp_path, "mosei", tree.make_videos(), skip=["labels"])
    with pytest.raises(CorpusNotFoundError, match=r"CMU_MOSEI_Labels\.csd.*got CMU_MOSEI_COVAREP"):
        MOSEI.read(tmp_path)
    with pytest.raises(CorpusNotFoundError, match="no such folder"):
        MOSEI.read(tmp_path / "none")
    with pytest.raises(CorpusNotFoundError, match="CMU-MOSI"):
        CORPORA["mosi"].read(tmp_path)


def test_segments_are_cut_from_recordings(tmp_path: Path) -> None:
    videos = tree.make_videos(train=2, val=1, test=1)
    # the labels end after the recordings: within half a second, and beyond
    videos[0].length_s = 4.8
    videos[1].length_s = 4.2
    spare = VideoSpec("nowhere", [], length_s=1.0)
    root = tree.write_tree(tmp_path / "data", "mosei", [*videos, spare], recordings=True)
    folder = root / tree.RECORDINGS["mosei"]
    (folder / f"{videos[2].id}.wav").unlink()
    release = MOSEI.read(root)
    assert noted(release)[cmu.OVERHANG] == 1
    assert release.ignored == {
        cmu.OTHER_RECORDINGS: ["Raw/Audio/Full/WAV_16000/nowhere.wav"],
    }
    prepared = prepare(MOSEI, root, tmp_path / "cache")
    assert {e.id: e.reason for e in prepared.exclusions} == {
        f"{videos[1].id}[2]": "audio is cut short",
        **{f"{videos[2].id}[{k}]": "audio is missing" for k in range(3)},
    }
    found = {utterance.id: utterance for utterance in prepared.utterances}
    cut = found[f"{videos[0].id}[2]"]
    assert (cut.start_s, cut.end_s, cut.sample_rate) == (3.5, 4.8, 16_000)
    facts = prepared.media_facts(found[f"{videos[0].id}[0]"])
    assert (facts.duration_s, facts.num_samples) == (1.5, 24_000)
    (result,) = [result for result in check(prepared) if result.name == "audio files"]
    assert (result.status, result.needs) == ("fail", "audio")


@pytest.mark.real
@pytest.mark.parametrize(
    ("part", "file", "total", "sdk", "rounded"),
    [
        (
            "train",
            "segments_train.tsv",
            16_327,
            [613, 1584, 2542, 3538, 5289, 2256, 505],
            [311, 1305, 2040, 6795, 4120, 1549, 207],
        ),
        (
            "val",
            "segments_valid.tsv",
            1_871,
            [47, 159, 300, 433, 631, 251, 50],
            [24, 110, 244, 835, 470, 169, 19],
        ),
    ],
)
def test_the_real_segments(
    shared_data: Path,
    tmp_path: Path,
    part: str,
    file: str,
    total: int,
    sdk: list[int],
    rounded: list[int],
) -> None:
    """Real ids, times and ratings of a part, written as labels and read back."""
    with (shared_data / "mosei" / file).open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    videos: dict[str, list[tuple[int, SegmentSpec]]] = defaultdict(list)
    for row in rows:
        ratings = (float(row["sentiment"]), *PLAIN[1:])
        spec = SegmentSpec(float(row["start"]), float(row["end"]), ratings)
        videos[row["video_id"]].append((int(row["clip"]), spec))
    specs = [
        VideoSpec(name, [spec for _, spec in sorted(own, key=lambda pair: pair[0])], None)
        for name, own in videos.items()
    ]
    release = read(tmp_path, *specs, skip=["words", "covarep"])
    assert len(release.utterances) == len(rows) == total
    assert {u.part for u in release.utterances} == {part}
    assert not release.exclusions
    assert noted(release)[cmu.NEGATIVE] == sum(float(row["start"]) < 0 for row in rows)
    missing = {note.id for note in release.notes if note.reason == cmu.NO_LABELS}
    assert missing == {video for video, own in FOLDS.items() if own != part}
    for name, expected in (("mosei7_sdk", sdk), ("mosei7", rounded)):
        counts = Counter(SCHEMES[name].target_of(u) for u in release.utterances)
        assert [counts[index] for index in range(7)] == expected
    found = by_id(release)
    for row in rows:
        utterance = found[f"{row['video_id']}[{row['clip']}]"]
        assert utterance.start_s == max(0.0, float(row["start"]))
        assert utterance.labels["sentiment"] == pytest.approx(float(row["sentiment"]), abs=1e-5)
