"""How far a score would move with other speakers: bootstrap intervals over speakers.

Utterances of one speaker are alike, so they are no independent evidence: an interval over
utterances is far too narrow. Here whole speakers are drawn with replacement. Each speaker comes as
the sums over its own utterances (a confusion matrix, say); a draw is a sum of such sums, so ten
thousand draws are one matrix product, and all scores of a draw come from it.

Which interval: percentiles of the draws are too close for the 4 to 24 speakers of acted corpora
(where they say 95 % they hold the truth in 77 to 92 % of cases, and BCa does no better). The draws
give the standard error, times sqrt(S / (S - 1)), and Student's t with S - 1 degrees of freedom the
width (B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993, sections 5.3 and 12.2;
T. Hesterberg, "What Teachers Should Know About the Bootstrap", 2015, section 3.2, on the factor).
It is taken on a scale without ends, the log-odds of a share for instance, and brought back, so
it never leaves the range of the score. ``benchmarks/coverage.py`` measures all of this.

What an interval does not say: it holds the trained models fixed, so chance in training is not in
it. That is what the standard deviation over seeds is for.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from sermm.metrics import UNBOUNDED, FloatArray, Metric, NumberArray, Range

K = TypeVar("K", bound=Hashable)
METHOD = "bootstrap standard error with Student's t, on a scale without ends"
NUM_DRAWS = 10_000
LEAST_CLUSTERS = 3
"""Of fewer speakers there is no interval: two say next to nothing of others, and Student's t with
one degree of freedom makes almost any range of them."""
_MOST_UNDEFINED = 0.025  # share of draws without a score beyond which there is no interval
_DRAWS_AT_ONCE = 1_000  # bounds the memory with thousands of clusters; part of the seeded sequence


@dataclass(frozen=True)
class Interval:
    """A score with its interval over clusters.

    Attributes:
        estimate: The score of all clusters together.
        low: Lower end; NaN where there is no interval, as below :data:`LEAST_CLUSTERS`.
        high: Upper end, or NaN.
        level: Nominal coverage.
        num_clusters: How many speakers it rests on.
        error: Standard error on the score's own scale; NaN where there is no interval.
    """

    estimate: float
    low: float
    high: float
    level: float
    num_clusters: int
    error: float = math.nan

    @property
    def is_known(self) -> bool:
        """Whether there is an interval."""
        return not math.isnan(self.low)

    def excludes(self, value: float) -> bool:
        """Whether the value lies outside. False where there is no interval."""
        return value < self.low or value > self.high


def cluster_sums(
    contributions: NumberArray, clusters: Sequence[str], weights: NumberArray | None = None
) -> FloatArray:
    """What the utterances of each cluster (speaker) add up to.

    An utterance that several runs (seeds) scored comes once for each of them, with a weight of
    one over their number: it then counts as one utterance with the mean outcome, so a fold with
    fewer finished seeds weighs no less. The score of the sum is that of the average seed (exactly
    for UA and WA, which are linear in the rows, and for the mean absolute error).

    Args:
        contributions: (N, ...), from ``Scoring.contributions``.
        clusters: N names.
        weights: (N,) weight of each row; None for ones.

    Returns:
        (S, ...), one for each distinct name, in sorted order of the names.

    Raises:
        ValueError: The lengths differ.
    """
    rows = np.asarray(contributions, dtype=np.float64)
    if len(rows) != len(clusters) or (weights is not None and len(weights) != len(rows)):
        raise ValueError(f"expected a cluster and a weight for each of {len(rows)} utterances")
    names, index = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    flat = rows.reshape(len(rows), -1)
    if weights is not None:
        flat = flat * np.asarray(weights)[:, None]
    sums = np.zeros((len(names), flat.shape[1]))
    np.add.at(sums, index, flat)
    return sums.reshape(len(names), *rows.shape[1:])


def _draw_counts(num_clusters: int, num_draws: int, seed: int) -> Iterator[FloatArray]:
    """How often each cluster is in each draw, in blocks of (draws, S) that sum to S by row."""
    generator = np.random.default_rng(seed)
    even = np.full(num_clusters, 1 / num_clusters)
    for start in range(0, num_draws, _DRAWS_AT_ONCE):
        size = min(_DRAWS_AT_ONCE, num_draws - start)
        yield generator.multinomial(num_clusters, even, size=size).astype(np.float64)


def _drawn_scores(
    sums: FloatArray, metrics: Mapping[K, Metric], num_draws: int, seed: int
) -> dict[K, FloatArray]:
    """Scores of each draw, (S, ...) -> (num_draws,) each."""
    flat = sums.reshape(len(sums), -1)
    found: dict[K, list[FloatArray]] = {name: [] for name in metrics}
    for counts in _draw_counts(len(sums), num_draws, seed):
        drawn = (counts @ flat).reshape(-1, *sums.shape[1:])
        for name, metric in metrics.items():
            found[name].append(metric(drawn))
    return {name: np.concatenate(blocks) for name, blocks in found.items()}


def students_quantile(level: float, freedom: float) -> float:
    """The t with P(|T| <= t) = level."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


