"""How a score grows with the number of training utterances, and what more of them would buy.

A power law of the error, a + b n^-c with a, b >= 0, is fitted by least squares to the pooled score
of each training size: the usual shape of learning curves (Hestness et al. 2017, arXiv 1712.00409).
The error is 1 less a share, or the error itself. Intervals come from fits to draws in which test
speakers and seeds (the draws of training utterances) are drawn with replacement; what more labels
would give is an extrapolation, told up to four times the largest size, and not beyond: that the
curve goes on as it went is an assumption that no interval here covers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sermm.metrics import FloatArray, MetricInfo
from sermm.pool import pool_runs
from sermm.results import Run
from sermm.statistics import LEAST_CLUSTERS, around, students_quantile

NUM_DRAWS = 300
LEVEL = 0.95
LEAST_SIZES = 4  # three parameters want more points than three
FACTORS = (1.5, 2.0, 4.0)
"""Times the largest size at which the curve is told."""
GAINS = (0.01, 0.02, 0.05)
"""Gains in points of 1 for which the number of utterances is told."""
# above 2 a curve is flat after the first size, below 0.02 it is one line in any range of sizes
_EXPONENTS = np.geomspace(0.02, 2.0, 60)


@dataclass(frozen=True)
class PowerLaw:
    """``floor + scale * n ** -exponent``, an error."""

    floor: float
    scale: float
    exponent: float

    def error(self, size: float) -> float:
        """Of a training size."""
        return float(self.floor + self.scale * size**-self.exponent)

    def size_for(self, error: float) -> float:
        """Training utterances at which the error is reached; infinite where it never is."""
        left = error - self.floor
        if left <= 0 or self.scale == 0:
            return math.inf
        return float((self.scale / left) ** (1 / self.exponent))


def fit_power_law(sizes: Sequence[float], errors: Sequence[float]) -> PowerLaw:
    """The curve with the smallest sum of squared distances.

    For each of sixty exponents the other two parameters follow by non-negative least squares, so
    there is no start to choose and no other minimum to fall into.

    Args:
        sizes: K numbers of training utterances, at least three different ones.
        errors: K errors, finite.

    Raises:
        ValueError: There are fewer sizes.
    """
    from scipy.optimize import nnls

    if len(set(sizes)) < 3 or len(sizes) != len(errors):
        raise ValueError(f"expected three sizes or more, each with an error, got {sizes}")
    size, error = np.asarray(sizes, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    unit = size.min()
    best = (math.inf, PowerLaw(0.0, 0.0, 1.0))
    for exponent in _EXPONENTS:
        columns = np.stack([np.ones_like(size), (size / unit) ** -exponent], axis=1)
        (floor, scale), distance = nnls(columns, error)
        law = PowerLaw(float(floor), float(scale * unit**exponent), float(exponent))
        best = min(best, (float(distance), law), key=lambda found: found[0])
    return best[1]


def learning_curve(
    by_size: Mapping[int | None, Sequence[Run]], metric: str, info: MetricInfo
) -> dict[str, Any] | None:
    """The curve of an experiment, as it stands in ``summary.json``.

    Args:
        by_size: Runs of each training size.
        metric: The score.
        info: What the score is.

    Returns:
        None where there are fewer than four sizes, where seeds or test utterances differ between
        sizes, since a run is missing, or where the score is undefined.
    """
    if len(by_size) < LEAST_SIZES:
        return None
    sums = _sums(by_size)
    if sums is None:
        return None
    sizes = [float(np.mean([run.metrics.num_train for run in runs])) for runs in by_size.values()]

    def error_of(weighted: FloatArray) -> FloatArray:
        """(K, ...) sums to K errors."""
        scores = np.asarray(info.function(weighted), dtype=np.float64)
        return 1 - scores if info.higher_is_better else scores

    errors = error_of(sums.mean(axis=1).sum(axis=1))
    if not (info.is_share or not info.higher_is_better) or not np.isfinite(errors).all():
        return None
    law = fit_power_law(sizes, errors.tolist())
    laws = [fit_power_law(sizes, e.tolist()) for e in _drawn(sums, error_of)]
    most = max(sizes)
    told = [
        {"num_train": size, **_score_at(law, laws, size, info, sums.shape[2])}
        for size in (*sizes, *(most * factor for factor in FACTORS))
    ]
    return {
        "metric": metric,
        "floor": law.floor,
        "scale": law.scale,
        "exponent": law.exponent,
        "num_draws": len(laws),
        "num_speakers": sums.shape[2],
        "num_seeds": sums.shape[1],
        "level": LEVEL,
        "largest": most,
        "at": told,
        "wanted": [
            _wanted(law, laws, most, gain, sums.shape[2]) for gain in GAINS if info.is_share
        ],
    }


def _sums(by_size: Mapping[int | None, Sequence[Run]]) -> FloatArray | None:
    """Sums of each size, seed and speaker (K, R, S, ...); None where they do not match."""
    rows = []
    keys = {frozenset((run.key.fold, run.key.seed) for run in runs) for runs in by_size.values()}
    if len(keys) != 1:
        return None
    seeds = sorted({seed for _, seed in next(iter(keys))})
    for runs in by_size.values():
        pools = [pool_runs([run for run in runs if run.key.seed == seed]) for seed in seeds]
        if len({tuple(pool.clusters()) for pool in pools}) != 1:
            return None
        rows.append(np.stack([pool.sums() for pool in pools]))
    return np.stack(rows)


def _drawn(sums: FloatArray, error_of: Any) -> list[FloatArray]:
    """Errors of each size (K,) in draws of speakers and seeds; undefined ones are left out."""
    generator = np.random.default_rng(0)
    _, num_seeds, num_speakers = sums.shape[:3]
    found = []
    for _ in range(NUM_DRAWS):
        seeds = generator.integers(num_seeds, size=num_seeds)
        speakers = generator.integers(num_speakers, size=num_speakers)
        errors = error_of(sums[:, seeds][:, :, speakers].mean(axis=1).sum(axis=1))
        if np.isfinite(errors).all():
            found.append(errors)
    return found


def _score_at(
    law: PowerLaw, laws: Sequence[PowerLaw], size: float, info: MetricInfo, num_speakers: int
) -> dict[str, Any]:
    """The curve's score at a size, with its interval; none for too few speakers."""
    sign, offset = (-1.0, 1.0) if info.higher_is_better else (1.0, 0.0)
    score = offset + sign * law.error(size)
    ends = None
    if num_speakers >= LEAST_CLUSTERS and len(laws) > NUM_DRAWS / 2:
        spread = float(np.std([one.error(size) for one in laws]))
        error = spread * math.sqrt(num_speakers / (num_speakers - 1))
        quantile = students_quantile(LEVEL, num_speakers - 1)
        ends = list(around(score, error, quantile, info.range))
    return {"score": score, "ci95": ends}


