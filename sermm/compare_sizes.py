"""Does a difference grow or shrink with the number of labels? A minus B at each training size.

The headline score alone, at the sizes that both experiments have, with paired intervals over
speakers as in ``compare.py``; and the trend, the slope of a straight line through the differences
over the logarithm of the size, by least squares: what each doubling of the training utterances adds
to A minus B. All sizes of a draw have the same speakers, so the interval of the slope knows that
neighbouring sizes err together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sermm.metrics import FloatArray, Metric, NumberArray
from sermm.permutation import Permutation, run_test, speaker_test
from sermm.pool import Pool, fold_sums, whole_seeds
from sermm.statistics import Interval, paired_cluster_bootstraps

TREND = "trend"


@dataclass(frozen=True)
class SizeDifference:
    """A and B at one training size.

    Attributes:
        size: Asked for; None: all there are.
        num_train: Training utterances, mean over folds.
        a: Pooled score of A.
        b: Pooled score of B.
        interval: A minus B, at 95 %.
        sd_seeds: Standard deviation over seeds of A minus B, pooled over folds; None where fewer
            than two seeds finished all folds of both.
        speakers: Names swapped for whole speakers.
        runs: Names dealt out among the runs of each fold; None where folds or runs do not match.
    """

    size: int | None
    num_train: float
    a: float
    b: float
    interval: Interval
    sd_seeds: float | None
    speakers: Permutation
    runs: Permutation | None


@dataclass(frozen=True)
class SizeComparison:
    """A and B by training size.

    Attributes:
        metric: The score.
        rows: By size, ascending.
        trend: What each doubling of the training utterances adds to A minus B.
        trend_speakers: Names swapped for whole speakers, at all sizes at once.
    """

    metric: str
    rows: tuple[SizeDifference, ...]
    trend: Interval
    trend_speakers: Permutation


def compare_sizes(
    a: Mapping[int | None, Pool], b: Mapping[int | None, Pool], *, level: float
) -> SizeComparison | None:
    """A minus B at each training size at which both scored the same test utterances.

    Args:
        a: Runs of A by training size, ascending; the largest says what was tested.
        b: Runs of B by training size.
        level: Of the intervals.

    Returns:
        None where there are fewer than two such sizes, or all have as many training utterances.
    """
    whole = list(a.values())[-1].references.keys()
    num_train = {
        size: _num_train(a[size], b[size])
        for size in a
        if size in b and a[size].references.keys() == whole == b[size].references.keys()
    }
    if len(set(num_train.values())) < 2:
        return None
    sizes = sorted(num_train, key=num_train.__getitem__)
    scoring = a[sizes[0]].scoring
    function = scoring.metrics[scoring.headline].function
    sums_a, sums_b = (np.stack([own[s].sums() for s in sizes], axis=1) for own in (a, b))
    axis = 1 - sums_a.ndim
    metrics: dict[int | str, Metric] = {
        place: _at(function, place, axis) for place in range(len(sizes))
    }
    metrics[TREND] = _slope(function, _weights([num_train[size] for size in sizes]), axis)
    intervals = paired_cluster_bootstraps(sums_a, sums_b, metrics, level=level)
    swapped = speaker_test(sums_a, sums_b, metrics)
    rows = tuple(
        _row(a[size], b[size], num_train[size], intervals[place], swapped[place])
        for place, size in enumerate(sizes)
    )
    return SizeComparison(scoring.headline, rows, intervals[TREND], swapped[TREND])


def _row(
    a: Pool, b: Pool, num_train: float, interval: Interval, swapped: Permutation
) -> SizeDifference:
    metric = a.scoring.headline
    folds = fold_sums(a, b)
    seeds = [whole_seeds(pool) for pool in (a, b)]
    by_seed = [_score(seeds[0][k]) - _score(seeds[1][k]) for k in seeds[0] if k in seeds[1]]
    return SizeDifference(
        size=a.runs[0].key.size,
        num_train=num_train,
        a=_score(a),
        b=_score(b),
        interval=interval,
        sd_seeds=float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else None,
        speakers=swapped,
        runs=run_test(*folds, {"": a.scoring.metrics[metric].function})[""] if folds else None,
    )


def _score(pool: Pool) -> float:
    return pool.scoring.scores(pool.sums().sum(axis=0))[pool.scoring.headline]


def _num_train(a: Pool, b: Pool) -> float:
    return float(np.mean([run.metrics.num_train for pool in (a, b) for run in pool.runs]))


def _at(function: Metric, place: int, axis: int) -> Metric:
    return lambda sums: function(np.take(sums, place, axis=axis))


def _weights(sizes: Sequence[float]) -> FloatArray:
    """What the slope of a line over log2 of the sizes, by least squares, takes of each value."""
    places = np.log2(np.asarray(sizes, dtype=np.float64))
    places -= places.mean()
    weights: FloatArray = places / (places**2).sum()
    return weights


def _slope(function: Metric, weights: FloatArray, axis: int) -> Metric:
    def slope(sums: NumberArray) -> FloatArray:
        """(..., K, *shape of a sum) to (...)."""
        total: FloatArray = np.zeros(())
        for place, weight in enumerate(weights):
            total = total + weight * function(np.take(sums, place, axis=axis))
        return total

    return slope
