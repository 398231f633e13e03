from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.check import check
from data_modules.corpora import CORPORA, SCHEMES, Release, cmu, cmu_words, mosei
from data_modules.corpora.cmu_files import read_folds
from data_modules.corpora.cmu_layout import COVAREP_STRIDE_S as STRIDE_S
from data_modules.corpora.covarep import place_frames
from data_modules.corpora.csd import Csd, CsdError
from data_modules.errors import CorpusNotFoundError, DataError, LabelError
from data_modules.manifest import Utterance, Word, read_manifest
from data_modules.prepare import manifest_path, prepare
from data_modules.protocols import find_protocol, make_folds
from tests.data_modules import csd_tree as tree
from tests.data_modules.csd_tree import SegmentSpec, VideoSpec

MOSEI = CORPORA["mosei"]
FOLDS = read_folds("mosei")
TRAIN, VAL, TEST = (
    [video for video, own in FOLDS.items() if own == part] for part in ("train", "val", "test")
)
PLAIN = (0.0,) * 7


def read(root: Path, *videos: VideoSpec, **options: object) -> Release:
    return MOSEI.read(tree.write_tree(root, "mosei", videos, **options))  # type: ignore[arg-type]


def listed(release: Release) -> dict[str, str]:
    return {exclusion.id: exclusion.reason for exclusion in release.exclusions}


def noted(release: Release) -> dict[str, int]:
    """Remarks by reason; that most videos of the folds are missing goes without saying."""
    return {reason: n for reason, n in release.counts.items() if reason != cmu.NO_LABELS}


def by_id(release: Release) -> dict[str, Utterance]:
    return {utterance.id: utterance for utterance in release.utterances}


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


def covarep(root: Path, *videos: VideoSpec) -> dict[str, tuple[np.ndarray, int]]:
    release = read(root, *videos)
    reader = MOSEI.features["covarep"]
    return {name: (frames, n) for name, frames, n in reader.read(root, release.utterances)}


def test_covarep_is_cut_to_the_segments(tmp_path: Path) -> None:
    frames = np.arange(300 * 74, dtype=np.float64).reshape(300, 74)
    frames[20, 5] = -np.inf
    frames[21] = np.nan
    frames[22, 0] = 1e300
    segments = [
        SegmentSpec(-0.5, 0.3, PLAIN),
        SegmentSpec(0.307, 1.0, PLAIN),
        SegmentSpec(2.9, 3.2, PLAIN),
        SegmentSpec(3.5, 4.0, PLAIN),
    ]
    found = covarep(tmp_path, VideoSpec(VAL[1], segments, None, frames))
    name = VAL[1]
    assert list(found) == [f"{name}[0]", f"{name}[1]", f"{name}[2]"]
    first, replaced = found[f"{name}[0]"]
    assert (first.shape, first.dtype, replaced) == ((30, 74), np.float32, 1 + 74 + 1)
    np.testing.assert_array_equal(first[:20], frames[:20].astype(np.float32))
    assert (first[20, 5], first[22, 0]) == (0.0, 0.0)
    assert not first[21].any()
    second, replaced = found[f"{name}[1]"]
    # frame 30 has its middle at 0.305, before the start
    np.testing.assert_array_equal(second, frames[31:100].astype(np.float32))
    assert replaced == 0
    # the release has 10 of the 30 frames
    third, replaced = found[f"{name}[2]"]
    assert (third.shape, replaced) == ((30, 74), 20 * 74)
    assert third[:10].all()
    assert not third[10:].any()


