"""The columns of ``predictions.csv`` for each kind of target, and what their values must keep.

    classes      label, predicted, p_<class>...
    ratings      true_<rating>, predicted_<rating> for each
    labels       true_<label>, predicted_<label>, p_<label> for each; 1 is there, 0 is not
    hidden       values, mae, mse, then mae_<control>, mse_<control> for each: errors of what
    frames       was reconstructed, over so many hidden values of the clip

after ``utterance_id`` and ``speaker``. Numbers are float32, of which nine digits keep all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from data_modules.errors import DataError
from data_modules.labels import Kind
from sermm.metrics import FloatArray, NumberArray
from sermm.run_metrics import RERUN
from sermm.scoring import shapes_of

T = TypeVar("T")

FIXED = ("utterance_id", "speaker")
_SUM_TOLERANCE = 1e-3  # float32 stays far inside it, half precision does not
_OF_EACH: dict[Kind, tuple[str, ...]] = {
    "classes": ("p_",),
    "regression": ("true_", "predicted_"),
    "multilabel": ("true_", "predicted_", "p_"),
    "reconstruction": ("mae_", "mse_"),
}
_BEFORE: dict[Kind, tuple[str, ...]] = {
    "classes": ("label", "predicted"),
    "regression": (),
    "multilabel": (),
    "reconstruction": ("values", "mae", "mse"),
}
_NUMBERS: tuple[Kind, ...] = ("regression", "reconstruction")
"""Kinds without probabilities."""


@dataclass(frozen=True, eq=False)
class Cells:
    """What the columns hold: as in ``Predictions``, all values exact in float32."""

    kind: Kind
    names: tuple[str, ...]
    references: NumberArray
    outcomes: NumberArray
    probabilities: FloatArray | None

    @classmethod
    def checked(
        cls,
        kind: Kind,
        count: int,
        names: Sequence[str],
        references: NumberArray,
        outcomes: NumberArray,
        probabilities: NumberArray | None,
    ) -> Cells:
        """The same from arrays of a model.

        Raises:
            ValueError: A shape is wrong, or a class index is none.
        """
        references, outcomes = np.asarray(references), np.asarray(outcomes)
        shapes = [references.shape, outcomes.shape]
        expected = list(shapes_of(kind, len(names), count))
        if kind not in _NUMBERS:
            shapes.append(() if probabilities is None else np.shape(probabilities))
            expected.append((count, len(names)))
        elif probabilities is not None:
            raise ValueError(f"expected no probabilities with {kind}")
        if shapes != expected:
            raise ValueError(
                f"expected {count} utterances and {len(names)} names everywhere, got {shapes}"
            )
        if kind == "classes":
            for what, indices in (("references", references), ("outcomes", outcomes)):
                if count and not (indices.min() >= 0 and indices.max() < len(names)):
                    raise ValueError(f"expected {what} in 0 .. {len(names) - 1}")
        dtype = np.float32 if kind in _NUMBERS else np.int64
        if kind == "multilabel" and not all(
            np.isin(v, (0, 1)).all() for v in (references, outcomes)
        ):
            raise ValueError("expected references and outcomes of 0 and 1")
        return cls(
            kind,
            tuple(names),
            _exact(references, dtype),
            _exact(outcomes, dtype),
            None if probabilities is None else _exact(probabilities, np.float32),
        )


def _exact(values: NumberArray, dtype: type[np.generic]) -> NumberArray:
    array = np.asarray(values).astype(dtype)
    return array.astype(np.float64) if dtype is np.float32 else array


def faults(cells: Cells) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """What is expected of values, and which utterances (N,) break it."""
    shares = cells.probabilities
    if shares is None:
        for what, values in (("ratings", cells.references), ("predictions", cells.outcomes)):
            yield f"{what} that are finite numbers", np.any(~np.isfinite(values), axis=1)
        if cells.kind == "reconstruction":
            errors = np.concatenate([cells.references, cells.outcomes], axis=1)
            yield "errors that are not negative", np.any(errors < 0, axis=1)
            yield "at least one hidden value", cells.references[:, 0] < 1
        return
    # the negations let NaN fail too
    outside = np.any(~((shares >= 0) & (shares <= 1)), axis=1)
    if cells.kind == "multilabel":
        yield "probabilities between 0 and 1", outside
        lowest = np.where(cells.outcomes == 1, shares, np.inf).min(axis=0, initial=np.inf)
        left_out = np.any((cells.outcomes == 0) & (shares >= lowest), axis=1)
        yield "each label predicted from one probability on", left_out
        return
    off = ~(np.abs(shares.sum(axis=1) - 1) <= _SUM_TOLERANCE)
    yield "probabilities between 0 and 1 that sum to 1", outside | off
    likeliest = shares.max(axis=1, initial=0)
    less = shares[np.arange(len(shares)), cells.outcomes] < likeliest
    yield "the likeliest class as predicted", less


@dataclass(frozen=True)
class Columns:
    """The columns behind the fixed ones."""

    kind: Kind
    names: tuple[str, ...]

    @property
    def header(self) -> tuple[str, ...]:
        """Their names."""
        each = (f"{prefix}{name}" for name in self.names for prefix in _OF_EACH[self.kind])
        return (*_BEFORE[self.kind], *each)

    def write(self, cells: Cells, row: int) -> list[str]:
        """The values of an utterance."""
        shares = [] if cells.probabilities is None else cells.probabilities[row].tolist()
        if self.kind == "classes":
            indices = int(cells.references[row]), int(cells.outcomes[row])
            return [*(self.names[index] for index in indices), *map(_digits, shares)]
        parts = [cells.references[row].tolist(), cells.outcomes[row].tolist()]
        if self.kind == "reconstruction":
            (count, *of_controls), of_model = parts
            return [f"{count:.0f}", *map(_digits, [*of_model, *of_controls])]
        if self.kind == "multilabel":
            parts.append(shares)
        return [_digits(value) for of_name in zip(*parts, strict=True) for value in of_name]

    def read(self, where: Sequence[str], rows: Sequence[Sequence[str]]) -> Cells:
        """The values of all utterances.

        Raises:
            DataError: One is no number, no class, or neither 0 nor 1.
        """
        if self.kind == "classes":
            index = {name: position for position, name in enumerate(self.names)}
            known = f"one of {', '.join(self.names)}"
            pairs = _each(where, [row[:2] for row in rows], index.__getitem__, known)
            shares = _each(where, [row[2:] for row in rows], float, "probabilities")
            references, outcomes = np.array(pairs, dtype=np.int64).T
            return Cells(self.kind, self.names, references, outcomes, _float32(shares))
        width = len(_OF_EACH[self.kind])
        if self.kind == "reconstruction":
            values = _float32(_each(where, rows, float, "numbers"))
            references = np.delete(values, [1, 2], axis=1)
            return Cells(self.kind, self.names, references, values[:, 1:3], None)
        if self.kind == "regression":
            values = _float32(_each(where, rows, float, "numbers"))
            return Cells(self.kind, self.names, values[:, ::width], values[:, 1::width], None)
        flags = [[row[k] for k in range(len(row)) if k % width < 2] for row in rows]
        found = np.array(_each(where, flags, {"0": 0, "1": 1}.__getitem__, "0 or 1"), np.int64)
        shares = _each(where, [row[2::width] for row in rows], float, "probabilities")
        return Cells(self.kind, self.names, found[:, ::2], found[:, 1::2], _float32(shares))


def columns_of(path: Path, header: list[str]) -> Columns:
    """The columns that a header names.

    Raises:
        DataError: It is that of no kind.
    """
    rest = header[len(FIXED) :]
    for kind, prefixes in _OF_EACH.items():
        own = rest[len(_BEFORE[kind]) :: len(prefixes)]
        names = tuple(name.removeprefix(prefixes[0]) for name in own)
        least = 2 if kind == "classes" else 1
        columns = Columns(kind, names)
        if (
            header == [*FIXED, *columns.header]
            and len(set(names)) == len(names) >= least
            and "" not in names
        ):
            return columns
    raise DataError(
        f"{path}:1",
        expected=f"columns {','.join(FIXED)},label,predicted,p_<class>... of two or more classes, "
        "or true_<name>,predicted_<name>... of ratings or labels",
        got=",".join(header)[:120] or "nothing",
        fix=RERUN,
    )


def _digits(value: float) -> str:
    return f"{value:.9g}"


def _float32(rows: Sequence[Sequence[float]]) -> FloatArray:
    with np.errstate(over="ignore"):  # what is too large becomes infinite, which is refused
        return np.array(rows, dtype=np.float64).astype(np.float32).astype(np.float64)


def _each(
    where: Sequence[str],
    rows: Sequence[Sequence[str]],
    convert: Callable[[str], T],
    expected: str,
) -> list[list[T]]:
    table = []
    for place, row in zip(where, rows, strict=True):
        converted = []
        for cell in row:
            try:
                converted.append(convert(cell))
            except (KeyError, ValueError):
                raise DataError(place, expected=expected, got=repr(cell), fix=RERUN) from None
        table.append(converted)
    return table
