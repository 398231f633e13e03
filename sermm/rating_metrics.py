"""Scores of predicted ratings: definitions, then pure functions on sums over utterances.

With x the reference and y the prediction of one rating, means and variances over utterances:

    mae       = mean of |y - x|
    pearson_r = cov(x, y) / sqrt(var(x) var(y))
    ccc       = 2 cov(x, y) / (var(x) + var(y) + (mean(x) - mean(y))^2)      (Lin, 1989; 1/N)

and, for sentiment in -3 .. 3, as the field counts it (``src/eval_metrics.py`` of the Multimodal
Transformer, Tsai et al., 2019, and MMSA; ``round`` takes halves to the even neighbour):

    acc7      = share with round(clip(y, -3, 3)) = round(clip(x, -3, 3));    acc5 with -2, 2
    acc2_has0 = share with (y >= 0) = (x >= 0)
    acc2_non0 = share with (y > 0) = (x > 0) among utterances with x != 0: a y of 0 is negative
    f1_has0, f1_non0 = F1 of both sides of these, weighted by how often each is true

The F1 is MMSA's: the Multimodal Transformer hands the two arguments over the other way round, so
it weights by how often each side is predicted. ``acc4``, for intensities in 0 .. 3, rounds and
clips to 0 .. 3.

Correlations need spread: where x or y is constant they are undefined, NaN. A mean over several
ratings is NaN if one of them is, since leaving it out would reward a model that gave it up.

Sums have the shape (..., T, M): T ratings; of the columns the first seven are the number of
utterances and the sums of |y - x|, x, y, x^2, y^2 and x y.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from sermm.metrics import FloatArray, Metric, MetricInfo, NumberArray, share, wa, weighted_f1

_SIDES = slice(7, 15)  # sentiment: counts of (true side, predicted side), with and without zero
_ACC7, _ACC5 = 15, 16
_ACC4 = 7  # intensity
# share of the mean square under which a variance is rounding error: float32 has seven digits
_NO_SPREAD = 1e-12

RatingFamily = Literal["sentiment", "intensity", "rating"]


def rating_contributions(
    references: NumberArray, outcomes: NumberArray, family: RatingFamily
) -> FloatArray:
    """What each utterance adds to the sums.

    Args:
        references: (N, T).
        outcomes: (N, T) predictions.
        family: Which sums.

    Returns:
        (N, T, M).

    Raises:
        ValueError: The shapes differ.
    """
    x, y = np.asarray(references, dtype=np.float64), np.asarray(outcomes, dtype=np.float64)
    if x.ndim != 2 or x.shape != y.shape:
        raise ValueError(f"expected references and outcomes (N, T), got {x.shape} and {y.shape}")
    columns = [np.ones_like(x), np.abs(y - x), x, y, x * x, y * y, x * y]
    if family == "sentiment":
        columns += [*_sides(x >= 0, y >= 0, np.ones(x.shape, bool)), *_sides(x > 0, y > 0, x != 0)]
        columns += [_same_level(x, y, -3, 3), _same_level(x, y, -2, 2)]
    if family == "intensity":
        columns.append(_same_level(x, y, 0, 3))
    return np.stack(columns, axis=-1)


def _same_level(x: FloatArray, y: FloatArray, low: float, high: float) -> FloatArray:
    return np.asarray(np.round(np.clip(x, low, high)) == np.round(np.clip(y, low, high)), float)


def _sides(x: NumberArray, y: NumberArray, counted: NumberArray) -> list[FloatArray]:
    """Cells of a confusion matrix of two sides, row by row."""
    return [
        ((x == true) & (y == said) & counted).astype(np.float64)
        for true in (False, True)
        for said in (False, True)
    ]


def _mae(sums: NumberArray) -> FloatArray:
    """(..., T, M) -> (..., T)."""
    return share(sums[..., 1], sums[..., 0])


def _spread(sums: NumberArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Variances of x and y, covariance, squared difference of means, (..., T) each."""
    means = [share(sums[..., k], sums[..., 0]) for k in range(2, 7)]
    x, y, xx, yy, xy = means
    var_x, var_y = (
        np.where(square - mean**2 > _NO_SPREAD * square, square - mean**2, 0.0)
        for mean, square in ((x, xx), (y, yy))
    )
    return var_x, var_y, xy - x * y, (x - y) ** 2


def _pearson_r(sums: NumberArray) -> FloatArray:
    """(..., T, M) -> (..., T); rounding may not carry it out of -1 .. 1."""
    var_x, var_y, covariance, _ = _spread(sums)
    return np.clip(share(covariance, np.sqrt(var_x * var_y)), -1.0, 1.0)


