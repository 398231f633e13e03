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
from sermm.metrics import FloatArray, class_metrics, confusion_matrix
from sermm.predictions import Predictions, read_predictions
from sermm.run_metrics import RERUN, RunKey, RunMetrics, read_json_object, read_run_metrics


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run, its files checked against each other."""

    folder: Path
    metrics: RunMetrics
    predictions: Predictions

    @property
    def key(self) -> RunKey:
        """Which run of the plan."""
        return self.metrics.key


@dataclass(frozen=True, eq=False)
class History:
    """``history.csv``: E epochs.

    Attributes:
        epochs: (E,) epoch numbers.
        columns: Name to (E,) values; NaN where a cell is empty.
    """

    epochs: FloatArray
    columns: Mapping[str, FloatArray]


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
    predictions = read_predictions(folder / "predictions.csv")
    where = folder / "metrics.json"

    def must_equal(what: str, expected: object, got: object) -> None:
        if expected != got:
            raise DataError(where, expected=f"{what} {expected}", got=str(got), fix=RERUN)

    key = RunKey.from_folder_name(folder.name)
    if key is not None:
        must_equal("the run of its folder,", key, metrics.key)
    must_equal("the classes of predictions.csv,", predictions.classes, tuple(metrics.classes))
    must_equal("num_test as in predictions.csv,", len(predictions.ids), metrics.num_test)
    confusion = confusion_matrix(
        predictions.labels, predictions.predicted, len(predictions.classes)
    )
    for name, value in class_metrics(confusion).items():
        stored = metrics.metrics.get(name)
        if stored is None or abs(stored - value) > 1e-6:
            must_equal(f"{name} of predictions.csv,", f"{value:.6f}", stored)
    return Run(folder, metrics, predictions)


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
            header, *rows = csv.reader(stream, strict=True)
            cells = [[float(cell) if cell else math.nan for cell in row] for row in rows if row]
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
