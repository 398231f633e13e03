"""Predictions as JSON lines, CSV or a table, each written as soon as it is known."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from data_modules.atomic import atomic_path
from data_modules.errors import ConfigError
from sermm.predict.recording import Prediction

FORMATS = ("table", "json", "csv")
_FIXED = ("file", "start_s", "end_s", "predicted")
_LAST = ("calibrated", "condition", "text", "word_times", "notes", "error")


class Writer(Protocol):
    """Takes one prediction after the other."""

    def write(self, said: Prediction) -> None:
        """One more."""

    def close(self) -> None:
        """That was all."""


def record_of(said: Prediction) -> dict[str, Any]:
    """A prediction as JSON has it; what does not apply is left out."""
    record: dict[str, Any] = {"file": said.file}
    if said.start_s is not None:
        record["start_s"] = round(said.start_s, 4)
    if said.end_s is not None:
        record["end_s"] = round(said.end_s, 4)
    if said.error:
        return {**record, "error": said.error}
    if said.kind == "regression":
        record["ratings"] = dict(said.ratings)
    else:
        many = said.kind == "multilabel"
        record["predicted"] = list(said.predicted) if many else said.label
        record["probabilities"] = dict(said.probabilities)
        record["calibrated"] = said.calibrated
    if said.text is not None:
        record["text"] = said.text
    if said.word_times:
        record["word_times"] = dict(said.word_times)
    if said.condition:
        record["condition"] = said.condition
    if said.notes:
        record["notes"] = list(said.notes)
    return record


class JsonLines:
    """One JSON object a line."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, said: Prediction) -> None:
        """One line, sent at once."""
        self._stream.write(json.dumps(record_of(said), ensure_ascii=False) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing is left to do."""


class CsvRows:
    """A table for spreadsheets: one column a class, label or rating."""

    def __init__(self, stream: IO[str], names: Sequence[str], kind: str) -> None:
        self._stream = stream
        self._names = names
        self._prefix = "" if kind == "regression" else "p_"
        self._csv = csv.writer(stream, lineterminator="\n")
        self._csv.writerow([*_FIXED, *(f"{self._prefix}{name}" for name in names), *_LAST])

    def write(self, said: Prediction) -> None:
        """One row, sent at once."""
        values = said.probabilities or said.ratings
        self._csv.writerow(
            [
                said.file,
                *("" if value is None else f"{value:.4f}" for value in (said.start_s, said.end_s)),
                said.label,
                *(f"{values[name]:.9g}" if name in values else "" for name in self._names),
                "" if said.error else str(said.calibrated).lower(),
                said.condition,
                said.text or "",
                " ".join(f"{source}:{count}" for source, count in said.word_times.items()),
                "; ".join(said.notes),
                said.error,
            ]
        )
        self._stream.flush()

    def close(self) -> None:
        """Nothing is left to do."""


class PrintedTable:
    """A table for reading, printed when all is known."""

    def __init__(self, stream: IO[str], kind: str) -> None:
        self._stream = stream
        self._values = "ratings" if kind == "regression" else "most likely"
        self._said: list[Prediction] = []

    def write(self, said: Prediction) -> None:
        """One row: the likeliest three, or all ratings, and what a reader must know."""
        self._said.append(said)

    def close(self) -> None:
        """Print it."""
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table("file", "time", "predicted", self._values)
        table.columns[0].overflow = "fold"
        # of recordings with one name in several folders the name alone would not say which
        paths = [Path(said.file).absolute() for said in self._said]
        shared = os.path.commonpath([path.parent for path in paths] or [Path()])
        for said, path in zip(self._said, paths, strict=True):
            clock = "" if said.start_s is None or said.end_s is None else _clock(said)
            label = Text("not predicted", style="red") if said.error else Text(said.label)
            table.add_row(Text(os.path.relpath(path, shared)), clock, label, Text(_described(said)))
        Console(file=self._stream).print(table)


def _described(said: Prediction) -> str:
    likely = sorted(said.probabilities.items(), key=lambda pair: -pair[1])[:3]
    values = ", ".join(f"{name} {value:.2f}" for name, value in likely or said.ratings.items())
    return "\n".join(filter(None, (values, said.condition, *said.notes)))


def _clock(said: Prediction) -> str:
    def minutes(value: float) -> str:
        return f"{int(value // 60)}:{value % 60:04.1f}"

    return f"{minutes(said.start_s or 0.0)}-{minutes(said.end_s or 0.0)}"


def choose_format(wanted: str, output: Path | None, *, streaming: bool) -> str:
    """The format that is asked for, or that fits: by the name of the file, a table otherwise.

    Raises:
        ConfigError: There is none of this name, a table is asked of what never ends, or the output
            is a folder.
    """
    if output is not None and output.is_dir():
        raise ConfigError(
            "--output", expected="a file", got=f"the folder {output}", fix="name a file in it"
        )
    if not wanted:
        by_name = {".json": "json", ".jsonl": "json", ".csv": "csv"}
        wanted = by_name.get(output.suffix.lower(), "table") if output else "table"
        if streaming and wanted == "table":
            wanted = "json"
    if wanted not in FORMATS:
        raise ConfigError(
            "--format",
            expected=f"one of {', '.join(FORMATS)}",
            got=wanted,
            fix="choose one of these",
        )
    if streaming and wanted == "table":
        raise ConfigError(
            "--format",
            expected="json or csv for recordings named on standard input, answered at once",
            got="table",
            fix="choose one of these",
        )
    return wanted


@contextmanager
def writer_to(
    stream: IO[str], output: Path | None, name: str, names: Sequence[str], kind: str
) -> Iterator[Writer]:
    """A writer of a format, to a stream or a file that appears when it is whole."""

    def build(target: IO[str]) -> Writer:
        if name == "json":
            return JsonLines(target)
        return CsvRows(target, names, kind) if name == "csv" else PrintedTable(target, kind)

    if output is None:
        writer = build(stream)
        yield writer
        writer.close()
        return
    with atomic_path(output) as temporary, temporary.open("w", encoding="utf-8") as target:
        writer = build(target)
        yield writer
        writer.close()
