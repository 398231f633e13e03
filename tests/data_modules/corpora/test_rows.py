"""Rows of tables and JSON lines: what is read, what is listed, what stops."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.corpora.release import Release
from data_modules.corpora.rows import BAD_ROW, CP1252, Row, read_csv, read_jsonl
from data_modules.errors import ManifestError

QUICK = settings(max_examples=100)
CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
VALUE = st.integers() | CELL | st.none()


def table(folder: Path, data: bytes | str, *columns: str) -> tuple[list[Row], Release]:
    path = folder / "t.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    release = Release()
    return read_csv(path, columns, folder, release), release


def test_columns_go_by_name(tmp_path: Path) -> None:
    rows, release = table(tmp_path, "\ufeffb, a ,more\n1,2,3\n\n4,5,6\r\n", "a", "b")
    assert [(row.where, row["a"], row["b"]) for row in rows] == [
        ("t.csv:2", "2", "1"),
        ("t.csv:4", "5", "4"),
    ]
    assert release == Release()


def test_quoted_fields_hold_anything(tmp_path: Path) -> None:
    rows, _ = table(tmp_path, 'a,b\n"one\ntwo, ""three""",x\ny,"z"\n', "a", "b")
    assert [(row.where, row["a"]) for row in rows] == [
        ("t.csv:2", 'one\ntwo, "three"'),
        ("t.csv:4", "y"),
    ]


@QUICK
@given(cells=st.lists(st.tuples(CELL, CELL), max_size=8), delimiter=st.sampled_from(",;\t"))
def test_what_csv_writes_is_read(
    cells: list[tuple[str, str]], delimiter: str, tmp_path: Path
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b"), *cells])
    path = tmp_path / "t.csv"
    path.write_bytes(text.getvalue().encode())
    release = Release()
    rows = read_csv(path, ("a", "b"), tmp_path, release, delimiter=delimiter)
    assert [(row["a"], row["b"]) for row in rows] == cells
    assert release == Release()


def test_rows_that_cannot_be_read_are_listed(tmp_path: Path) -> None:
    rows, release = table(tmp_path, 'a,b\n1\n2,3,4\n"5"6,7\n8,9\n\0,1\n', "a")
    assert [row.where for row in rows] == ["t.csv:5"]
    assert {e.id: e.reason for e in release.exclusions} == dict.fromkeys(
        ("t.csv:2", "t.csv:3", "t.csv:4", "t.csv:6"), BAD_ROW
    )
    assert release.exclusions[0].detail == "expected 2 columns, got 1"


def test_an_open_quote_does_not_swallow_the_rest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"t\.csv:3: expected a quote that is closed"):
        table(tmp_path, 'a,b\n1,2\n3,"4\n5,6\n7,8\n', "a")
    with pytest.raises(ManifestError, match=r"t\.csv:2: expected a quote that is closed"):
        table(tmp_path, 'a,b\n1,"' + "x\n" * 70_000 + '",2\n', "a")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"t\.csv:1: .*got no a, b"),
        ("a,c\n", r"t\.csv:1: .*got no b"),
        ("a,b,a\n", r"t\.csv:1: .*got a twice"),
    ],
)
def test_headers_that_will_not_do(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=told):
        table(tmp_path, text, "a", "b")


def test_other_encodings_are_told(tmp_path: Path) -> None:
    rows, release = table(tmp_path, "a\nfine\nit\u2019s\n".encode("cp1252"), "a")
    assert rows[1]["a"] == "it\u2019s"
    assert [(note.id, note.reason) for note in release.notes] == [("t.csv", CP1252)]
    assert release.notes[0].detail.startswith("line 3")
    with pytest.raises(ManifestError, match=r"t\.csv:2: .*UTF-8 or Windows-1252, got byte 0x81"):
        table(tmp_path, b"a\n\x81\n", "a")
    with pytest.raises(ManifestError, match="got UTF-16"):
        table(tmp_path, "a\n1\n".encode("utf-16"), "a")


@QUICK
@given(data=st.binary(max_size=60))
def test_any_bytes_are_rows_or_told(data: bytes, tmp_path: Path) -> None:
    try:
        rows, release = table(tmp_path, b"a,b\n" + data, "a", "b")
    except ManifestError:
        return
    assert all(row.where.startswith("t.csv:") for row in rows)
    lines = len([line for line in data.split(b"\n") if line.strip(b"\r")])
    assert len(rows) + len(release.exclusions) <= lines + data.count(b"\r")


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": 1}\n\n[2]\n{"a": NaN}\n{"a"\n' + "[" * 100_000 + '\n{"a": "x"}\n')
    release = Release()
    rows = read_jsonl(path, tmp_path, release)
    assert [(row.where, row["a"]) for row in rows] == [("t.jsonl:1", 1), ("t.jsonl:7", "x")]
    assert [e.id for e in release.exclusions] == [f"t.jsonl:{n}" for n in (3, 4, 5, 6)]
    path.write_bytes(b'{"a": 1}\n{"a": "\xff"}\n')
    with pytest.raises(ManifestError, match=r"t\.jsonl:2: expected text in UTF-8"):
        read_jsonl(path, tmp_path, Release())


@QUICK
@given(objects=st.lists(st.dictionaries(CELL, VALUE, max_size=3), max_size=5))
def test_objects_come_back(objects: list[dict[str, object]], tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(value) + "\n" for value in objects))
    assert [row.values for row in read_jsonl(path, tmp_path, Release())] == objects
