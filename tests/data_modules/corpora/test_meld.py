"""MELD: text alone, clips and their defects, and the real tables."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from data_modules.corpora import CORPORA, Release, find_scheme, meld
from data_modules.errors import CorpusNotFoundError, ManifestError
from data_modules.prepare import prepare
from data_modules.protocols import find_protocol
from data_modules.selection import select
from tests.data_modules import video_files

HEADER = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,"
    "StartTime,EndTime\n"
)


def row(dialogue: int, number: int, emotion: str = "joy", text: str = "Hi!", **other: str) -> str:
    values = {
        "speaker": "Joey",
        "sentiment": "positive",
        "start": "00:01:02,500",
        "end": "0:01:03,500",
    } | other
    return (
        f'1,"{text}",{values["speaker"]},{emotion},{values["sentiment"]},{dialogue},{number},4,7,'
        f'"{values["start"]}","{values["end"]}"\n'
    )


def write_table(folder: Path, part: str, *rows: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part}_sent_emo.csv").write_text(HEADER + "".join(rows))


def touch(folder: Path, *names: str) -> None:
    """The reader looks at names alone, so these files may be empty."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def listed(release: Release) -> dict[str, str]:
    return {exclusion.id: exclusion.reason for exclusion in release.exclusions}


def test_text_alone(tmp_path: Path) -> None:
    write_table(
        tmp_path / "data" / "MELD", "train", row(0, 0), row(3, 14, "fear", "It\u2019s, \n no")
    )
    write_table(tmp_path / "data" / "MELD", "dev", row(0, 0, "anger"))
    release = meld.read(tmp_path)
    first, second, third = release.utterances
    assert (first.id, first.dialogue, first.part) == ("dev_dia0_utt0", "dev_dia0", "val")
    assert (second.id, second.dialogue, second.part) == ("train_dia0_utt0", "train_dia0", "train")
    assert third.id == "train_dia3_utt14"
    assert third.text == "It\u2019s, \n no"
    assert third.speaker == "Joey"
    assert third.labels == {"category": "fear", "sentiment": "positive", "season": 4, "episode": 7}
    assert {u.audio for u in release.utterances} == {None}
    assert release.counts == {"no clips: text alone": 1, "no table of this part": 1}
    assert not release.exclusions
    assert not release.stated_s


def test_clips_are_found_where_people_have_them(tmp_path: Path) -> None:
    write_table(tmp_path / "train", "train", row(0, 0), row(0, 1), row(0, 2))
    write_table(tmp_path, "dev", row(0, 0))
    write_table(tmp_path, "test", row(0, 0), row(7, 1))
    touch(tmp_path / "train" / "train_splits", "dia0_utt0.mp4", "dia0_utt1.mp4", "._dia0_utt0.mp4")
    touch(tmp_path / "train_splits_wav", "dia0_utt1.wav", "dia0_utt2.flac")
    touch(tmp_path / "dev_splits_complete", "dia0_utt0.mp4", "dia66_utt9.mp4", "notes.txt")
    touch(
        tmp_path / "output_repeated_splits_test",
        "dia0_utt0.mp4",
        "final_videos_testdia101_utt0.mp4",
        "dia.mp4",
    )
    touch(tmp_path / "latest", "dia0_utt0.mp4")
    release = meld.read(tmp_path)
    assert {u.id: u.audio for u in release.utterances} == {
        "train_dia0_utt0": "train/train_splits/dia0_utt0.mp4",
        "train_dia0_utt1": "train_splits_wav/dia0_utt1.wav",
        "train_dia0_utt2": "train_splits_wav/dia0_utt2.flac",
        "dev_dia0_utt0": "dev_splits_complete/dia0_utt0.mp4",
        "test_dia0_utt0": "output_repeated_splits_test/dia0_utt0.mp4",
        # not there: named where the release would have it
        "test_dia7_utt1": "output_repeated_splits_test/dia7_utt1.mp4",
    }
    assert listed(release) == {
        "dev_dia66_utt9": "clip without a row in the table",
        "output_repeated_splits_test/dia.mp4": "file name that cannot be read",
    }
    assert release.ignored == {
        "leftovers of a file system (._*, .DS_Store)": ["train/train_splits/._dia0_utt0.mp4"],
        "clips that are there twice": ["train/train_splits/dia0_utt1.mp4"],
        "uncut material (final_videos_test*)": [
            "output_repeated_splits_test/final_videos_testdia101_utt0.mp4"
        ],
        "clips in a folder of no part": ["latest/dia0_utt0.mp4"],
    }
    assert set(release.stated_s.values()) == {1.0}


@pytest.mark.parametrize(
    ("folder", "part"),
    [
        ("train_splits", "train"),
        ("dev_splits_complete", "dev"),
        ("output_repeated_splits_test", "test"),
        ("MELD.Raw/train/dev_splits_complete/audio", "dev"),
        ("Test-16kHz", "test"),
        ("testing", None),
        ("trained/latest", None),
        (".", None),
    ],
)
def test_the_innermost_folder_that_says_tells_the_part(folder: str, part: str | None) -> None:
    assert meld._part_of(Path(folder)) == part


