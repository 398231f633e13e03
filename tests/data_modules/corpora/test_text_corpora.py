"""EmoryNLP and GoEmotions: small tables with every defect, and the real ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.corpora import emorynlp, find_scheme, goemotions
from data_modules.errors import CorpusNotFoundError, ManifestError

HEADER = "Utterance,Speaker,Emotion,Scene_ID,Utterance_ID,Season,Episode,Start_Time,End_Time\n"
LABELS = "\n".join(find_scheme("goemotions28").names)


def write_emory(folder: Path, part: str, *rows: str) -> None:
    (folder / f"emorynlp_{part}_final.csv").write_text(HEADER + "".join(f"{r}\n" for r in rows))


def test_emorynlp(tmp_path: Path) -> None:
    write_emory(
        tmp_path,
        "train",
        "Coffee.,['Rachel Green'],Neutral,1,2,1,15,00:00:03.795,00:00:05.004",
        "\"Yes, \nno\",\"['Monica Geller', 'Phoebe Buffay']\",Joyful,1,10,1,15,,",
        'Hi,"[""Phoebe\'s Assistant""]",Mad,1,11,1,15,,',
    )
    write_emory(tmp_path, "test", "Bye,['Ross Geller'],Sad,3,1,2,4,,")
    release = emorynlp.read(tmp_path)
    first, second, third, fourth = release.utterances
    assert (first.id, first.dialogue) == ("s01e15c01_utt002", "s01e15c01")
    assert (first.speaker, first.part, first.text) == ("Rachel Green", "train", "Coffee.")
    assert first.labels == {"category": "Neutral", "season": 1, "episode": 15}
    assert second.speaker == "Monica Geller+Phoebe Buffay"
    assert third.speaker == "Phoebe's Assistant"
    assert (fourth.id, fourth.part) == ("s02e04c03_utt001", "test")
    assert release.counts == {"no table of this part": 1}


def test_emorynlp_lists_what_it_cannot_use(tmp_path: Path) -> None:
    good = "a,['X'],Sad,3,1,2,4,,"
    write_emory(
        tmp_path,
        "dev",
        good,
        good,
        "b,X,Sad,3,2,2,4,,",
        "b,[],Sad,3,2,2,4,,",
        "b,[1],Sad,3,2,2,4,,",
        "b,__import__('os'),Sad,3,2,2,4,,",
        "b,['X'],Sad,,2,2,4,,",
        "b,['X']",
        ",['X'],Sad,3,3,2,4,,",
    )
    release = emorynlp.read(tmp_path)
    assert [u.id for u in release.utterances] == ["s02e04c03_utt001", "s02e04c03_utt003"]
    reasons = {e.id.partition(":")[2]: e.reason for e in release.exclusions}
    assert reasons.pop("3") == "listed twice"
    assert reasons == dict.fromkeys("456789", "row that cannot be read")
    assert [n.id for n in release.notes if n.reason == "empty transcript"] == ["s02e04c03_utt003"]
    with pytest.raises(CorpusNotFoundError):
        emorynlp.read(tmp_path / "elsewhere")


@given(st.text(max_size=40))
def test_any_list_of_names_is_read_or_none(text: str) -> None:
    assert all(name.strip() == name for name in emorynlp._names(text))
    assert emorynlp._names(repr([text])) == ([text.strip()] if text.strip() else [])


@pytest.mark.real
def test_the_real_tables_of_emorynlp(shared_data: Path) -> None:
    release = emorynlp.read(shared_data / "emorynlp")
    assert not release.exclusions
    assert Counter(u.part for u in release.utterances) == {"train": 7551, "val": 954}
    assert len({u.dialogue for u in release.utterances}) == 659 + 89
    scheme = find_scheme("emorynlp7")
    dev = [u for u in release.utterances if u.part == "val"]
    assert [Counter(map(scheme.target_of, dev))[n] for n in range(7)] == [
        322,
        205,
        127,
        97,
        82,
        70,
        51,
    ]


def test_goemotions(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text(LABELS + "\n")
    (tmp_path / "train.tsv").write_text('A "quote\u2028 here\t27\te1\nTwo\t4,0\te2\r\nThree\t2\te3')
    (tmp_path / "dev.tsv").write_text("Four\t1\te4\n")
    release = goemotions.read(tmp_path)
    assert [u.id for u in release.utterances] == ["e1", "e2", "e3", "e4"]
    first, second, *_, last = release.utterances
    assert first.text == 'A "quote\u2028 here'
    assert (first.part, last.part, first.speaker) == ("train", "val", None)
    assert second.labels == {"categories": ["approval", "admiration"]}
    target = find_scheme("goemotions28").target_of(second)
    assert isinstance(target, tuple)
    assert [n for n, value in enumerate(target) if value] == [0, 4]
    assert release.counts == {"no table of this part": 1}


def test_goemotions_lists_what_it_cannot_use(tmp_path: Path) -> None:
    (tmp_path / "emotions.txt").write_text(LABELS)
    lines = [
        "a\t28\te1",
        "a\t\te2",
        "a\t1,x\te3",
        "a\t-1\te4",
        "a\t1",
        "a\t1\t",
        "",
        "a\t\u0661\te6",
    ]
    lines += ["a\t1\te7", "b\t2\te7", "\t3\te8", "a\t" + "9" * 5000 + "\te9", "a\tb\tc\td"]
    (tmp_path / "test.tsv").write_text("\n".join(lines) + "\n")
    release = goemotions.read(tmp_path)
    assert [u.id for u in release.utterances] == ["e7", "e8"]
    reasons = {int(e.id.partition(":")[2]): e.reason for e in release.exclusions}
    wrong = dict.fromkeys((1, 2, 3, 4, 8, 12), "label that does not exist")
    assert reasons == wrong | dict.fromkeys((5, 6, 13), "row that cannot be read") | {
        10: "listed twice"
    }
    assert release.ignored == {"empty lines": ["test.tsv:7"]}
    assert [n.id for n in release.notes if n.reason == "empty transcript"] == ["e8"]


@given(data=st.binary(max_size=80))
def test_any_table_of_goemotions_is_counted_or_told(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text(LABELS)
    (tmp_path / "dev.tsv").write_bytes(data)
    try:
        release = goemotions.read(tmp_path)
    except ManifestError:
        return
    lines = data.count(b"\n") + bool(data and not data.endswith(b"\n"))
    ignored = sum(map(len, release.ignored.values()))
    # a mark of byte order alone is no line
    assert len(release.utterances) + len(release.exclusions) + ignored in (lines, lines - 1)


def test_goemotions_without_its_labels(tmp_path: Path) -> None:
    with pytest.raises(CorpusNotFoundError):
        goemotions.read(tmp_path)
    (tmp_path / "dev.tsv").write_text("Four\t1\te4\n")
    with pytest.raises(ManifestError, match="28 names of GoEmotions, one a line, got no file"):
        goemotions.read(tmp_path)
    (tmp_path / "labels.txt").write_text("joy\nanger\n")
    with pytest.raises(ManifestError, match="got 2 lines"):
        goemotions.read(tmp_path)
    (tmp_path / "labels.txt").write_text(LABELS)
    (tmp_path / "dev.tsv").write_bytes(b"a\t1\te1\n\xff\t1\te2\n")
    with pytest.raises(ManifestError, match=r"dev\.tsv:2: expected text in UTF-8"):
        goemotions.read(tmp_path)


@pytest.mark.real
def test_the_real_tables_of_goemotions(shared_data: Path) -> None:
    release = goemotions.read(shared_data / "goemotions")
    assert not release.exclusions
    assert not release.ignored
    assert Counter(u.part for u in release.utterances) == {"train": 43410, "val": 5426}
    train = [u.labels["categories"] for u in release.utterances if u.part == "train"]
    assert sum(len(tags) == 1 for tags in train) == 36308
    counts = Counter(tag for tags in train for tag in tags)
    assert (counts["neutral"], counts["admiration"], counts["approval"]) == (14219, 4130, 2939)
    assert (counts["grief"], counts["pride"]) == (77, 111)
    assert sum("neutral" in tags and len(tags) > 1 for tags in train) == 1396
