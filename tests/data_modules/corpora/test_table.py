"""A user's own table: every field, every kind of label, and one line for each mistake."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.corpora import CORPORA, Release, find_scheme, table
from data_modules.corpora.table_yaml import COLUMNS
from data_modules.errors import ConfigError, CorpusNotFoundError, ManifestError
from data_modules.protocols import find_protocol, make_folds
from tests.sermm.workplace import Workplace

CLASSES = {"column": "emotion", "names": ["joy", "anger"]}
PLAIN: dict[str, Any] = {
    "file": "clips.csv",
    "columns": {"id": "id", "text": "text", "speaker": "who"},
    "classes": CLASSES,
}
ROWS = "id,text,who,emotion\na,Hello,Ann,joy\nb,Go!,Ben,anger\n"


def write(folder: Path, spec: object = PLAIN, rows: str = ROWS, name: str = "clips.csv") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "table.yaml").write_text(spec if isinstance(spec, str) else yaml.safe_dump(spec))
    (folder / name).write_text(rows)
    return folder


def listed(release: Release) -> dict[str, tuple[str, str]]:
    return {e.id: (e.reason, e.detail) for e in release.exclusions}


def test_every_field(tmp_path: Path) -> None:
    fields = list(COLUMNS)
    spec = PLAIN | {"columns": {name: name.upper() for name in fields}, "delimiter": ";"}
    rows = ";".join([*map(str.upper, fields), "emotion", "unused"]) + "\n"
    rows += "u2;/data/x.wav;0.5;2;Hi;Ann;s1;d1;train;F;one;joy;?\n"
    rows += "u1;wav/y.wav;;;;Ben;;;;unknown;;anger;?\n"
    first, second = table.read(write(tmp_path, spec, rows)).utterances
    assert second.audio is not None
    assert (tmp_path / second.audio).resolve() == Path("/data/x.wav")
    assert (second.start_s, second.end_s, second.text, second.speaker) == (0.5, 2.0, "Hi", "Ann")
    assert (second.session, second.dialogue, second.part) == ("s1", "d1", "train")
    assert (second.gender, second.script) == ("female", "one")
    assert (first.id, first.audio, first.start_s, first.end_s) == ("u1", "wav/y.wav", None, None)
    assert (first.text, first.session, first.gender, first.script) == ("", None, None, None)
    release = table.read(tmp_path)
    assert {note.reason for note in release.notes} == {
        "empty transcript",
        "gender that is neither female nor male",
    }


def test_every_kind_of_label(tmp_path: Path) -> None:
    spec = {
        "file": "t.jsonl",
        "columns": {"id": "id", "text": "text"},
        "classes": CLASSES
        | {"mapping": {"glad": "joy"}, "left_out": {"": "not rated"}, "votes": {"glad": "n1"}},
        "ratings": {"columns": {"valence": "v"}, "low": -1, "high": 1},
        "tags": {"column": "all", "names": ["joy", "fear"], "mapping": {"dread": "fear"}},
    }
    lines = [
        {"id": 1, "text": "x", "emotion": "glad", "n1": 2, "v": 0.5, "all": ["joy", "dread"]},
        {"id": "b", "text": "x", "emotion": None, "n1": "0", "v": "-1", "all": "dread, fear"},
        {"id": "c", "text": "x", "emotion": "anger", "n1": 0, "v": 1, "all": []},
    ]
    write(tmp_path, spec, "\n".join(map(json.dumps, lines)), "t.jsonl")
    release, corpus = table.read(tmp_path), CORPORA["table"].at(tmp_path)
    assert [scheme.name for scheme in corpus.schemes] == [
        "table_classes",
        "table_ratings",
        "table_tags",
    ]
    classes, ratings, tags = corpus.schemes
    one, second, third = release.utterances
    assert (one.id, classes.target_of(one), classes.shares_of(one)) == ("1", 0, (1.0, 0.0))
    left = classes.target_of(second)
    assert not isinstance(left, int | tuple)
    assert left.reason == "not rated"
    assert [ratings.target_of(u) for u in release.utterances] == [(0.5,), (-1.0,), (1.0,)]
    assert [tags.target_of(u) for u in (one, second, third)] == [(1, 1), (0, 1), (0, 0)]
    assert find_scheme("table_tags", corpus) is tags
    with pytest.raises(ConfigError, match="one of table_classes, table_ratings, table_tags"):
        find_scheme("iemocap4", corpus)


def test_rows_that_cannot_be_used_are_listed(tmp_path: Path) -> None:
    spec = PLAIN | {
        "columns": {"id": "id", "audio": "file", "start_s": "from", "end_s": "to"},
        "ratings": {"columns": {"valence": "v"}, "low": 1, "high": 5},
        "classes": CLASSES | {"votes": {"joy": "n"}},
    }
    rows = (
        "id,file,from,to,emotion,v,n\n"
        "a,x.wav,0,1,joy,3,1\n"
        "b,,0,1,joy,3,1\n"
        "c,x.wav,0,,joy,3,1\n"
        "d,x.wav,2,1,joy,3,1\n"
        "e,x.wav,0,1,joy,6,1\n"
        'f,x.wav,0,1,joy,"3,5",1\n'
        "g,x.wav,0,1,joy,nan,1\n"
        "h,x.wav,0,1,joy,3,-1\n"
        "i,x.wav,0,1,joy,3\n"
        "j,x.wav,-1,1,joy,3,1\n"
    )
    release = table.read(write(tmp_path, spec, rows))
    assert [u.id for u in release.utterances] == ["a"]
    assert listed(release) == {
        "b": ("no audio", "clips.csv:3: file is empty"),
        "c": ("number that cannot be read", "clips.csv:4: to is ''"),
        "d": (
            "times that are out of order",
            "clips.csv:5: expected 0 <= start < end, got 2 to 1",
        ),
        "e": ("rating outside of its range", "clips.csv:6: expected 1 to 5, valence is 6"),
        "f": ("number that cannot be read", "clips.csv:7: v is '3,5'"),
        "g": ("number that cannot be read", "clips.csv:8: v is 'nan'"),
        "h": ("votes below zero", "clips.csv:9: {'joy': -1.0}"),
        "clips.csv:10": ("row that cannot be read", "expected 7 columns, got 6"),
        "j": (
            "times that are out of order",
            "clips.csv:11: expected 0 <= start < end, got -1 to 1",
        ),
    }


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("a,Hi,Ann,joy", r"clips\.csv:4: expected ids that occur once \(first at clips\.csv:2\)"),
        (",Hi,Ann,joy", r"clips\.csv:4: expected an id in id, got ''; give the row one"),
        ("c,Hi, ,joy", r"clips\.csv:4: expected a speaker in who, got nothing; fill it in"),
        ("c,Hi,Ann,jooy", r"clips\.csv:4: expected a label among joy, anger, got 'jooy'; mend"),
        ("c,Hi,Ann,", r"clips\.csv:4: expected a label among joy, anger, got ''"),
        ('c,"Hi,Ann,joy', r"clips\.csv:4: expected a quote that is closed"),
    ],
)
def test_rows_that_stop(line: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=told):
        table.read(write(tmp_path, rows=f"{ROWS}{line}\n"))


def edited(**changes: object) -> dict[str, Any]:
    return {key: value for key, value in {**PLAIN, **changes}.items() if value is not None}


TAGS = {"column": "emotion", "names": ["joy", "anger"]}
RATINGS = {"columns": {"v": "v"}, "low": 1, "high": 5}


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("a: [", r"table\.yaml:1: expected YAML"),
        ("\tfile: x", r"table\.yaml:1: expected YAML"),
        ("- a", "expected keys with values"),
        ("", "expected keys with values, got None"),
        ("file: a\nfile: b\n", r"table\.yaml:2: expected YAML, got key file twice"),
        ("file: !!python/object/apply:os.system [x]", "expected YAML, got could not determine"),
        (edited(kolumns={}), r"kolumns: .*got an unknown key; write columns"),
        (edited(file=None), r"table\.yaml: file: expected a value, got nothing"),
        (edited(file="none.csv"), r"file: .*got none\.csv, no file"),
        (edited(file="table.yaml"), r"file: expected one of \.csv, \.tsv, \.jsonl"),
        (edited(delimiter=", "), r"delimiter: expected one character"),
        (edited(columns={"text": "text"}), r"columns\.id: expected a value"),
        (edited(columns={"id": "id"}), "expected a column of audio or of text"),
        (edited(columns={"id": "id", "txt": "text"}), r"columns\.txt: .*unknown key; write text"),
        (edited(columns={"id": "id", "text": "t", "start_s": "s"}), "start_s and end_s together"),
        (edited(columns={"id": "id", "text": "t", "start_s": "s", "end_s": "e"}), "audio, start_s"),
        (edited(columns={"id": "id", "text": ["t"]}), r"columns\.text: expected a name"),
        (edited(columns={"id": "id", "text": "t"}), r"clips\.csv:1: .*got no t;"),
        (edited(classes=None), "at least one of classes, ratings and tags"),
        (edited(classes={"column": "emotion"}), r"classes\.names: expected a value"),
        (edited(classes=CLASSES | {"names": "joy"}), r"classes\.names: expected a list of names"),
        (edited(classes=CLASSES | {"names": ["joy", "joy"]}), "each name once, got 'joy' again"),
        (edited(classes=CLASSES | {"names": [True]}), "True as YAML reads it; put it in quotes"),
        (edited(classes=CLASSES | {"mapping": {"x": "y"}}), r"mapping: .*among joy, anger, got y"),
        (edited(classes=CLASSES | {"left_out": {"joy": "x"}}), "values that are no class, got joy"),
        (edited(classes=CLASSES | {"votes": {"sad": "n"}}), r"votes: .*among joy, anger, got sad"),
        (edited(ratings=RATINGS | {"low": 5}), r"ratings\.low: expected less than high"),
        (edited(ratings=RATINGS | {"high": "5"}), r"ratings\.high: expected a number, got '5'"),
        (edited(ratings=RATINGS | {"high": float("nan")}), r"ratings\.high: expected a number"),
        (edited(ratings=RATINGS | {"columns": {"a.b": "v"}}), "names without a dot"),
        (edited(ratings=RATINGS | {"columns": {}}), "at least one, got none"),
        (edited(tags=TAGS | {"separator": ""}), r"tags\.separator: "),
        (edited(tags=TAGS | {"mapping": {"x": "y"}}), r"tags\.mapping: "),
    ],
)
def test_descriptions_that_will_not_do(spec: object, told: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=told):
        table.read(write(tmp_path, spec))


def test_lines_without_a_key_that_is_named(tmp_path: Path) -> None:
    spec = edited(file="t.jsonl")
    line = {"id": "a", "text": "x", "emotion": "joy"}
    write(tmp_path, spec, json.dumps(line), "t.jsonl")
    with pytest.raises(ManifestError, match=r"t\.jsonl: .*got no who in any line"):
        table.read(tmp_path)
    nested = line | {"who": "Ann", "text": {"en": "x"}}
    write(tmp_path, spec, json.dumps(nested), "t.jsonl")
    assert listed(table.read(tmp_path))["a"][0] == "row that cannot be read"


def test_a_folder_without_a_description(tmp_path: Path) -> None:
    for read in (table.read, table.schemes_of):
        with pytest.raises(CorpusNotFoundError, match=r"table\.yaml and the table"):
            read(tmp_path)


def test_parts_and_folds_of_a_table(tmp_path: Path) -> None:
    spec = edited(columns={"id": "id", "text": "text", "part": "part", "speaker": "who"})
    rows = "id,text,who,part,emotion\n"
    rows += "".join(f"u{n},x,s{n},{'abc'[n % 3]},joy\n" for n in range(12))
    release = table.read(write(tmp_path, spec, rows))
    folds = make_folds(find_protocol("table-folds"), release.utterances)
    assert [fold.test for fold in folds] == [
        tuple(u.id for u in release.utterances if u.part == part) for part in "abc"
    ]


def test_labels_that_nobody_named_are_told_together(tmp_path: Path) -> None:
    lines = "c,Hi,Ann,jooy\nd,Hi,Ann,joy\ne,Hi,Ann,sad\nf,Hi,Ann,jooy\n"
    told = (
        r"clips\.csv:4, clips\.csv:6, clips\.csv:7: .*, got 'jooy' \(2 times\), 'sad' \(1 times\);"
    )
    with pytest.raises(ManifestError, match=told):
        table.read(write(tmp_path, rows=f"{ROWS}{lines}"))


def test_one_line_and_status_two(tmp_path: Path) -> None:
    folder = write(tmp_path / "clips", rows=f"{ROWS}c,Hi,Ann,jooy\n")
    place = Workplace(tmp_path, folder, tmp_path / "cache")
    said = place.sermm("prepare", "table", "--root", str(folder))
    assert said.status == 2
    assert said.err.count("\n") == 1
    assert "clips.csv:4: expected a label among joy, anger, got 'jooy'" in said.err
    assert not (tmp_path / "cache" / "manifests").exists()


def test_labels_of_a_table_are_checked_before_anything_runs(tmp_path: Path) -> None:
    folder = write(tmp_path / "clips")
    place = Workplace(tmp_path, folder, tmp_path / "cache")
    settings = ["data.corpus=table", f"data.root={folder}", "data.protocol=table-speaker2"]
    for more, told in (
        ("data.labels=table_ratings", "expected one of table_classes, got 'table_ratings'"),
        ("data.labels=table_classes data.soft_labels=true", "labels that raters voted for"),
        ("data.labels=table_classes optim.select=mae", "optim.select"),
    ):
        said = place.sermm("fit", "text_demo", *settings, *more.split())
        assert (said.status, said.err.count("\n")) == (2, 1), said
        assert told in said.err


KEYS = st.sampled_from(["file", "columns", "classes", "id", "text", "names", "votes", "a", "", 1])
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=4) | st.just("clips.csv"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100)
@given(changes=st.dictionaries(KEYS, VALUES, max_size=3), classes=VALUES)
def test_any_description_is_read_or_told(changes: Any, classes: Any, tmp_path: Path) -> None:
    write(tmp_path, PLAIN | changes | {"classes": classes})
    with suppress(ManifestError, CorpusNotFoundError):
        table.read(tmp_path)


@settings(max_examples=100)
@given(rest=st.text(st.sampled_from("ab,\"\n\r joy\0é'"), max_size=60))
def test_any_rows_are_counted_or_told(rest: str, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "clips.csv").write_bytes((ROWS + rest).encode())
    try:
        release = table.read(tmp_path)
    except ManifestError:
        return
    assert {u.id for u in release.utterances} >= {"a", "b"}
    places = {e.id if e.id.startswith("clips") else e.detail for e in release.exclusions}
    assert len(places) == len(release.exclusions)