def test_known_bad_clips_are_left_out_where_there_is_sound(tmp_path: Path) -> None:
    write_table(tmp_path, "train", row(125, 3), row(125, 4), row(793, 0))
    write_table(tmp_path, "dev", row(110, 7))
    touch(tmp_path / "train_splits", "dia125_utt3.mp4", "dia125_utt4.mp4", "dia793_utt0.mp4")
    release = meld.read(tmp_path)
    assert [u.id for u in release.utterances] == ["train_dia125_utt4", "train_dia793_utt0"]
    assert listed(release) == {
        "train_dia125_utt3": "known bad clip",
        "dev_dia110_utt7": "known bad clip",
    }
    assert release.exclusions[0].detail.startswith("the clip is corrupt (https://")
    assert [note.id for note in release.notes if note.reason == "known odd clip"] == [
        "train_dia793_utt0"
    ]
    # their text is as good as any
    write_table(tmp_path / "text", "dev", row(110, 7))
    assert len(meld.read(tmp_path / "text").utterances) == 1


def test_the_list_of_clips_says_why() -> None:
    path = Path(meld.__file__).parent / "data" / "meld_clips.csv"
    with path.open(newline="") as stream:
        clips = list(csv.DictReader(stream))
    assert len({(clip["part"], clip["clip"]) for clip in clips}) == len(clips) > 10
    for clip in clips:
        assert clip["part"] in ("train", "dev", "test")
        assert clip["use"] in ("yes", "no")
        assert clip["reason"]
        assert clip["source"].startswith("https://github.com/declare-lab/MELD/issues/")


def test_clips_of_a_part_without_a_table_are_passed_over(tmp_path: Path) -> None:
    write_table(tmp_path, "train", row(0, 0))
    touch(tmp_path / "train_splits", "dia0_utt0.mp4")
    touch(tmp_path / "dev_splits_complete", "dia0_utt0.mp4", "dia0_utt1.mp4")
    release = meld.read(tmp_path)
    assert len(release.utterances) == 1
    assert release.counts["clips of a part without a table"] == 2
    assert release.counts["no table of this part"] == 2


def test_rows_that_cannot_be_used(tmp_path: Path) -> None:
    write_table(
        tmp_path,
        "train",
        row(0, 0),
        row(0, 0, "fear"),
        row(0, 1, text=""),
        row(0, 2, start="late", end="later"),
        row(0, 3, start="00:00:02,0", end="00:00:01,0"),
        row(0, 4, speaker=""),
        "1,too,short\n",
        row(0, 5).replace(",4,7,", ",4,x,"),
    )
    touch(tmp_path / "train_splits", *(f"dia0_utt{n}.mp4" for n in range(4)))
    release = meld.read(tmp_path)
    assert [u.id for u in release.utterances] == [f"train_dia0_utt{n}" for n in range(4)]
    assert listed(release) == {
        "train_sent_emo.csv:3": "listed twice",
        "train_sent_emo.csv:7": "row that cannot be read",
        "train_sent_emo.csv:8": "row that cannot be read",
        "train_sent_emo.csv:9": "row that cannot be read",
    }
    assert {note.id: note.reason for note in release.notes if note.id.startswith("train_dia")} == {
        "train_dia0_utt1": "empty transcript",
        "train_dia0_utt2": "times in the episode that cannot be read",
        "train_dia0_utt3": "times in the episode that cannot be read",
    }


def test_what_is_no_release(tmp_path: Path) -> None:
    with pytest.raises(CorpusNotFoundError, match=r"train_sent_emo\.csv"):
        meld.read(tmp_path)
    (tmp_path / "dev_sent_emo.csv").write_text("Utterance,Speaker\n")
    with pytest.raises(ManifestError, match=r"dev_sent_emo\.csv:1: .*got no Emotion"):
        meld.read(tmp_path)


def test_clips_are_decoded_and_their_lengths_compared(tmp_path: Path) -> None:
    write_table(tmp_path, "train", row(0, 0), row(0, 1, end="0:01:04,500"), row(0, 2), row(0, 3))
    (tmp_path / "train_splits").mkdir()
    for number in range(3):
        clip = tmp_path / "train_splits" / f"dia0_utt{number}.mp4"
        video_files.write(clip, layout="5.1" if number else "stereo", video=True)
    clip.write_bytes(clip.read_bytes()[:-100])
    prepared = prepare(CORPORA["meld"], tmp_path, tmp_path / "cache")
    assert [u.id for u in prepared.utterances] == ["train_dia0_utt0", "train_dia0_utt1"]
    assert prepared.utterances[0].sample_rate == 48_000
    assert 0.99 < prepared.utterances[0].duration_s < 1.1
    assert {e.id: e.reason for e in prepared.exclusions} == {
        "train_dia0_utt2": "audio is cut short",
        "train_dia0_utt3": "audio is missing",
    }
    differ = [n.id for n in prepared.notes if n.reason.startswith("length differs")]
    assert differ == ["train_dia0_utt1"]


@pytest.mark.real
def test_the_real_tables(shared_data: Path) -> None:
    release = meld.read(shared_data / "meld")
    assert not release.exclusions
    assert Counter(u.part for u in release.utterances) == {"train": 9989, "val": 1109}
    assert len({u.dialogue for u in release.utterances}) == 1038 + 114
    train = [u for u in release.utterances if u.part == "train"]
    assert len({u.speaker for u in train}) == 260
    scheme = find_scheme("meld7")
    assert [Counter(map(scheme.target_of, train))[n] for n in range(7)] == [
        4710,
        1743,
        1205,
        1109,
        683,
        271,
        268,
    ]
    assert Counter(map(find_scheme("meld3").target_of, train)).total() == 9989
    selection = select(release.utterances, scheme=scheme, protocol=find_protocol("meld-dev"))
    assert len(selection.folds[0].test) == 1109