def _interval(
    estimate: float, drawn: FloatArray, num_clusters: int, level: float, ends: Range
) -> Interval:
    known = drawn[~np.isnan(drawn)]
    low = high = error = math.nan
    if math.isfinite(estimate) and 1 - len(known) / len(drawn) <= _MOST_UNDEFINED:
        # the spread of draws is that of n - 1 in place of n
        error = float(known.std()) * math.sqrt(num_clusters / (num_clusters - 1))
        low, high = around(estimate, error, students_quantile(level, num_clusters - 1), ends)
    return Interval(estimate, low, high, level, num_clusters, error)


def around(estimate: float, error: float, quantile: float, ends: Range) -> tuple[float, float]:
    """An interval of ``quantile`` standard errors to each side, on a scale without ends.

    Log-odds between two ends, logarithms above one; the standard error is carried over by the
    derivative there. At an end itself it stays as it is: every cluster has that score then.

    Args:
        estimate: Within the ends.
        error: Standard error on the score's own scale.
        quantile: Of Student's t.
        ends: Lowest and highest possible score.
    """
    low, high = ends
    if math.isinf(low):
        return estimate - quantile * error, estimate + quantile * error
    if estimate <= low or estimate >= high or error == 0:
        return estimate - quantile * error, estimate + quantile * error
    below, above = estimate - low, high - estimate
    if math.isinf(above):
        factor = math.exp(min(quantile * error / below, 700.0))
        return low + below / factor, low + below * factor
    # odds rather than log-odds: exp() of half the way cannot overflow before the share is 0 or 1
    step = quantile * error * (1 / below + 1 / above)
    spread = math.exp(min(step, 700.0))
    width = high - low
    return (
        low + width * below / (below + above * spread),
        low + width * below * spread / (below * spread + above),
    )


def cluster_bootstraps(
    sums: NumberArray,
    metrics: Mapping[K, Metric],
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
    level: float = 0.95,
    ranges: Mapping[K, Range] | None = None,
) -> dict[K, Interval]:
    """Scores of all clusters together, with their intervals over clusters.

    Args:
        sums: (S, ...), from :func:`cluster_sums`.
        metrics: By any name; each takes (..., *shape of a sum) and returns (...).
        num_draws: Number of resamples. With ten thousand the ends move with the seed by about a
            hundredth of the width.
        seed: The same seed gives the same intervals.
        level: Nominal coverage.
        ranges: Lowest and highest possible value of each score; those that are not named have no
            ends.

    Returns:
        The intervals. Their ends are NaN below :data:`LEAST_CLUSTERS`, and where the score is
        undefined or is so in too many draws.

    Raises:
        ValueError: There are no clusters, or the level is none.
    """
    sums = np.asarray(sums, dtype=np.float64)
    if sums.ndim < 2 or not len(sums):
        raise ValueError(f"expected sums of at least one cluster (S, ...), got {sums.shape}")
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1, got {level}")
    whole = sums.sum(axis=0)
    estimates = {name: float(metric(whole)) for name, metric in metrics.items()}
    if len(sums) < LEAST_CLUSTERS:
        return {
            name: Interval(estimate, math.nan, math.nan, level, len(sums))
            for name, estimate in estimates.items()
        }
    drawn = _drawn_scores(sums, metrics, num_draws, seed)
    return {
        name: _interval(
            estimate, drawn[name], len(sums), level, (ranges or {}).get(name, UNBOUNDED)
        )
        for name, estimate in estimates.items()
    }


def cluster_bootstrap(
    sums: NumberArray,
    metric: Metric,
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
    level: float = 0.95,
    ends: Range = UNBOUNDED,
) -> Interval:
    """The same for one score."""
    return cluster_bootstraps(sums, {"": metric}, num_draws, seed, level, {"": ends})[""]


def paired_cluster_bootstraps(
    sums_a: NumberArray,
    sums_b: NumberArray,
    metrics: Mapping[K, Metric],
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
    level: float = 0.95,
) -> dict[K, Interval]:
    """Scores of A minus scores of B on the same clusters, the same ones in each draw.

    What both systems find hard or easy in a speaker cancels, so the interval is narrower than two
    separate intervals suggest. A difference has no ends here: with three speakers its interval may
    go beyond what two shares can differ by.

    Args:
        sums_a: (S, ...), from :func:`cluster_sums`.
        sums_b: (S, ...) of the same clusters in the same order.
        metrics: By any name; each takes (..., *shape of a sum) and returns (...).
        num_draws: Number of resamples.
        seed: The same seed gives the same intervals.
        level: Nominal coverage.

    Returns:
        The intervals of the differences, as :func:`cluster_bootstraps` gives them.

    Raises:
        ValueError: The shapes differ.
    """
    one, other = np.asarray(sums_a, dtype=np.float64), np.asarray(sums_b, dtype=np.float64)
    if one.shape != other.shape:
        raise ValueError(f"expected the same clusters, got {one.shape} and {other.shape}")
    pair_axis = -one.ndim

    def difference(metric: Metric) -> Metric:
        return lambda pair: (
            metric(np.take(pair, 0, axis=pair_axis)) - metric(np.take(pair, 1, axis=pair_axis))
        )

    differences = {name: difference(metric) for name, metric in metrics.items()}
    return cluster_bootstraps(np.stack([one, other], axis=1), differences, num_draws, seed, level)
