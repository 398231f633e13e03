"""MSP-Podcast: made-up trees in the layouts of its releases."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.corpora import msp_files, msp_podcast
from data_modules.corpora.release import Release
from data_modules.errors import CorpusNotFoundError, LeakError, ManifestError
from data_modules.labels import LeftOut
from data_modules.manifest import read_manifest
from data_modules.prepare import prepare
from data_modules.prepared import manifest_path
from data_modules.protocols import find_protocol, make_folds
from tests.data_modules.iemocap_tree import wav_bytes

HEAD = ("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")
ROWS = (
    ("MSP-PODCAST_0001_0008.wav", "N", "2.2", "4.0", "2.6", "30", "Male", "Test1"),
    ("MSP-PODCAST_0001_0009.wav", "A", "5.25", "1.5", "6", "39", "Female", "Train"),
    ("MSP-PODCAST_0002_0003.wav", "X", "3", "3", "3", "Unknown", "Unknown", "Train"),
    ("MSP-PODCAST_0003_0001_0002.wav", "C", "4.5", "3", "4", "7", "Male", "Development"),
    ("MSP-PODCAST_0004_0001.wav", "H", "6", "6.5", "5", "8", "Female", "Test2"),
)
MSP8, MSP4, VAD = msp_podcast.CORPUS.schemes


def write_csv(path: Path, rows: Any, head: tuple[str, ...] = HEAD) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(",".join(row) for row in (head, *rows)) + "\n", encoding="utf-8")


def release_112(folder: Path) -> Path:
    """As release 1.12: Labels, Audios, Transcripts, one string a rater."""
    write_csv(folder / "Labels" / "labels_consensus.csv", ROWS)
    (folder / "Audios").mkdir()
    (folder / "Transcripts").mkdir()
    for name, *_ in ROWS:
        (folder / "Audios" / name).write_bytes(b"")
        text = f"Words of {name}. \n"
        (folder / "Transcripts" / name).with_suffix(".txt").write_text(text, encoding="utf-8")
    detail = (
        '"WORKER00000001; Angry; Angry,Frustrated; A:5; V:1; D:6;"',
        '"WORKER00000002; Angry; Angry; A:6; V:2; D:6;"',
        '"WORKER00000003; Neutral; ; A:4; V:3; D:6;"',
        '"WORKER00000004; Other-fed up, really; Annoyed; A:4; V:3; D:6;"',
    )
    rows = [(ROWS[1][0], one) for one in detail]
    write_csv(folder / "Labels" / "labels_detailed.csv", rows, ("FileName", "EmoDetail"))
    return folder


def notes(release: Release) -> list[tuple[str, str, int]]:
    return sorted((note.id, note.reason, note.count) for note in release.notes)


def test_columns_are_read_by_name(tmp_path: Path) -> None:
    release = msp_podcast.read(release_112(tmp_path))
    by_id = {utterance.id: utterance for utterance in release.utterances}
    assert list(by_id) == [name.removesuffix(".wav") for name, *_ in ROWS]
    angry = by_id["MSP-PODCAST_0001_0009"]
    assert angry.audio == "Audios/MSP-PODCAST_0001_0009.wav"
    assert (angry.speaker, angry.gender, angry.part) == ("39", "female", "train")
    assert (angry.dialogue, angry.session) == (None, None)
    assert angry.text == "Words of MSP-PODCAST_0001_0009.wav."
    assert angry.labels == {
        "category": "A",
        "valence": 1.5,
        "activation": 5.25,
        "dominance": 6.0,
        "votes": {"A": 2, "N": 1, "O": 1},
    }
    assert VAD.names == ("valence", "activation", "dominance")
    assert VAD.target_of(angry) == (1.5, 5.25, 6.0)
    assert MSP8.names[0] == "anger"
    assert MSP8.target_of(angry) == 0
    # what is no class has no share: two of three votes for classes are anger
    assert MSP8.shares_of(angry) == pytest.approx((2 / 3, 0, 0, 0, 0, 0, 0, 1 / 3))
    assert MSP4.shares_of(angry) == pytest.approx((2 / 3, 0, 1 / 3, 0))
    nobody = by_id["MSP-PODCAST_0002_0003"]
    assert (nobody.speaker, nobody.gender) == (None, None)
    assert MSP8.target_of(nobody) == LeftOut("raters do not agree", "X")
    assert MSP8.shares_of(nobody) is None
    contempt = by_id["MSP-PODCAST_0003_0001_0002"]
    assert contempt.part == "val"
    assert MSP8.name_of(MSP8.target_of(contempt)) == "contempt"
    assert MSP4.target_of(contempt) == LeftOut("contempt is none of the four classes", "C")
    assert [(note.id, note.reason) for note in release.notes] == [
        (name.removesuffix(".wav"), "no votes") for name, *_ in (ROWS[0], *ROWS[2:])
    ]
    assert not release.exclusions


@pytest.mark.parametrize("folder", ["Labels", "labels", "label"])
@pytest.mark.parametrize("name", ["labels_consensus", "labels_concensus"])
@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_names_of_the_releases(tmp_path: Path, folder: str, name: str, suffix: str) -> None:
    expected = msp_podcast.read(release_112(tmp_path / "a")).utterances
    path = tmp_path / "b" / folder / f"{name}{suffix}"
    # columns in another order, and one more
    order = (*reversed(HEAD), "More")
    rows = [{**dict(zip(HEAD, row, strict=True)), "More": "x"} for row in ROWS]
    rows[3]["Split_Set"] = "Validation"
    if suffix == ".csv":
        write_csv(path, [[row[column] for column in order] for row in rows], order)
    else:
        path.parent.mkdir(parents=True)
        entries: dict[str, Any] = {row.pop("FileName"): row for row in rows}
        first = next(iter(entries))
        entries[first] = [entries[first]]
        path.write_text(json.dumps(entries))
    (tmp_path / "b" / "Audio").mkdir()
    release = msp_podcast.read(tmp_path / "b")
    assert notes(release) == [("Transcripts", "no transcripts in the release", 1)]
    for one, other in zip(release.utterances, expected, strict=True):
        assert one.audio == f"Audio/{one.id}.wav"
        assert (one.id, one.speaker, one.gender, one.part) == (
            *(other.id, other.speaker, other.gender, other.part),
        )
        assert one.labels == {k: v for k, v in other.labels.items() if k != "votes"}
        assert one.text is None


def test_the_three_forms_of_votes(tmp_path: Path) -> None:
    folder = release_112(tmp_path) / "Labels"
    expected = {"A": 2, "N": 1, "O": 1}
    table = folder / "labels_detailed.csv"
    words = ("Angry", "Angry", "Neutral", "Other-x")
    rows = [(ROWS[1][0], f"WORKER{n}", word, "", "4") for n, word in enumerate(words)]
    for rater in ("Workers", "WorkerID"):
        head = ("FileName", rater, "EmoClass_Major", "EmoClass_Second", "EmoAct")
        write_csv(table, rows, head)
        assert msp_files.read_votes(folder, tmp_path, Release()) == {
            "MSP-PODCAST_0001_0009": expected
        }
    table.unlink()
    entries = {ROWS[1][0]: {f"WORKER{n}": {"EmoClass_Major": w} for n, w in enumerate(words)}}
    (folder / "labels_detailed.json").write_text(json.dumps(entries))
    assert msp_files.read_votes(folder, tmp_path, Release()) == {"MSP-PODCAST_0001_0009": expected}
    (folder / "labels_detailed.json").unlink()
    assert msp_files.read_votes(folder, tmp_path, Release()) == {}


def test_odd_votes_are_noted(tmp_path: Path) -> None:
    folder = tmp_path / "Labels"
    folder.mkdir()
    (folder / "labels_detailed.csv").write_bytes(
        b"FileName,EmoDetail\n"
        b'A_1.wav,"W1; Happy; ; A:1;"\n'
        b'A_1.wav,"W2; Joyf\xfcl; ; A:1;"\n'
        b'A_1.wav,"W3; Melancholic; ; A:1;"\n'
        b'A_1.wav,"no detail"\n'
        b'A_1.wav,"W4; ; ; A:1;"\n'
        b"A_1.wav\n"
    )
    release = Release()
    assert msp_files.read_votes(folder, tmp_path, release) == {"A_1": {"H": 1, "O": 2}}
    table = "Labels/labels_detailed.csv"
    assert notes(release) == [
        (f"{table}:5", "votes that cannot be read", 1),
        (f"{table}:6", "votes that cannot be read", 1),
        (f"{table}:7", "votes that cannot be read", 1),
        (
            "labels_detailed",
            "raters' words that are not known, counted as another emotion",
            2,
        ),
    ]
    (folder / "labels_detailed.csv").write_text("FileName,Else\n")
    with pytest.raises(ManifestError, match=r"labels_detailed\.csv:1: .* got FileName, Else"):
        msp_files.read_votes(folder, tmp_path, Release())
    (folder / "labels_detailed.csv").write_text("FileName,EmoDetail\nA," + '"x' * 200_000)
    with pytest.raises(ManifestError, match=r"labels_detailed\.csv:\d+: .* field larger"):
        msp_files.read_votes(folder, tmp_path, Release())


def test_transcripts_may_be_in_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(msp_files, "MAX_TRANSCRIPT", 100)
    with zipfile.ZipFile(tmp_path / "Transcripts.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Transcripts/A_1.txt", "Źle. \n")
        archive.writestr("Transcripts/A_2.txt", "na\u00efve".encode("latin-1"))
        archive.writestr("Transcripts/A_3.txt", "x" * 101)
        archive.writestr("Transcripts/readme.md", "x")
        archive.writestr("__MACOSX/._A_1.txt", "x")
    release = Release()
    assert msp_files.read_transcripts(tmp_path, release) == {"A_1": "Źle.", "A_2": "naïve"}
    assert notes(release) == [
        (
            "Transcripts.zip: Transcripts/A_2.txt",
            "text is not UTF-8, read as Latin-1",
            1,
        ),
        ("Transcripts.zip: Transcripts/A_3.txt", "no transcript of a turn", 1),
    ]
    (tmp_path / "Transcripts.zip").write_bytes(b"no archive")
    with pytest.raises(ManifestError, match=r"Transcripts\.zip: expected a zip archive"):
        msp_files.read_transcripts(tmp_path, Release())


def test_odd_rows_are_listed(tmp_path: Path) -> None:
    root = release_112(tmp_path)
    rows = (
        *ROWS[:2],
        ROWS[1],
        ("", *ROWS[0][1:]),
        ("B_1.wav", "", *ROWS[0][2:]),
        ("B_2.wav", "N", "high", *ROWS[0][3:7], "Test7"),
        ("B_3.wav", "N"),
    )
    write_csv(root / "Labels" / "labels_consensus.csv", rows)
    (root / "Audios" / "notes.txt").write_bytes(b"")
    release = msp_podcast.read(root)
    table = "Labels/labels_consensus.csv"
    assert {(e.id, e.reason) for e in release.exclusions} == {
        (f"{table}:4", "listed twice"),
        (f"{table}:5", "row without a file name"),
        ("B_1", "no label"),
        (f"{table}:8", "row that cannot be read"),
        *((name.removesuffix(".wav"), "audio without a label") for name, *_ in ROWS[2:]),
    }
    assert ("transcripts", "transcripts of turns without a label", 3) in notes(release)
    assert {note for note in notes(release) if note[0] == "B_2"} == {
        ("B_2", "rating that is no number", 1),
        ("B_2", "part that is not known", 1),
        ("B_2", "no transcript", 1),
        ("B_2", "no votes", 1),
    }
    assert release.ignored == {"files of another kind": ["Audios/notes.txt"]}


def test_tables_that_are_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(CorpusNotFoundError, match=r"Labels/labels_consensus\.csv and Audios/"):
        msp_podcast.read(tmp_path)
    write_csv(tmp_path / "Labels" / "labels_consensus.csv", [], ("FileName", "EmoClass"))
    with pytest.raises(ManifestError, match=r"labels_consensus\.csv:1: .* got no EmoAct"):
        msp_podcast.read(tmp_path)
    (tmp_path / "Labels" / "labels_consensus.csv").unlink()
    path = tmp_path / "Labels" / "labels_consensus.json"
    for text, told in (
        ("[1]", "got a list"),
        ("{", "Expecting property name"),
        ("[" * 99_999, "maximum recursion depth"),
    ):
        path.write_text(text)
        with pytest.raises(ManifestError, match=told):
            msp_podcast.read(tmp_path)
    path.write_text(json.dumps({"A.wav": {"EmoClass": "N"}, "B.wav": 3, "C.wav": []}))
    release = msp_podcast.read(tmp_path)
    assert [exclusion.reason for exclusion in release.exclusions] == [
        "entry that cannot be read"
    ] * 3


def test_folds_by_the_parts_of_the_release(tmp_path: Path) -> None:
    root = release_112(tmp_path)
    random = np.random.default_rng(0)
    for name, *_ in ROWS:
        samples = random.integers(-999, 999, 8_000, dtype=np.int16)
        (root / "Audios" / name).write_bytes(wav_bytes(samples))
    prepared = prepare(msp_podcast.CORPUS, root, tmp_path / "cache")
    assert len(prepared.utterances) == 5
    (fold,) = make_folds(find_protocol("msp_podcast-test1"), prepared.utterances)
    assert fold.test == ("MSP-PODCAST_0001_0008",)
    assert fold.val == ("MSP-PODCAST_0003_0001_0002",)
    # of 0001 one speaker trains and the other is scored: a podcast is no dialogue
    assert fold.train == ("MSP-PODCAST_0001_0009", "MSP-PODCAST_0002_0003")
    (other,) = make_folds(find_protocol("msp_podcast-test2"), prepared.utterances)
    assert other.test == ("MSP-PODCAST_0004_0001",)
    # what the release promises is checked
    shared = [row if row[0] != ROWS[0][0] else (*row[:5], "39", *row[6:]) for row in ROWS]
    write_csv(root / "Labels" / "labels_consensus.csv", shared)
    prepared = prepare(msp_podcast.CORPUS, root, tmp_path / "cache")
    with pytest.raises(LeakError, match="no speaker in both train and test, got 39 in both"):
        make_folds(find_protocol("msp_podcast-test1"), prepared.utterances)


TABLE = ",".join(HEAD) + "\n" + "\n".join(",".join(row) for row in ROWS[:2]) + "\n"
ENTRIES = json.dumps({row[0]: dict(zip(HEAD[1:], row[1:], strict=True)) for row in ROWS[:2]})


@settings(max_examples=300)
@given(
    st.sampled_from(["labels_consensus.csv", "labels_consensus.json"]),
    st.integers(0, len(TABLE)),
    st.integers(0, 9),
    st.binary(max_size=5) | st.sampled_from([b'"', b"\\udc80", b"\0", b","]),
)
def test_a_mutated_table_is_read_or_told(
    tmp_path: Path, name: str, start: int, length: int, new: bytes
) -> None:
    folder = tmp_path / "Labels"
    folder.mkdir(exist_ok=True)
    for other in folder.iterdir():
        other.unlink()
    data = (TABLE if name.endswith("csv") else ENTRIES).encode()
    (folder / name).write_bytes(data[:start] + new + data[start + length :])
    try:
        prepare(msp_podcast.CORPUS, tmp_path, tmp_path / "cache")
    except (ManifestError, CorpusNotFoundError) as error:
        str(error).encode()


def test_what_utf_8_cannot_hold_is_spelt_out(tmp_path: Path) -> None:
    entries = {"A\udc80.wav": dict(zip(HEAD[1:], ROWS[0][1:], strict=True))}
    (tmp_path / "Labels").mkdir()
    (tmp_path / "Labels" / "labels_consensus.json").write_text(json.dumps(entries))
    (tmp_path / "Audios").mkdir()
    samples = np.random.default_rng(0).integers(-999, 999, 8_000, dtype=np.int16)
    (tmp_path / "Audios" / "A\\udc80.wav").write_bytes(wav_bytes(samples))
    prepare(msp_podcast.CORPUS, tmp_path, tmp_path / "cache")
    (utterance,) = read_manifest(manifest_path("msp_podcast", tmp_path / "cache"))
    assert utterance.id == "A\\udc80"