def _ccc(sums: NumberArray) -> FloatArray:
    """(..., T, M) -> (..., T); 0 if one of the two is constant, NaN if both are and agree."""
    var_x, var_y, covariance, gap = _spread(sums)
    covariance = np.where((var_x > 0) & (var_y > 0), covariance, 0.0)
    squares = share(sums[..., 4] + sums[..., 5], sums[..., 0])
    whole = var_x + var_y + np.where(gap > _NO_SPREAD * squares, gap, 0.0)
    return share(2 * covariance, whole)


def _mean_over_ratings(function: Metric) -> Metric:
    return lambda sums: function(sums).mean(axis=-1)


def _of_rating(function: Metric, index: int) -> Metric:
    return lambda sums: function(sums[..., index, None, :])[..., 0]


def _column_share(column: int) -> Metric:
    """(..., T, M) -> (..., T): a column's share of all utterances."""
    return lambda sums: share(sums[..., column], sums[..., 0])


def _on_sides(function: Metric, *, with_zero: bool) -> Metric:
    """A score of classes, of the two sides of the only rating: (..., 1, M) -> (...)."""
    start = _SIDES.start if with_zero else _SIDES.start + 4

    def score(sums: NumberArray) -> FloatArray:
        cells = sums[..., 0, start : start + 4]
        return function(cells.reshape(*cells.shape[:-1], 2, 2))

    return score


_MAE = MetricInfo(
    _mae,
    "MAE",
    "mean absolute error, in units of the rating",
    higher_is_better=False,
    is_share=False,
)
_R = MetricInfo(
    _pearson_r,
    "r",
    "Pearson's correlation of rating and prediction",
    is_share=False,
    is_correlation=True,
)
_CCC = MetricInfo(
    _ccc,
    "CCC",
    "concordance: correlation, less what scale and offset miss",
    is_share=False,
    is_correlation=True,
)
_ACC4_INFO = MetricInfo(
    _column_share(_ACC4), "Acc-4", "share of predictions that round to the same of 0, 1, 2 and 3"
)


def _with_each(infos: Mapping[str, MetricInfo], names: Sequence[str]) -> dict[str, MetricInfo]:
    """Scores over all ratings, and of each where there are several."""
    several = len(names) > 1
    metrics = {
        name: replace(
            info,
            function=_mean_over_ratings(info.function),
            meaning=f"{info.meaning}; mean over the ratings" if several else info.meaning,
        )
        for name, info in infos.items()
    }
    for index, of in enumerate(names if several else ()):
        for name, info in infos.items():
            function = _of_rating(info.function, index)
            metrics[f"{name}_{of}"] = replace(info, function=function, of=of)
    return metrics


def _sentiment_metrics() -> dict[str, MetricInfo]:
    with_zero, without = "negative against the rest", "negative against positive, zeros left out"
    weighted = "F1 of both sides, weighted by how often each is true"
    return {
        "acc2_has0": MetricInfo(
            _on_sides(wa, with_zero=True), "Acc-2 with 0", f"accuracy, {with_zero}"
        ),
        "acc2_non0": MetricInfo(
            _on_sides(wa, with_zero=False), "Acc-2 without 0", f"accuracy, {without}"
        ),
        "f1_has0": MetricInfo(
            _on_sides(weighted_f1, with_zero=True), "F1 with 0", f"{weighted}: {with_zero}"
        ),
        "f1_non0": MetricInfo(
            _on_sides(weighted_f1, with_zero=False), "F1 without 0", f"{weighted}: {without}"
        ),
        "acc7": MetricInfo(
            _of_rating(_column_share(_ACC7), 0),
            "Acc-7",
            "share of predictions that round to the same whole number from -3 to 3",
        ),
        "acc5": MetricInfo(
            _of_rating(_column_share(_ACC5), 0),
            "Acc-5",
            "share of predictions that round to the same whole number from -2 to 2",
        ),
    }


def rating_metrics(names: Sequence[str], family: RatingFamily) -> dict[str, MetricInfo]:
    """Scores of a family by name, in print order.

    Raises:
        ValueError: Sentiment is one rating.
    """
    if family == "sentiment":
        if len(names) != 1:
            raise ValueError(f"expected one rating of sentiment, got {', '.join(names)}")
        return _with_each({"mae": _MAE, "pearson_r": _R, "ccc": _CCC}, names) | _sentiment_metrics()
    if family == "intensity":
        return _with_each({"mae": _MAE, "acc4": _ACC4_INFO}, names)
    return _with_each({"mae": _MAE, "pearson_r": _R, "ccc": _CCC}, names)
