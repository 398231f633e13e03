"""A run folder as typed records: ``runs/NAME/fold=F,seed=S,size=N/``.

``metrics.json`` is written last, so a folder that has one holds a finished run; then the other
files must be there and agree with it, or the run is damaged. What the numbers of many runs amount
to is the matter of ``summary.py``.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_modules.errors import DataError
from sermm.metrics import FloatArray
from sermm.predictions import Predictions, predictions_file, read_predictions
from sermm.run_metrics import RERUN, RunKey, RunMetrics, read_json_object, read_run_metrics


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run, its files checked against each other.

    Attributes:
        folder: Of the run.
        metrics: What ``metrics.json`` says.
        predictions: Of the test part.
        conditions: The same by what the model had to do without.
    """

    folder: Path
    metrics: RunMetrics
    predictions: Predictions
    conditions: Mapping[str, Predictions]

    @property
    def key(self) -> RunKey:
        """Which run of the plan."""
        return self.metrics.key


@dataclass(frozen=True, eq=False)
class History:
    """``history.csv``: E epochs, or E validations where they come after a number of updates.

    Attributes:
        epochs: (E,) their numbers.
        columns: Name to (E,) values; NaN where a cell is empty.
    """

    epochs: FloatArray
    columns: Mapping[str, FloatArray]

    @property
    def unit(self) -> str:
        """What :attr:`places` counts."""
        return "update" if "step" in self.columns else "epoch"

    @property
    def places(self) -> FloatArray:
        """(E,) how far training was at each."""
        return self.columns.get("step", self.epochs)


def is_finished(folder: Path) -> bool:
    """Whether a run folder holds a finished run."""
    return (folder / "metrics.json").is_file()


def find_runs(folder: Path) -> list[RunKey]:
    """Keys of the finished runs in an experiment's folder, in order."""
    if not folder.is_dir():
        return []
    keys = (RunKey.from_folder_name(path.name) for path in folder.iterdir() if is_finished(path))
    return sorted((key for key in keys if key is not None), key=lambda key: key.order)


def read_run(folder: Path) -> Run:
    """Read a finished run.

    Raises:
        DataError: A file is missing or damaged, or two files disagree.
    """
    metrics = read_run_metrics(folder / "metrics.json")
    predictions = read_predictions(folder / predictions_file())
    where = folder / "metrics.json"
    key = RunKey.from_folder_name(folder.name)
    if key is not None:
        _must_equal(where, "the run of its folder,", key, metrics.key)
    _must_equal(where, "num_test as in predictions.csv,", len(predictions.ids), metrics.num_test)
    _check_scores(where, metrics, predictions, metrics.metrics, predictions_file())
    conditions = {}
    for name, scores in metrics.conditions.items():
        said = read_predictions(folder / predictions_file(name))
        _check_scores(where, metrics, said, scores, predictions_file(name))
        if not (
            (said.ids, said.speakers) == (predictions.ids, predictions.speakers)
            and np.array_equal(said.references, predictions.references)
        ):
            raise DataError(
                folder / predictions_file(name),
                expected="ids, speakers and labels as in predictions.csv",
                got="others",
                fix=RERUN,
            )
        conditions[name] = said
    return Run(folder, metrics, predictions, conditions)


def _must_equal(where: Path, what: str, expected: object, got: object) -> None:
    if expected != got:
        raise DataError(where, expected=f"{what} {expected}", got=str(got), fix=RERUN)


def _check_scores(
    where: Path,
    metrics: RunMetrics,
    said: Predictions,
    stored: Mapping[str, float],
    file_name: str,
) -> None:
    """The stored scores are those of the predictions.

    A score that the run did not know of yet, since it is older, is no fault; the headline is.
    """
    _must_equal(where, f"the kind of {file_name},", said.kind, metrics.kind)
    _must_equal(where, f"the classes of {file_name},", said.names, tuple(metrics.classes))
    scoring = metrics.scoring
    sums = scoring.contributions(said.references, said.outcomes).sum(axis=0)
    for name, value in scoring.scores(sums).items():
        if name not in stored and name != scoring.headline:
            continue
        found = stored.get(name)
        if found is None or not np.isclose(found, value, rtol=0, atol=1e-6, equal_nan=True):
            _must_equal(where, f"{name} of {file_name},", f"{value:.6f}", found)


def read_history(folder: Path) -> History:
    """Read ``history.csv`` of a run: one row an epoch, empty cells where nothing was measured.

    Raises:
        DataError: It is missing, or no table of numbers with a column ``epoch``.
    """
    path = folder / "history.csv"
    if not path.is_file():
        raise DataError(path, expected="a file", got="none", fix=RERUN)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header, *rows = (row for row in csv.reader(stream, strict=True) if row)
        if len(set(header)) != len(header) or any(len(row) != len(header) for row in rows):
            raise ValueError("a name twice, or a row of another length than the first")
        cells = [[float(cell) if cell else math.nan for cell in row] for row in rows]
        values = np.array(cells, dtype=np.float64).reshape(-1, len(header))
        columns = {name: values[:, k] for k, name in enumerate(header)}
        return History(columns.pop("epoch"), columns)
    except (csv.Error, ValueError, KeyError) as error:
        raise DataError(
            path, expected="numbers under epoch and other names", got=str(error), fix=RERUN
        ) from None


def read_environment(folder: Path) -> dict[str, Any]:
    """Read ``environment.json`` of a run. Raises DataError if it is missing or damaged."""
    return read_json_object(folder / "environment.json")


def read_config_text(folder: Path) -> str:
    """``config.yaml`` of a run, as it stands. Raises DataError if it cannot be read."""
    path = folder / "config.yaml"
    if not path.is_file():
        raise DataError(path, expected="a file", got="none", fix=RERUN)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(path, expected="text in UTF-8", got=str(error), fix=RERUN) from None
