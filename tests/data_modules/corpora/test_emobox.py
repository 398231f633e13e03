"""EmoBox: small manifests in the published layout, with the oddities of the real ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.corpora import CORPORA, Release, emobox, find_scheme
from data_modules.errors import CorpusNotFoundError, ManifestError, SermmError
from data_modules.labels import LeftOut
from data_modules.prepare import load_prepared, prepare
from data_modules.protocols import find_protocol, make_folds


def record(name: str, key: str, emo: str, **more: object) -> dict[str, object]:
    """A line as EmoBox writes it."""
    return {
        "key": f"{name}-{key}",
        "dataset": name,
        "wav": f"downloads/{name}/wav/{key}.wav",
        "type": "raw",
        "sample_rate": 16000,
        "num_frame": 16000.0,
        "task": "category",
        "length": 1.0,
        "emo": emo,
        "channel": 1,
        **more,
    }


def write(
    base: Path,
    name: str,
    records: Sequence[Mapping[str, Any]],
    folds: Mapping[str, Mapping[str, Sequence[str]]],
    labels: object,
) -> Path:
    """``data/NAME`` below ``base``, with a folder for the audio; folds are part to keys."""
    folder = base / "data" / name
    folder.mkdir(parents=True)
    (base / "downloads" / name / "wav").mkdir(parents=True)
    lines = {str(r["key"]): json.dumps(r) for r in records}
    (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in records))
    (folder / "label_map.json").write_text(json.dumps(labels))
    for fold, parts in folds.items():
        (folder / fold).mkdir()
        for part, keys in parts.items():
            text = "".join(lines.get(k, json.dumps({"key": k})) + "\n" for k in keys)
            (folder / fold / f"{name}_{part}_{fold}.jsonl").write_text(text)
    return folder


def listed(release: Release) -> dict[str, str]:
    return {e.id: e.reason for e in release.exclusions}


TURNS = {
    "Ses01F_impro04_M000": "neu",
    "Ses01F_impro04_F001": "exc",
    "Ses02M_script01_1b_F003": "hap",
    "Ses02M_impro01_M002": "sad",
}
MAP = {"neu": "Neutral", "hap": "Happy", "ang": "Angry", "sad": "Sad", "exc": "Happy"}


def iemocap(base: Path) -> Path:
    first, second, third, fourth = (f"iemocap-{turn}" for turn in TURNS)
    folds = {
        "fold_1": {"train": [third, fourth], "test": [first, second]},
        "fold_2": {"train": [first, second], "test": [third, fourth]},
    }
    return write(base, "iemocap", [record("iemocap", *turn) for turn in TURNS.items()], folds, MAP)


def test_folds_and_true_speakers(tmp_path: Path) -> None:
    release = emobox.read(iemocap(tmp_path))
    first, second, third, fourth = release.utterances
    assert first.id == "iemocap-Ses01F_impro04_F001"
    assert first.audio == "../../downloads/iemocap/wav/Ses01F_impro04_F001.wav"
    # the name of the dialogue says F; the last part says who speaks
    assert (second.id, second.speaker) == ("iemocap-Ses01F_impro04_M000", "Ses01M")
    assert (second.gender, second.session, second.script) == ("male", "1", None)
    assert (third.speaker, third.dialogue) == ("Ses02M", "Ses02M_impro01")
    assert (fourth.speaker, fourth.script) == ("Ses02F", "script01_1")
    assert [u.part for u in release.utterances] == ["fold_1", "fold_1", "fold_2", "fold_2"]
    assert release.stated_s == dict.fromkeys((u.id for u in release.utterances), 1.0)
    assert not release.exclusions
    assert not release.notes
    folds = make_folds(find_protocol("emobox-folds"), release.utterances)
    assert [fold.test for fold in folds] == [(first.id, second.id), (third.id, fourth.id)]


def test_the_scheme_is_that_of_the_map(tmp_path: Path) -> None:
    folder = iemocap(tmp_path)
    corpus = CORPORA["emobox"].at(folder)
    scheme = find_scheme("emobox", corpus)
    # nobody is angry here, and the map's order holds
    assert scheme.names == ("Neutral", "Happy", "Sad")
    targets = {u.id[8:]: scheme.target_of(u) for u in emobox.read(folder).utterances}
    assert targets == dict(zip(TURNS, (0, 1, 1, 2), strict=True))


def test_labels_of_other_spelling_and_labels_that_are_none(tmp_path: Path) -> None:
    records = [record("emodb", f"03a0{n}Fa", emo) for n, emo in enumerate(["fear", "neutral", "X"])]
    records.append(record("emodb", "08a01Fa", "O"))
    stated = {"fear": "Fear", "Neutral": "Neutral", "X": "No-agreement", "O": "Other", "s": "Sad"}
    keys = [str(r["key"]) for r in records]
    folder = write(tmp_path, "emodb", records, {"fold_1": {"train": keys}}, stated)
    (scheme,) = emobox.schemes_of(folder)
    assert scheme.names == ("Fear", "Neutral")
    targets = [scheme.target_of(u) for u in emobox.read(folder).utterances]
    assert targets[:2] == [0, 1]
    assert targets[2] == LeftOut("raters do not agree", "X")
    assert targets[3] == LeftOut("another emotion", "O")


def test_capitals_that_leave_a_choice_are_no_label(tmp_path: Path) -> None:
    records = [record("x", "1", "A"), record("x", "2", "q")]
    labels = {"a": "Angry", "q": "Quiet", "Q": "Queer"}
    folder = write(tmp_path, "x", records, {"fold_1": {"train": ["x-1", "x-2"]}}, labels)
    (scheme,) = emobox.schemes_of(folder)
    assert scheme.mapping == {"A": "Angry", "q": "Quiet"}
    records[1]["emo"] = "Qq"
    (folder / "x.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in records))
    assert emobox.schemes_of(folder)[0].mapping == {"A": "Angry"}
    assert emobox._name("QUIET", {"quiet": "One", "Quiet": "Two"}) is None


def test_single_splits(tmp_path: Path) -> None:
    records = [record("meld", f"dia{n}_utt0-x", "joy") for n in range(9)]
    keys = [str(r["key"]) for r in records]
    parts = {"train": keys[:5], "valid": keys[5:7], "test": keys[7:]}
    release = emobox.read(write(tmp_path, "meld", records, {"fold_1": parts}, {"joy": "Happy"}))
    assert [u.part for u in release.utterances] == ["train"] * 5 + ["val"] * 2 + ["test"] * 2
    assert release.counts == {"no speakers": 9}
    for rule in ("standard", "folds"):
        (fold,) = make_folds(find_protocol(f"emobox-{rule}"), release.utterances)
        assert (len(fold.train), len(fold.val), len(fold.test)) == (5, 2, 2)


def test_without_a_validation_part_it_is_drawn_from_training(tmp_path: Path) -> None:
    records = [record("cremad", f"10{n:02}-IEO-ANG-XX", "ANG") for n in range(20)]
    keys = [str(r["key"]) for r in records]
    parts = {"train": keys[:15], "test": keys[15:]}
    release = emobox.read(write(tmp_path, "cremad", records, {"fold_1": parts}, {"ANG": "Angry"}))
    assert release.utterances[3].speaker == "1003"
    protocol = find_protocol("emobox-folds")
    assert "speakers" in protocol.leak
    (fold,) = make_folds(protocol, release.utterances)
    assert fold.test == tuple(keys[15:])
    assert len(fold.val) == 3
    assert {*fold.val, *fold.train} == {*keys[:15]}


def test_several_test_parts_one_under_two_names(tmp_path: Path) -> None:
    records = [record("mer2023", f"sample_{n}", "sad") for n in range(12)]
    keys = [str(r["key"]) for r in records]
    parts = {"train": keys[:6], "test1": keys[6:8], "test2": keys[8:], "test": keys[6:8]}
    release = emobox.read(write(tmp_path, "mer2023", records, {"fold_1": parts}, {"sad": "Sad"}))
    assert Counter(u.part for u in release.utterances) == {"train": 6, "test1": 2, "test2": 4}
    folds = make_folds(find_protocol("emobox-folds"), release.utterances)
    # each test part by itself: what is not scored does not train either
    assert [len(fold.test) for fold in folds] == [2, 4]
    assert all({*fold.train, *fold.val} == {*keys[:6]} for fold in folds)


def test_what_does_not_fit_is_listed(tmp_path: Path) -> None:
    records = [
        record("x", "1", "a"),
        record("x", "1", "a"),
        record("x", "2", "a", type="feature"),
        record("x", "3", "a", wav=None),
        record("x", "4", "a", start_time=1.0, end_time=2.5),
        record("x", "5", "a", start_time=3.0, end_time=2.5),
        record("x", "6", "a"),
        record("x", "7", "a"),
        record("x", "8", "a", length="long"),
    ]
    folds = {
        "fold_1": {"train": ["x-5", "x-6", "x-1"], "test": ["x-1", "x-4", "x-8", "x-8"]},
        "fold_2": {"train": ["x-1"], "test": ["x-5", "x-6", "x-9", "x-4"]},
    }
    folder = write(tmp_path, "x", records, folds, {"a": "Angry"})
    (folder / "fold_1" / "x_test_fold1.jsonl").write_text("{}")
    (folder / "fold_1" / "x_test_fold_1.json").write_text("{}")
    release = emobox.read(folder)
    assert [u.id for u in release.utterances] == ["x-1", "x-5", "x-6", "x-8"]
    assert listed(release) == {
        "x.jsonl:2": "listed twice",
        "x.jsonl:3": "features in place of audio",
        "x.jsonl:4": "row that cannot be read",
        "x-4": "in several parts or folds",
        "x-7": "in no part or fold",
        "x-9": "in a fold but not in the manifest",
    }
    assert release.counts == {
        "files of another kind": 2,
        "keys that are listed again": 1,
        "trained on and tested in the same fold": 1,
        "times that cannot be read: the whole file": 1,
        "no speakers": 4,
    }
    assert set(release.stated_s) == {"x-1", "x-5", "x-6"}


def test_parts_of_a_long_file(tmp_path: Path) -> None:
    times = [(0.0, 1.5), (1.5, 2.0)]
    records = [
        record("pavoque", str(n), "sad", wav="downloads/pavoque/all.flac", start_time=a, end_time=b)
        for n, (a, b) in enumerate(times)
    ]
    parts = {"train": ["pavoque-0"], "test": ["pavoque-1"]}
    folder = write(tmp_path, "pavoque", records, {"fold_1": parts}, {"sad": "Sad"})
    soundfile.write(tmp_path / "downloads" / "pavoque" / "all.flac", np.zeros(32_000), 16_000)
    prepared = prepare(CORPORA["emobox"], folder, tmp_path / "cache")
    assert [(u.start_s, u.end_s) for u in prepared.utterances] == times
    again = load_prepared(CORPORA["emobox"], tmp_path / "cache")
    assert again.corpus.scheme.names == ("Sad",)


@pytest.mark.parametrize(
    ("name", "key", "speaker"),
    [
        ("ravdess", "03-01-05-01-02-01-18", "18"),
        ("emovo", "gio-f2-b2", "f2"),
        ("enterface", "s19_an_4.avi", "19"),
        ("esd", "0005-001101", "0005"),
        ("jlcorpus", "female2-anxious-7b-2", "female2"),
        ("mead", "M029-angry-level-1-021", "M029"),
        ("shemo", "F24H09", "F24"),
        ("subesco", "F_10_FAHMEE_S_10_SURPRISE_4", "F_10"),
        ("urdu", "SM3_F5_N025", "SM3"),
        ("urdu", "SF10_F1_S01", "SF10"),
        ("casia", "239-wangzhe-neutral", "wangzhe"),
        ("savee", "JE-sa05", "JE"),
        ("msppodcast", "MSP-PODCAST_0002_0033", None),
    ],
)
def test_speakers_stand_in_the_keys(
    name: str, key: str, speaker: str | None, tmp_path: Path
) -> None:
    records = [record(name, key, "a")]
    folds = {"fold_1": {"train": [f"{name}-{key}"]}}
    (utterance,) = emobox.read(write(tmp_path, name, records, folds, {"a": "A"})).utterances
    assert utterance.speaker == speaker


def test_what_is_no_corpus_of_emobox(tmp_path: Path) -> None:
    with pytest.raises(CorpusNotFoundError, match=r"NAME\.jsonl, label_map\.json and fold_1/"):
        emobox.read(tmp_path)
    folder = iemocap(tmp_path)
    (folder / "label_map.json").write_text("[]")
    with pytest.raises(ManifestError, match=r"label_map\.json: .*got another content"):
        emobox.schemes_of(folder)
    (folder / "label_map.json").rename(folder / "label_dict.json")
    (folder / "label_dict.json").write_text(json.dumps(MAP))
    assert emobox.schemes_of(folder)[0].name == "emobox"
    (folder / "label_dict.json").unlink()
    with pytest.raises(ManifestError, match="got no file"):
        emobox.schemes_of(folder)
    (tmp_path / "downloads").rename(tmp_path / "elsewhere")
    with pytest.raises(CorpusNotFoundError, match="expected downloads/ here, or in one of the two"):
        emobox.read(folder)


def test_a_folder_of_another_name_and_audio_beside_it(tmp_path: Path) -> None:
    folder = iemocap(tmp_path)
    (tmp_path / "downloads").rename(folder / "downloads")
    moved = folder.rename(tmp_path / "mine")
    first = emobox.read(moved).utterances[0]
    assert first.audio == "downloads/iemocap/wav/Ses01F_impro04_F001.wav"


LINE = st.dictionaries(
    st.sampled_from(["key", "wav", "emo", "start_time", "end_time", "length", "type"]),
    st.none()
    | st.sampled_from(["x-1", "a", "downloads/x", "raw", "", "."])
    | st.floats()
    | st.integers(),
)


@settings(max_examples=100)
@given(lines=st.lists(LINE, max_size=4), noise=st.binary(max_size=30))
def test_any_manifest_is_read_or_told(
    lines: list[dict[str, object]], noise: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("emobox")
    folder = write(base, "x", [record("x", "1", "a")], {"fold_1": {"train": ["x-1"]}}, {"a": "A"})
    text = "".join(f"{json.dumps(line)}\n" for line in lines).encode() + noise + b"\n"
    with (folder / "x.jsonl").open("ab") as stream:
        stream.write(text)
    try:
        release = emobox.read(folder)
        emobox.schemes_of(folder)
    except SermmError:
        return
    there = sum(bool(line.strip()) for line in (folder / "x.jsonl").read_bytes().split(b"\n"))
    assert len(release.utterances) + len(release.exclusions) == there
