"""Rows of tables and of JSON lines, with the place where each stands.

Stricter than ``csv`` by itself: columns go by name, a row that cannot be read is listed with file
and line, and a quote that is never closed does not swallow the rest of the file.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from data_modules.corpora.release import Release, relative
from data_modules.errors import ManifestError

BAD_ROW = "row that cannot be read"
CP1252 = "text is not UTF-8, read as Windows-1252"


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        where: ``file:line`` of its first line, the file relative to the corpus root.
        values: By name; strings where the file is a table.
    """

    where: str
    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def read_csv(
    path: Path, columns: Sequence[str], root: Path, release: Release, *, delimiter: str = ","
) -> list[Row]:
    """Read a table with a header. Fields in double quotes may hold delimiters and line breaks.

    Args:
        path: UTF-8, with or without a mark of byte order; else Windows-1252, which is noted.
        columns: Names that the header must have, in any order and among others.
        root: Folder of the corpus.
        release: Where rows of another width, or with misplaced quotes, are listed as exclusions.
        delimiter: One character.

    Raises:
        ManifestError: No header, a column that is missing or there twice, text in no known
            encoding, or a quote that is never closed.
    """
    where = relative(path, root)
    rows = _records(_decode(path, root, release), delimiter, where, release)
    line, header = next(rows, (1, []))
    names = [name.strip() for name in header]
    missing = [name for name in columns if name not in names]
    twice = sorted(name for name, number in Counter(names).items() if name and number > 1)
    if missing or twice:
        raise ManifestError(
            f"{where}:{line}",
            expected=f"a header with each column once, among them {', '.join(columns)}",
            got=f"{', '.join(twice)} twice" if twice else f"no {', '.join(missing)}",
            fix="correct the header",
        )
    found = []
    for line, record in rows:
        if len(record) == len(names):
            values = {name: value for name, value in zip(names, record, strict=True) if name}
            found.append(Row(f"{where}:{line}", values))
        else:
            release.exclude(
                f"{where}:{line}", BAD_ROW, f"expected {len(names)} columns, got {len(record)}"
            )
    return found


def read_jsonl(path: Path, root: Path, release: Release) -> list[Row]:
    """Read a file of one JSON object a line; lines that are none are listed as exclusions.

    Raises:
        ManifestError: The file is not UTF-8.
    """
    where = relative(path, root)
    found = []
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line.decode("utf-8-sig"), parse_constant=_no_number)
                # an escape can spell half of a character, which no other file can hold
                json.dumps(value, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                release.exclude(f"{where}:{number}", BAD_ROW, "half of a character in it")
                continue
            except UnicodeDecodeError as error:
                _not_text(f"{where}:{number}", "UTF-8", error)
            except (ValueError, RecursionError) as error:
                release.exclude(f"{where}:{number}", BAD_ROW, str(error)[:200])
                continue
            if isinstance(value, dict):
                found.append(Row(f"{where}:{number}", value))
            else:
                release.exclude(f"{where}:{number}", BAD_ROW, "expected an object")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _records(
    text: str, delimiter: str, where: str, release: Release
) -> Iterator[tuple[int, list[str]]]:
    """Each record with its first line; empty lines are none."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error) or "field larger" in str(error):
                raise ManifestError(
                    f"{where}:{first}",
                    expected="a quote that is closed",
                    got='a field that begins with " and goes on to the end of the file',
                    fix='close it, or write a quote inside of a field as ""',
                ) from None
            release.exclude(f"{where}:{first}", BAD_ROW, str(error))
            continue
        if any("\0" in value for value in record):
            release.exclude(f"{where}:{first}", BAD_ROW, "a zero byte in it")
        elif record:
            yield first, record


def _decode(path: Path, root: Path, release: Release) -> str:
    data = path.read_bytes()
    where = relative(path, root)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ManifestError(
            where, expected="text in UTF-8", got="UTF-16", fix="save it as `CSV UTF-8`"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        detail = f"line {line}: {error.reason}"
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        _not_text(f"{where}:{line}", "UTF-8 or Windows-1252", error)
    release.note(where, CP1252, detail)
    return text


def _not_text(where: str, encoding: str, error: UnicodeDecodeError) -> NoReturn:
    raise ManifestError(
        where,
        expected=f"text in {encoding}",
        got=f"byte 0x{error.object[error.start]:02x} ({error.reason})",
        fix="save the file as UTF-8",
    ) from None