def _wanted(
    law: PowerLaw, laws: Sequence[PowerLaw], most: float, gain: float, num_speakers: int
) -> dict[str, Any]:
    """Utterances in all for a gain over the largest size, and the share of draws that reach it."""
    limit = most * max(FACTORS)
    sizes = [one.size_for(one.error(most) - gain) for one in laws]
    size = law.size_for(law.error(most) - gain)
    return {
        "gain": gain,
        "num_train": size if size <= limit else None,
        "ci95": size_ends(sizes, limit, num_speakers),
        "reached": float(np.mean([found <= limit for found in sizes])),
        "limit": limit,
    }


def size_ends(
    sizes: Sequence[float], limit: float, num_speakers: int
) -> tuple[float | None, float | None] | None:
    """Ends of an interval, None for one beyond the limit; None for too few speakers.

    A size may be infinite, so it has no standard error: the ends are order statistics of the draws,
    as far out as Student's t is further out than the normal distribution, and the spread of draws
    is that of n - 1 in place of n.
    """
    from scipy.special import ndtr

    if num_speakers < LEAST_CLUSTERS or len(sizes) <= NUM_DRAWS / 2:
        return None
    wider = math.sqrt(num_speakers / (num_speakers - 1))
    tail = float(ndtr(-students_quantile(LEVEL, num_speakers - 1) * wider))
    low = float(np.quantile(sizes, tail, method="lower"))
    high = float(np.quantile(sizes, 1 - tail, method="higher"))
    return (low if low <= limit else None, high if high <= limit else None)
