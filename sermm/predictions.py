"""``predictions.csv``: what a run said of every test utterance. Written once, checked when read.

The file is the evidence behind every number, so reading trusts nothing: a row that was lost,
doubled, reordered in its columns or edited is an error with its line. Scores are computed from it
elsewhere (``scoring.py``). Its columns say which kind of target it is of
(``prediction_columns.py``).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from data_modules.atomic import write_atomically
from data_modules.errors import DataError, first_ids
from data_modules.labels import Kind
from sermm.metrics import FloatArray, NumberArray
from sermm.prediction_columns import FIXED, Cells, Columns, columns_of, faults
from sermm.run_metrics import RERUN
from sermm.scoring import Scoring


@dataclass(frozen=True, eq=False)
class Predictions:
    """The test utterances of one run, in sorted order of their ids.

    Attributes:
        ids: N utterance ids, each once.
        speakers: N speakers; empty where the corpus does not say.
        kind: What was predicted.
        names: Of classes, ratings or labels, in the order of the target.
        references: (N,) int64 class indices, (N, T) float64 ratings, or (N, C) int64 of 0 and 1.
        outcomes: The same of what was predicted.
        probabilities: (N, C) float64; None for ratings.
    """

    ids: tuple[str, ...]
    speakers: tuple[str, ...]
    kind: Kind
    names: tuple[str, ...]
    references: NumberArray
    outcomes: NumberArray
    probabilities: FloatArray | None

    @property
    def clusters(self) -> tuple[str, ...]:
        """What is resampled: the speaker, or the utterance itself where nobody is named."""
        return tuple(
            speaker or f"utterance {name}"
            for name, speaker in zip(self.ids, self.speakers, strict=True)
        )


def predictions_file(condition: str = "") -> str:
    """Name of the file; a condition is what the model had to do without (``without-text``)."""
    return f"predictions.{condition}.csv" if condition else "predictions.csv"


def write_predictions(
    path: Path,
    ids: Sequence[str],
    speakers: Sequence[str | None],
    references: NumberArray,
    outcomes: NumberArray,
    probabilities: NumberArray | None,
    scoring: Scoring,
) -> None:
    """Write ``predictions.csv``, whole or not at all.

    Rows are sorted by id, so the order of batches leaves no trace. Numbers are written with nine
    digits, which float32 survives exactly: what is highest in the model is highest in the file, and
    what ties in the file tied in the model.

    Args:
        path: The file.
        ids: N utterance ids.
        speakers: N speakers or None.
        references: (N,) class indices, (N, T) ratings, or (N, C) of 0 and 1.
        outcomes: The same of what was predicted.
        probabilities: (N, C) for classes and labels, None for ratings. Floats are float32 or taken
            as such.
        scoring: What was predicted.

    Raises:
        ValueError: The arguments do not fit each other, an id is doubled or empty, a value is no
            such target, probabilities are none, or the outcome is not what they say.
    """
    cells = Cells.checked(
        scoring.kind, len(ids), scoring.names, references, outcomes, probabilities
    )
    if len(speakers) != len(ids) or len(set(ids)) != len(ids) or "" in ids:
        raise ValueError("expected ids that are not empty and occur once, and a speaker for each")
    for expected, wrong in faults(cells):
        if wrong.any():
            bad = [name for name, is_wrong in zip(ids, wrong, strict=True) if is_wrong]
            raise ValueError(f"expected {expected}, got others for {first_ids(bad)}")
    columns = Columns(scoring.kind, scoring.names)

    def write(stream: IO[str]) -> None:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*FIXED, *columns.header])
        for row in sorted(range(len(ids)), key=lambda index: ids[index]):
            writer.writerow([ids[row], speakers[row] or "", *columns.write(cells, row)])

    write_atomically(path, write)


def read_predictions(path: Path) -> Predictions:
    """Read ``predictions.csv`` and check all of it.

    A byte order mark, as spreadsheet programs leave it, is no error.

    Raises:
        DataError: The file is missing, empty or no table of predictions; an id is doubled; a
            value is no such target; probabilities are no probabilities, or do not say what is
            predicted.
    """
    if not path.is_file():
        raise DataError(path, expected="predictions of a finished run", got="no file", fix=RERUN)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            lines = [(reader.line_num, row) for row in reader if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(path, expected="a CSV file in UTF-8", got=str(error), fix=RERUN) from None
    columns = columns_of(path, lines[0][1] if lines else [])
    if len(lines) == 1:
        raise DataError(path, expected="test utterances", got="none", fix=RERUN)
    wanted = len(FIXED) + len(columns.header)
    where, rows = [], []
    seen: set[str] = set()
    for line, row in lines[1:]:
        where.append(f"{path}:{line}")
        if len(row) != wanted:
            raise DataError(where[-1], expected=f"{wanted} cells", got=str(len(row)), fix=RERUN)
        if not row[0] or row[0] in seen:
            got = f"{row[0]} again" if row[0] else "an empty one"
            raise DataError(where[-1], expected="an id that occurs once", got=got, fix=RERUN)
        seen.add(row[0])
        rows.append(row)
    cells = columns.read(where, [row[len(FIXED) :] for row in rows])
    for expected, wrong in faults(cells):
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            got = ",".join(rows[first][len(FIXED) :])[:120]
            raise DataError(where[first], expected=expected, got=got, fix=RERUN)
    order = sorted(range(len(rows)), key=lambda index: rows[index][0])
    return Predictions(
        ids=tuple(rows[index][0] for index in order),
        speakers=tuple(rows[index][1] for index in order),
        kind=columns.kind,
        names=columns.names,
        references=cells.references[order],
        outcomes=cells.outcomes[order],
        probabilities=None if cells.probabilities is None else cells.probabilities[order],
    )
