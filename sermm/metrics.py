"""Scores of a classifier: definitions, then pure functions on confusion matrices.

A confusion matrix counts (row = reference class, column = predicted class). It adds up over
utterances, so the same functions serve one run, a pool of runs and a stack of bootstrap draws:
they take (..., C, C) and return (...). Regression and multi-label scores get their own functions
on their own sums and their own dictionary beside ``CLASS_METRICS``.

With n_ij the count of class i predicted as j, n_i. its row sum and n_.j its column sum:

    recall_i    = n_ii / n_i.                   precision_i = n_ii / n_.i
    f1_i        = 2 n_ii / (n_i. + n_.i)
    ua          = mean of recall_i over the classes with n_i. > 0
    wa          = sum of n_ii / sum of n_ij
    macro_f1    = mean of f1_i over the classes with n_i. + n_.i > 0

``ua`` is called unweighted accuracy, UAR or balanced accuracy elsewhere; ``wa`` is plain accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
NumberArray = npt.NDArray[Any]
ConfusionMetric = Callable[[NumberArray], FloatArray]


@dataclass(frozen=True)
class MetricInfo:
    """A score, how it is named in print, and what it means in one sentence."""

    function: ConfusionMetric
    title: str
    meaning: str


def _checked(confusion: NumberArray) -> NumberArray:
    confusion = np.asarray(confusion)
    if confusion.ndim < 2 or confusion.shape[-1] != confusion.shape[-2]:
        raise ValueError(f"expected confusion matrices (..., C, C), got shape {confusion.shape}")
    return confusion


def _share(part: NumberArray, whole: NumberArray) -> FloatArray:
    """``part / whole``, NaN where the whole is 0."""
    result = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def _mean_where(values: FloatArray, present: npt.NDArray[np.bool_]) -> FloatArray:
    """Mean over the last axis of the values that are present; NaN if none is."""
    return _share(np.where(present, values, 0.0).sum(axis=-1), present.sum(axis=-1))


def confusion_matrix(
    labels: NumberArray, predictions: NumberArray, num_classes: int
) -> npt.NDArray[np.int64]:
    """Count pairs of reference and predicted class.

    Args:
        labels: (N,) class indices.
        predictions: (N,) class indices.
        num_classes: C.

    Returns:
        (C, C), rows are the reference.

    Raises:
        ValueError: The lengths differ, or an index is outside 0 .. C - 1.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape or labels.ndim != 1:
        raise ValueError(
            f"expected labels and predictions (N,), got {labels.shape} and {predictions.shape}"
        )
    for name, values in (("labels", labels), ("predictions", predictions)):
        if values.size and not (values.min() >= 0 and values.max() < num_classes):
            raise ValueError(f"expected {name} in 0 .. {num_classes - 1}, got {np.unique(values)}")
    pairs = labels.astype(np.int64) * num_classes + predictions.astype(np.int64)
    counts = np.bincount(pairs, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def recalls(confusion: NumberArray) -> FloatArray:
    """Recall of each class, (..., C, C) -> (..., C); NaN for a class without utterances."""
    confusion = _checked(confusion)
    return _share(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1))


def precisions(confusion: NumberArray) -> FloatArray:
    """Precision of each class, (..., C, C) -> (..., C); NaN for a class never predicted."""
    confusion = _checked(confusion)
    return _share(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-2))


def f1_scores(confusion: NumberArray) -> FloatArray:
    """F1 of each class, (..., C, C) -> (..., C); NaN where neither labelled nor predicted."""
    confusion = _checked(confusion)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return _share(2 * hits, confusion.sum(axis=-1) + confusion.sum(axis=-2))


def ua(confusion: NumberArray) -> FloatArray:
    """Unweighted accuracy: mean recall over the classes present in the reference.

    Args:
        confusion: (..., C, C).

    Returns:
        (...) in 0 .. 1; NaN where there are no utterances.
    """
    confusion = _checked(confusion)
    return _mean_where(recalls(confusion), confusion.sum(axis=-1) > 0)


def wa(confusion: NumberArray) -> FloatArray:
    """Weighted accuracy: share of utterances that are right.

    Args:
        confusion: (..., C, C).

    Returns:
        (...) in 0 .. 1; NaN where there are no utterances.
    """
    confusion = _checked(confusion)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1).sum(axis=-1)
    return _share(hits, confusion.sum(axis=(-2, -1)))


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
    return _mean_where(f1_scores(confusion), present)


CLASS_METRICS: Mapping[str, MetricInfo] = {
    "ua": MetricInfo(ua, "UA", "mean recall over the classes present (UAR, balanced accuracy)"),
    "wa": MetricInfo(wa, "WA", "share of utterances that are right (accuracy)"),
    "macro_f1": MetricInfo(macro_f1, "macro-F1", "mean F1 over the classes that occur"),
}


def class_metrics(confusion: NumberArray) -> dict[str, float]:
    """All scores of one confusion matrix (C, C) by name."""
    return {name: float(info.function(confusion)) for name, info in CLASS_METRICS.items()}


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
