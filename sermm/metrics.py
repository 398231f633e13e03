"""Scores of a classifier: definitions, then pure functions on confusion matrices.

A confusion matrix counts (row = reference class, column = predicted class). It adds up over
utterances, so the same functions serve one run, a pool of runs and a stack of bootstrap draws:
they take (..., C, C) and return (...). Ratings and several labels have their own sums, in
``rating_metrics.py`` and ``label_metrics.py``; ``scoring.py`` says which belong to what.

With n_ij the count of class i predicted as j, n_i. its row sum, n_.j its column sum and N all:

    recall_i    = n_ii / n_i.                   precision_i = n_ii / n_.i
    f1_i        = 2 n_ii / (n_i. + n_.i)
    ua          = mean of recall_i over the classes with n_i. > 0
    wa          = sum of n_ii / N
    macro_f1    = mean of f1_i over the classes with n_i. + n_.i > 0
    weighted_f1 = sum of n_i. f1_i / N

``ua`` is called unweighted accuracy, UAR or balanced accuracy elsewhere; ``wa`` is plain accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
NumberArray = npt.NDArray[Any]
Metric = Callable[[NumberArray], FloatArray]
"""Takes sums over utterances (..., *shape of the sums) and returns scores (...)."""
Range = tuple[float, float]
"""Lowest and highest possible value of a score."""
UNBOUNDED: Range = (-math.inf, math.inf)


@dataclass(frozen=True)
class MetricInfo:
    """A score, how it is named in print, and what it means in one sentence.

    Attributes:
        function: Sums to scores; NaN where the score is undefined.
        title: Its name, without what it is of.
        meaning: In one sentence.
        higher_is_better: False for errors.
        is_share: Whether it lies between 0 and 1.
        is_correlation: Whether it lies between -1 and 1.
        of: The one class, rating or label that it is of; empty for all of them together.
    """

    function: Metric
    title: str
    meaning: str
    higher_is_better: bool = True
    is_share: bool = True
    is_correlation: bool = False
    of: str = ""

    @property
    def range(self) -> Range:
        """Where it can lie; what is neither a share nor a correlation is an error, from 0 on."""
        if self.is_share:
            return (0.0, 1.0)
        return (-1.0, 1.0) if self.is_correlation else (0.0, math.inf)

    @property
    def full_title(self) -> str:
        """``F1`` or ``F1 joy``."""
        return f"{self.title} {self.of}".rstrip()

    @property
    def title_with_unit(self) -> str:
        """``UA (share of 1)`` or ``MAE``."""
        return f"{self.full_title} (share of 1)" if self.is_share else self.full_title


def share(part: NumberArray, whole: NumberArray) -> FloatArray:
    """``part / whole``, NaN where the whole is 0."""
    part, whole = np.asarray(part), np.asarray(whole)
    result = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def mean_where(values: FloatArray, present: npt.NDArray[np.bool_]) -> FloatArray:
    """Mean over the last axis of the values that are present; NaN if none is."""
    return share(np.where(present, values, 0.0).sum(axis=-1), present.sum(axis=-1))


def _checked(confusion: NumberArray) -> NumberArray:
    confusion = np.asarray(confusion)
    if confusion.ndim < 2 or confusion.shape[-1] != confusion.shape[-2]:
        raise ValueError(f"expected confusion matrices (..., C, C), got shape {confusion.shape}")
    return confusion


def class_contributions(
    references: NumberArray, outcomes: NumberArray, num_classes: int
) -> FloatArray:
    """What each utterance adds to the confusion matrix.

    Args:
        references: (N,) class indices.
        outcomes: (N,) predicted class indices, or (N, C) shares of each class for a predictor that
            draws at random.
        num_classes: C.

    Returns:
        (N, C, C), rows are the reference.

    Raises:
        ValueError: The shapes differ, or an index is outside 0 .. C - 1.
    """
    references, outcomes = np.asarray(references), np.asarray(outcomes)
    count = len(references)
    if references.shape != (count,) or outcomes.shape not in ((count,), (count, num_classes)):
        raise ValueError(
            f"expected references (N,) and outcomes (N,) or (N, {num_classes}), "
            f"got {references.shape} and {outcomes.shape}"
        )
    drawn = outcomes.ndim == 2
    for values in (references,) if drawn else (references, outcomes):
        if count and not (values.min() >= 0 and values.max() < num_classes):
            raise ValueError(f"expected class indices in 0 .. {num_classes - 1}")
    added = np.zeros((count, num_classes, num_classes))
    added[np.arange(count), references] = outcomes if drawn else np.eye(num_classes)[outcomes]
    return added


def recalls(confusion: NumberArray) -> FloatArray:
    """Recall of each class, (..., C, C) -> (..., C); NaN for a class without utterances."""
    confusion = _checked(confusion)
    return share(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1))


def precisions(confusion: NumberArray) -> FloatArray:
    """Precision of each class, (..., C, C) -> (..., C); NaN for a class never predicted."""
    confusion = _checked(confusion)
    return share(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-2))


def f1_scores(confusion: NumberArray) -> FloatArray:
    """F1 of each class, (..., C, C) -> (..., C); NaN where neither labelled nor predicted."""
    confusion = _checked(confusion)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return share(2 * hits, confusion.sum(axis=-1) + confusion.sum(axis=-2))


def ua(confusion: NumberArray) -> FloatArray:
    """Unweighted accuracy: mean recall over the classes present in the reference.

    Args:
        confusion: (..., C, C).

    Returns:
        (...) in 0 .. 1; NaN where there are no utterances.
    """
    confusion = _checked(confusion)
    return mean_where(recalls(confusion), confusion.sum(axis=-1) > 0)


def wa(confusion: NumberArray) -> FloatArray:
    """Weighted accuracy: share of utterances that are right.

    Args:
        confusion: (..., C, C).

    Returns:
        (...) in 0 .. 1; NaN where there are no utterances.
    """
    confusion = _checked(confusion)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1).sum(axis=-1)
    return share(hits, confusion.sum(axis=(-2, -1)))


def macro_f1(confusion: NumberArray) -> FloatArray:
    """Mean F1 over the classes present in the reference or among the predictions.

    The same classes as scikit-learn's ``f1_score(average="macro")`` without ``labels``: a class
    that is predicted but never true counts with F1 = 0, one that is neither does not count.

    Args:
        confusion: (..., C, C).

    Returns:
        (...) in 0 .. 1; NaN where there are no utterances.
    """
    confusion = _checked(confusion)
    present = confusion.sum(axis=-1) + confusion.sum(axis=-2) > 0
    return mean_where(f1_scores(confusion), present)


def weighted_f1(confusion: NumberArray) -> FloatArray:
    """Mean F1 over the utterances, each with that of its reference class.

    The same as scikit-learn's ``f1_score(average="weighted")``.

    Args:
        confusion: (..., C, C).

    Returns:
        (...) in 0 .. 1; NaN where there are no utterances.
    """
    confusion = _checked(confusion)
    support = confusion.sum(axis=-1)
    scores = np.where(support > 0, f1_scores(confusion), 0.0)
    return share((support * scores).sum(axis=-1), support.sum(axis=-1))


CLASS_METRICS: Mapping[str, MetricInfo] = {
    "ua": MetricInfo(ua, "UA", "mean recall over the classes present (UAR, balanced accuracy)"),
    "wa": MetricInfo(wa, "WA", "share of utterances that are right (accuracy)"),
    "macro_f1": MetricInfo(macro_f1, "macro-F1", "mean F1 over the classes that occur"),
    "weighted_f1": MetricInfo(
        weighted_f1, "weighted F1", "mean F1 over the classes, weighted by how often each is true"
    ),
}


@dataclass(frozen=True)
class ClassScores:
    """How one class fares. Undefined scores are NaN."""

    recall: float
    precision: float
    f1: float
    support: float


def per_class(confusion: NumberArray) -> list[ClassScores]:
    """Recall, precision, F1 and number of utterances of each class of one matrix (C, C)."""
    confusion = _checked(confusion)
    if confusion.ndim != 2:
        raise ValueError(f"expected one confusion matrix (C, C), got shape {confusion.shape}")
    return [
        ClassScores(*(float(value) for value in row))
        for row in zip(
            recalls(confusion),
            precisions(confusion),
            f1_scores(confusion),
            confusion.sum(axis=-1),
            strict=True,
        )
    ]
