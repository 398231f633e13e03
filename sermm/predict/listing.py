"""Files, folders, tables and lines of standard input to recordings.

Imports no torch, so that a wrong table is told at once.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from data_modules.audio import CONTAINERS
from data_modules.errors import ConfigError, DataError
from sermm.predict.recording import Recording

SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", *CONTAINERS})
"""Of files that are taken from a folder."""

_COLUMNS = ("file", "text", "start_s", "end_s")


def list_recordings(files: Sequence[str], *, beside: bool = False) -> list[Recording]:
    """Recordings that files, folders and tables name, in order.

    Args:
        files: Audio files (also such that are not there: reading reports them), folders, which are
            searched with all their folders, and tables (``.csv``) with the columns file, text,
            start_s and end_s, of which file or text is needed.
        beside: Take the text of NAME.wav from NAME.txt beside it.

    Raises:
        DataError: A folder has no recordings, or a table is none.
    """
    found: list[Recording] = []
    for name in files:
        path = Path(name)
        if path.is_dir():
            found += _in_folder(path)
        elif path.suffix.lower() == ".csv":
            found += _in_table(path)
        else:
            found.append(Recording(name, path))
    return [with_text_beside(one) for one in found] if beside else found


def _in_folder(folder: Path) -> list[Recording]:
    paths = sorted(
        path
        for path in folder.rglob("*")
        # files that begin with a point are hidden, or the halves that some systems leave
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not paths:
        raise DataError(
            folder,
            expected=f"recordings ({', '.join(sorted(SUFFIXES))}) in it or below",
            got="none",
            fix="check the folder",
        )
    return [Recording(str(path), path) for path in paths]


def _in_table(path: Path) -> list[Recording]:
    return [
        Recording(
            name=row["file"] or f"{path}:{line}",
            path=_beside(path, row["file"]),
            text=row.get("text") or None,
            start_s=_seconds(path, line, row, "start_s"),
            end_s=_seconds(path, line, row, "end_s"),
        )
        for line, row in _rows(path, needed="file", known=_COLUMNS)
    ]


def _beside(table: Path, name: str) -> Path | None:
    """A file as a table names it: from its own folder, unless it is there from here."""
    if not name:
        return None
    own = table.parent / name
    return own if own.is_file() or not Path(name).is_file() else Path(name)


def _rows(
    path: Path, *, needed: str, known: Sequence[str]
) -> Iterator[tuple[int, Mapping[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            names = [name.strip() for name in reader.fieldnames or ()]
            if needed not in names:
                raise DataError(
                    path,
                    expected=f"a first line with {needed} among {', '.join(known)}",
                    got=", ".join(names) or "nothing",
                    # as spreadsheets write it where the comma is in numbers
                    fix="part columns by commas" if ";" in "".join(names) else "name the columns",
                )
            reader.fieldnames = names
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            path, expected="a CSV file in UTF-8", got=str(error), fix="correct it"
        ) from None
    if not rows:
        raise DataError(path, expected="rows", got="a first line alone", fix="add some")
    for line, row in rows:
        if None in row or None in row.values():
            raise DataError(
                f"{path}:{line}", expected=f"{len(names)} cells", got="others", fix="correct it"
            )
        yield line, {name: value.strip() for name, value in row.items()}


def _seconds(path: Path, line: int, row: Mapping[str, str], name: str) -> float | None:
    cell = row.get(name) or ""
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1e7:
        raise DataError(
            f"{path}:{line}", expected=f"{name} in seconds", got=cell, fix="correct the cell"
        )
    return value


def with_texts(recordings: Sequence[Recording], table: Path) -> list[Recording]:
    """Recordings with the texts that a table of file and text has for them.

    A file is meant by its path, or by its name where only one recording has it. Recordings that
    the table does not name keep the text they have.

    Raises:
        DataError: The table is none, names a file twice, or names one that is not asked for.
    """
    by_path = {str(one.path): one.name for one in recordings if one.path is not None}
    by_name: dict[str, list[str]] = {}
    for path in by_path:
        by_name.setdefault(Path(path).name, []).append(path)
    texts: dict[str, str] = {}
    for line, row in _rows(table, needed="file", known=("file", "text")):
        named = row["file"]
        matches = [named] if named in by_path else by_name.get(Path(named).name, [])
        if len(matches) != 1 or matches[0] in texts:
            got = f"{named}, which {len(matches)} of them are called" if matches else f"{named}"
            raise DataError(
                f"{table}:{line}",
                expected="one of the recordings that are asked for, each once",
                got=got,
                fix="correct the table, or give the path as in the command",
            )
        texts[matches[0]] = row.get("text") or ""
    return [
        replace(one, text=texts[str(one.path)] or None) if str(one.path) in texts else one
        for one in recordings
    ]


def with_text_beside(recording: Recording) -> Recording:
    """The recording with what NAME.txt beside its file says, if there is such a file.

    Raises:
        DataError: The file is no text in UTF-8.
    """
    if recording.path is None or recording.text is not None:
        return recording
    path = recording.path.with_suffix(".txt")
    if not path.is_file():
        return recording
    return replace(recording, text=read_text(path) or None)


def read_text(path: Path) -> str:
    """A text file on one line.

    Raises:
        DataError: It cannot be read, or is not in UTF-8.
    """
    try:
        return " ".join(path.read_text(encoding="utf-8-sig").split())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            path, expected="a text file in UTF-8", got=str(error), fix="correct it"
        ) from None


def streamed(lines: Iterable[str]) -> Iterator[Recording]:
    """Recordings from lines as they come: a path, or a path, a tab and a text; empty lines none."""
    for line in lines:
        name, _, text = line.rstrip("\r\n").partition("\t")
        if name.strip():
            yield Recording(name, Path(name), text.strip() or None)


def expect_text_for_one(recordings: Sequence[Recording]) -> None:
    """Check that one text is given for one recording.

    Raises:
        ConfigError: There are several.
    """
    if len(recordings) > 1:
        raise ConfigError(
            "--text",
            expected="one recording that says it",
            got=f"{len(recordings)}",
            fix="give the texts as a table with --text-file, or run it for each",
        )
