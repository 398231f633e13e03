"""What files, folders, tables and lines mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_modules.errors import DataError
from sermm.predict.listing import list_recordings, streamed, with_texts


def test_folders_are_searched_and_tables_read(tmp_path: Path) -> None:
    for name in ("b.WAV", "deep/er/a.mp3", "notes.txt", ".hidden.wav", "deep/._b.wav"):
        path = tmp_path / "clips" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "clips" / "b.txt").write_text("ein  Satz\n", encoding="utf-8")
    table = tmp_path / "list.csv"
    table.write_text(
        '\ufefffile,text,start_s,end_s\nclips/b.WAV,"a, b",0.5,1\n,words alone,,\n', "utf-8"
    )
    found = list_recordings([str(tmp_path / "clips"), str(table), "nowhere.wav"], beside=True)
    assert [one.path and one.path.name for one in found] == [
        "b.WAV",
        "a.mp3",
        "b.WAV",
        None,
        "nowhere.wav",
    ]
    assert [one.text for one in found] == ["ein Satz", None, "a, b", "words alone", None]
    assert (found[2].start_s, found[2].end_s, found[2].path) == (
        0.5,
        1.0,
        tmp_path / "clips" / "b.WAV",
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name\na.wav\n", "first line with file"),
        ("file,start_s\na.wav,soon\n", "start_s in seconds"),
        ("file,text\na.wav,b,c\n", "2 cells"),
        ("file;text\na.wav;b\n", "by commas"),
        ("file,text\n", "a first line alone"),
        (b"file\n\xff\n", "CSV file in UTF-8"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, content: str | bytes, said: str) -> None:
    table = tmp_path / "list.csv"
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=said):
        list_recordings([str(table)])


def test_texts_from_a_table(tmp_path: Path) -> None:
    table = tmp_path / "texts.csv"
    table.write_text("file,text\nx/a.wav,one\nb.wav,two\n")
    recordings = list_recordings(["x/a.wav", "y/b.wav", "c.wav"])
    assert [one.text for one in with_texts(recordings, table)] == ["one", "two", None]
    table.write_text("file,text\nd.wav,one\n")
    with pytest.raises(DataError, match=r"texts\.csv:2.*d\.wav"):
        with_texts(recordings, table)
    table.write_text("file,text\na.wav,one\n")
    with pytest.raises(DataError, match="2 of them"):
        with_texts(list_recordings(["x/a.wav", "y/a.wav"]), table)


def test_lines() -> None:
    found = list(streamed(["a b.wav\n", "\n", "c.wav\twords here\r\n"]))
    assert [(str(one.path), one.text) for one in found] == [
        ("a b.wav", None),
        ("c.wav", "words here"),
    ]


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none"):
        list_recordings([str(tmp_path)])