def test_covarep_frames_stand_at_their_times(tmp_path: Path) -> None:
    frames = np.ones((100, 74))
    video = VideoSpec(VAL[1], [SegmentSpec(0.0, 1.0, PLAIN)], None, frames)
    root = tree.write_tree(tmp_path, "mosei", [video])
    values, times = tree.frame_entry(np.ones((60, 74)), start=0.2)
    # 40 ms are missing in the middle, and rows are out of order
    times[30:] += 0.04
    order = np.random.default_rng(0).permutation(60)
    tree.write_csd(root / "CMU_MOSEI_COVAREP.csd", "r", {video.id: (values, times[order])})
    ((_, found, replaced),) = MOSEI.features["covarep"].read(root, MOSEI.read(root).utterances)
    assert np.flatnonzero(found.any(axis=1)).tolist() == [*range(20, 50), *range(54, 84)]
    assert (found.shape, replaced) == ((100, 74), 40 * 74)


def doubled_rows() -> tree.Entry:
    values, times = tree.frame_entry(np.ones((60, 74)))
    times[20:30] = times[10:20]
    return values, times


def wrong_rows(stride: float, width: int = 74) -> tree.Entry:
    return tree.frame_entry(np.ones((40, width)), stride=stride)


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ({"": wrong_rows(0.01, 73)}, "74 values in a row, got 73"),
        ({"": wrong_rows(0.3)}, r"a row every 0\.01 s, got one every 0\.3 s"),
        ({"": wrong_rows(0.0)}, "a row every"),
        ({"": doubled_rows()}, r"several at once in \S+\[0\]"),
        ({"": wrong_rows(math.nan)}, "times, got some that are no number"),
        ({"": wrong_rows(0.01), "[0]": wrong_rows(0.01)}, "whole or in pieces, got both"),
        ({"[0]": tree.frame_entry(np.ones((40, 74)), start=1.5)}, "10 of 40 outside"),
    ],
)
def test_covarep_of_another_kind_is_refused(
    tmp_path: Path, entries: dict[str, tree.Entry], text: str
) -> None:
    video = VideoSpec(VAL[1], [SegmentSpec(0.0, 1.79, PLAIN)], None)
    root = tree.write_tree(tmp_path, "mosei", [video])
    named = {f"{video.id}{piece}": entry for piece, entry in entries.items()}
    tree.write_csd(root / "CMU_MOSEI_COVAREP.csd", "COVAREP", named)
    utterances = MOSEI.read(root).utterances
    with pytest.raises(CsdError, match=rf"COVAREP/data/{video.id}.*{text}"):
        list(MOSEI.features["covarep"].read(root, utterances))


def test_covarep_is_read_one_video_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree.write_tree(tmp_path, "mosei", tree.make_videos(train=3))
    utterances = MOSEI.read(root).utterances
    read_so_far = []
    numbers = Csd.numbers

    def counting(self: Csd, key: str, width: int) -> object:
        read_so_far.append(key)
        return numbers(self, key, width)

    monkeypatch.setattr(Csd, "numbers", counting)
    reader = MOSEI.features["covarep"].read(root, utterances)
    for index in range(len(utterances)):
        next(reader)
        assert len(read_so_far) == 1 + index // 3


def test_covarep_in_pieces_is_read(tmp_path: Path) -> None:
    video = VideoSpec(VAL[1], [SegmentSpec(1.0, 2.0, PLAIN), SegmentSpec(2.0, 3.0, PLAIN)], None)
    root = tree.write_tree(tmp_path, "mosei", [video])
    piece = tree.frame_entry(np.ones((100, 74)), start=2.0)
    tree.write_csd(root / "CMU_MOSEI_COVAREP.csd", "COVAREP", {f"{video.id}[1]": piece})
    release = MOSEI.read(root)
    ((name, found, replaced),) = MOSEI.features["covarep"].read(root, release.utterances)
    assert (name, found.shape, replaced) == (f"{video.id}[1]", (100, 74), 0)
    assert noted(release)[cmu.NO_COVAREP] == 1


def test_a_release_without_covarep_says_so(tmp_path: Path) -> None:
    root = tree.write_tree(tmp_path, "mosei", tree.make_videos(), skip=["covarep"])
    reader = MOSEI.features["covarep"]
    assert not reader.files(root)
    with pytest.raises(DataError, match=r"expected CMU_MOSEI_COVAREP\.csd, got no such file"):
        next(reader.read(root, MOSEI.read(root).utterances))


