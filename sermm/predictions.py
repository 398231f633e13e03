"""``predictions.csv``: what a run said of every test utterance. Written once, checked when read.

The file is the evidence behind every number, so reading trusts nothing: a row that was lost,
doubled, reordered in its columns or edited is an error with its line. Scores are computed from it
elsewhere (``metrics.py``).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from data_modules.atomic import write_atomically
from data_modules.errors import DataError, first_ids
from sermm.metrics import FloatArray, NumberArray
from sermm.run_metrics import RERUN

_SUM_TOLERANCE = 1e-3  # float32 stays far inside it, half precision does not
_FIXED_COLUMNS = ("utterance_id", "speaker", "label", "predicted")


@dataclass(frozen=True, eq=False)
class Predictions:
    """The test utterances of one run, in sorted order of their ids.

    Attributes:
        ids: N utterance ids, each once.
        speakers: N speakers; empty where the corpus does not say.
        labels: (N,) int64 reference class indices.
        predicted: (N,) int64 predicted class indices.
        probabilities: (N, C) float64.
        classes: C names in the order of the class index.
    """

    ids: tuple[str, ...]
    speakers: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    probabilities: FloatArray
    classes: tuple[str, ...]

    @property
    def clusters(self) -> tuple[str, ...]:
        """What is resampled: the speaker, or the utterance itself where nobody is named."""
        return tuple(
            speaker or f"utterance {name}"
            for name, speaker in zip(self.ids, self.speakers, strict=True)
        )


def write_predictions(
    path: Path,
    ids: Sequence[str],
    speakers: Sequence[str | None],
    labels: NumberArray,
    predicted: NumberArray,
    probabilities: NumberArray,
    classes: Sequence[str],
) -> None:
    """Write ``predictions.csv``, whole or not at all.

    Rows are sorted by id, so the order of batches leaves no trace. Probabilities are written with
    nine digits, which float32 survives exactly: what is highest in the model is highest in the
    file, and what ties in the file tied in the model.

    Args:
        path: The file.
        ids: N utterance ids.
        speakers: N speakers or None.
        labels: (N,) reference class indices.
        predicted: (N,) predicted class indices.
        probabilities: (N, C), float32 or taken as such.
        classes: C names.

    Raises:
        ValueError: The arguments do not fit each other, an id is doubled or empty, a row is no
            distribution, or the predicted class is not its likeliest.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    values = np.asarray(probabilities, dtype=np.float32)
    count, num_classes = len(ids), len(classes)
    shapes = (len(speakers), labels.shape, predicted.shape, values.shape)
    if shapes != (count, (count,), (count,), (count, num_classes)):
        raise ValueError(
            f"expected {count} utterances and {num_classes} classes everywhere, got {shapes}"
        )
    if len(set(ids)) != count or "" in ids:
        raise ValueError("expected ids that are not empty and occur once")
    for name, indices in (("labels", labels), ("predicted", predicted)):
        if count and not (indices.min() >= 0 and indices.max() < num_classes):
            raise ValueError(f"expected {name} in 0 .. {num_classes - 1}")
    # the negations let NaN fail too
    good = (values >= 0).all(axis=1) & (np.abs(values.sum(axis=1) - 1) <= _SUM_TOLERANCE)
    likeliest = values[np.arange(count), predicted] == values.max(axis=1, initial=0)
    for what, right in (
        ("probabilities that sum to 1", good),
        ("a likeliest class as predicted", likeliest),
    ):
        if not right.all():
            bad = [name for name, fine in zip(ids, right, strict=True) if not fine]
            raise ValueError(f"expected {what}, got others for {first_ids(bad)}")

    def write(stream: IO[str]) -> None:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*_FIXED_COLUMNS, *(f"p_{name}" for name in classes)])
        for row in sorted(range(count), key=lambda index: ids[index]):
            writer.writerow(
                [
                    ids[row],
                    speakers[row] or "",
                    classes[int(labels[row])],
                    classes[int(predicted[row])],
                    *(f"{value:.9g}" for value in values[row]),
                ]
            )

    write_atomically(path, write)


def read_predictions(path: Path) -> Predictions:
    """Read ``predictions.csv`` and check all of it.

    A byte order mark, as spreadsheet programs leave it, is no error.

    Raises:
        DataError: The file is missing, empty or no table of predictions; an id is doubled; a
            class is unknown; probabilities are no probabilities, or their highest is not that
            of the predicted class.
    """
    if not path.is_file():
        raise DataError(path, expected="predictions of a finished run", got="no file", fix=RERUN)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            rows = [(reader.line_num, row) for row in reader if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(path, expected="a CSV file in UTF-8", got=str(error), fix=RERUN) from None
    classes = _classes(path, rows[0][1] if rows else [])
    if len(rows) == 1:
        raise DataError(path, expected="test utterances", got="none", fix=RERUN)
    index = {name: position for position, name in enumerate(classes)}
    seen: dict[str, tuple[str, int, int, list[float]]] = {}
    for line, row in rows[1:]:
        where = f"{path}:{line}"
        if len(row) != len(_FIXED_COLUMNS) + len(classes):
            wanted = len(_FIXED_COLUMNS) + len(classes)
            raise DataError(where, expected=f"{wanted} cells", got=str(len(row)), fix=RERUN)
        name, speaker, label, predicted, *cells = row
        if not name or name in seen:
            got = f"{name} again" if name else "an empty one"
            raise DataError(where, expected="an id that occurs once", got=got, fix=RERUN)
        for value in (label, predicted):
            if value not in index:
                raise DataError(
                    where, expected=f"one of {', '.join(classes)}", got=repr(value), fix=RERUN
                )
        probabilities = _probabilities(where, cells)
        if probabilities[index[predicted]] < max(probabilities):
            likeliest = classes[int(np.argmax(probabilities))]
            raise DataError(
                where,
                expected=f"the likeliest class, {likeliest}, as predicted",
                got=predicted,
                fix=RERUN,
            )
        seen[name] = (speaker, index[label], index[predicted], probabilities)
    ids = tuple(sorted(seen))
    speakers, labels, predictions, shares = zip(*(seen[name] for name in ids), strict=True)
    return Predictions(
        ids=ids,
        speakers=speakers,
        labels=np.array(labels, dtype=np.int64),
        predicted=np.array(predictions, dtype=np.int64),
        probabilities=np.array(shares, dtype=np.float64),
        classes=classes,
    )


def _classes(path: Path, header: list[str]) -> tuple[str, ...]:
    fixed, rest = tuple(header[: len(_FIXED_COLUMNS)]), header[len(_FIXED_COLUMNS) :]
    classes = tuple(name.removeprefix("p_") for name in rest)
    good = all(name.startswith("p_") and len(name) > 2 for name in rest)
    if fixed != _FIXED_COLUMNS or not good or len(classes) < 2 or len(set(classes)) < len(classes):
        raise DataError(
            f"{path}:1",
            expected=f"columns {','.join(_FIXED_COLUMNS)},p_<class>... of two or more classes",
            got=",".join(header)[:120] or "nothing",
            fix=RERUN,
        )
    return classes


def _probabilities(where: str, cells: list[str]) -> list[float]:
    try:
        values = [float(cell) for cell in cells]
    except ValueError as error:
        raise DataError(where, expected="probabilities", got=str(error), fix=RERUN) from None
    # the negation lets NaN fail too
    if not (all(0 <= value <= 1 for value in values) and abs(sum(values) - 1) <= _SUM_TOLERANCE):
        raise DataError(
            where,
            expected="probabilities between 0 and 1 that sum to 1",
            got=", ".join(cells),
            fix=RERUN,
        )
    return values