@given(
    start=st.floats(1, 500),
    length=st.floats(0.02, 60),
    grid=st.floats(0, 0.00999),
    drift=st.floats(-1e-6, 1e-6),
)
def test_whole_stretches_of_frames_stay_whole(
    start: float, length: float, grid: float, drift: float
) -> None:
    """Wherever a segment begins on the grid of the frames, none is doubled, moved or missing."""
    number = round((start + length) * 100) + 200
    middles = grid + STRIDE_S * (0.5 + np.arange(number)) * (1 + drift)
    inside = middles[(middles >= start) & (middles < start + length)]
    if len(inside):
        places, num_frames = place_frames(inside, start, start + length)
        assert places.tolist() == list(range(len(inside)))
        assert len(inside) <= num_frames <= len(inside) + 1


RATINGS = {
    -3.0: ("-3", "-3", "negative", "negative"),
    -2.5: ("-2", "-3", "negative", "negative"),
    -2.0: ("-2", "-2", "negative", "negative"),
    -1.666667: ("-2", "-2", "negative", "negative"),
    -1.5: ("-2", "-2", "negative", "negative"),
    -1.0: ("-1", "-1", "negative", "negative"),
    -0.5: ("0", "-1", "negative", "negative"),
    -0.166667: ("0", "-1", "negative", "negative"),
    0.0: ("0", "0", "non-negative", None),
    0.333333: ("0", "1", "non-negative", "positive"),
    0.5: ("0", "1", "non-negative", "positive"),
    1.0: ("1", "1", "non-negative", "positive"),
    1.333333: ("1", "2", "non-negative", "positive"),
    1.5: ("2", "2", "non-negative", "positive"),
    2.0: ("2", "2", "non-negative", "positive"),
    2.5: ("2", "3", "non-negative", "positive"),
    2.666667: ("3", "3", "non-negative", "positive"),
}


def rated(sentiment: float, **emotions: float) -> Utterance:
    zeros = dict.fromkeys(mosei.EMOTIONS, 0.0)
    return Utterance(
        id="v[0]", corpus="mosei", labels={"sentiment": sentiment, **zeros, **emotions}
    )


@pytest.mark.parametrize(("rating", "names"), RATINGS.items())
def test_ratings_become_classes(rating: float, names: tuple[str | None, ...]) -> None:
    schemes = ("mosei7", "mosei7_sdk", "mosei2_has0", "mosei2_non0")
    for name, expected in zip(schemes, names, strict=True):
        target = SCHEMES[name].target_of(rated(rating))
        assert (SCHEMES[name].names[target] if isinstance(target, int) else None) == expected
    assert int(names[0] or 0) == np.round(np.clip(rating, -3, 3))
    assert SCHEMES["mosei_sentiment"].target_of(rated(rating)) == (rating,)


@pytest.mark.parametrize("name", ["mosei_sentiment", "mosei7", "mosei7_sdk", "mosei2_non0"])
@pytest.mark.parametrize("rating", [3.333333, -5.0])
def test_a_rating_off_the_scale_is_an_error(name: str, rating: float) -> None:
    with pytest.raises(LabelError, match="between -3 and 3"):
        SCHEMES[name].target_of(rated(rating))


def test_emotions_have_intensities_and_are_present_above_zero() -> None:
    utterance = rated(0.0, sad=0.333333, fear=3.0)
    assert SCHEMES["mosei_emotions6"].target_of(utterance) == (0.0, 0.333333, 0.0, 0.0, 0.0, 3.0)
    assert SCHEMES["mosei_presence6"].target_of(utterance) == (0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    for name in ("mosei_emotions6", "mosei_presence6"):
        with pytest.raises(LabelError, match=r"labels\.happy between 0 and 3"):
            SCHEMES[name].target_of(rated(0.0, happy=4.333333))


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
