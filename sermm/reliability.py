"""Are probabilities true? What was predicted at 80 % should be right in 80 % of cases.

With p the probabilities of an utterance, k its class, c = max p, and w its weight (all mean over
utterances):

    ECE            sum over bins of |mean c - share right|, weighted by the bin (C. Guo et al. 2017,
                   arXiv 1706.04599, equation 3), 15 bins of equal width, as ``calibration.py`` has
    adaptive ECE   the same with 15 bins of equally many utterances (J. Nixon et al. 2019,
                   arXiv 1904.01685)
    class-wise     the same of each class' probability, likeliest or not, mean over classes (M.
                   Kull et al. 2019, arXiv 1910.12656)
    Brier          mean of sum_j (p_j - [j = k])^2 (G. Brier 1950); of labels the mean over labels
    overconfidence mean c - share right

Several labels count label by label: c is the probability that the label is there. ECE is above 0
even for a model that is perfectly calibrated, the more so the fewer utterances there are. So labels
are drawn from the model's own probabilities, as if they were true (consistency resampling,
J. Broecker and L. Smith 2007), and what comes out stands beside it. That takes utterances as
independent, so it is a lower bound of what chance does.

Intervals are over speakers (``statistics.py``), with the bins held: how far a measure would move
with other speakers. They surround what is measured, with what few utterances add to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_modules.labels import Kind
from sermm.calibration import NUM_BINS, probabilities_of, read_calibrations
from sermm.metrics import FloatArray, Metric, NumberArray
from sermm.pool import Pool
from sermm.statistics import cluster_bootstraps, cluster_sums

NUM_DRAWS = 500
_QUANTILES = (0.025, 0.975)


@dataclass(frozen=True, eq=False)
class Said:
    """Probabilities beside what was true: N utterances in runs, each with its weight.

    Attributes:
        kind: ``classes`` or ``multilabel``.
        probabilities: (N, C).
        references: (N,) class indices, or (N, C) of 0 and 1.
        weights: (N,).
        clusters: N speakers, which intervals draw; empty for no intervals.
    """

    kind: Kind
    probabilities: FloatArray
    references: NumberArray
    weights: FloatArray
    clusters: Sequence[str] = ()

    def one_hot(self) -> FloatArray:
        """Which classes or labels are true (N, C)."""
        if self.kind == "multilabel":
            return self.references.astype(np.float64)
        return np.asarray(np.eye(self.probabilities.shape[1])[self.references])

    def judged(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Confidence, whether right, and weight of each statement."""
        if self.kind == "multilabel":
            num_labels = self.probabilities.shape[1]
            weights = np.repeat(self.weights / num_labels, num_labels)
            return self.probabilities.ravel(), self.one_hot().ravel(), weights
        likeliest = self.probabilities.argmax(axis=1)
        right = (likeliest == self.references).astype(np.float64)
        return self.probabilities.max(axis=1), right, self.weights


def said_by(pool: Pool) -> Said:
    """What the runs of a pool said, as the models gave it."""
    return _said(pool, [run.predictions.probabilities for run in pool.runs])


def calibrated(pool: Pool) -> tuple[Said | None, list[float]]:
    """The same with the temperature of each run, fitted on its validation part; None without."""
    found = [read_calibrations(run.folder).get("") for run in pool.runs]
    known = [one for one in found if one is not None]
    if len(known) < len(pool.runs):
        return None, []
    shares = []
    for run, one in zip(pool.runs, known, strict=True):
        raw = np.asarray(run.predictions.probabilities)
        with np.errstate(divide="ignore"):  # a probability of 0 stays 0 at any temperature
            scores = np.log(raw)
            if pool.scoring.kind == "multilabel":
                scores = scores - np.log1p(-raw)
        shares.append(probabilities_of(scores, pool.scoring.kind, one.temperature))
    return _said(pool, shares), [one.temperature for one in known]


def _said(pool: Pool, shares: Sequence[FloatArray | None]) -> Said:
    return Said(
        pool.scoring.kind,
        np.concatenate([np.asarray(own) for own in shares]),
        np.concatenate([run.predictions.references for run in pool.runs]),
        np.concatenate(pool.weights()),
        [name for run in pool.runs for name in run.predictions.clusters],
    )


def _binned(
    confidence: FloatArray, right: FloatArray, weights: FloatArray, bins: NumberArray, count: int
) -> FloatArray:
    """Weight, summed confidence and summed hits of each bin (3, bins)."""
    return np.stack(
        [
            np.bincount(bins, weights=values, minlength=count)
            for values in (weights, weights * confidence, weights * right)
        ]
    )


def equal_width(confidence: FloatArray, num_bins: int = NUM_BINS) -> NumberArray:
    """Bin of each (N,), bins open on the left."""
    return np.clip(np.ceil(confidence * num_bins).astype(np.int64) - 1, 0, num_bins - 1)


def equal_mass(confidence: FloatArray, num_bins: int = NUM_BINS) -> NumberArray:
    """Bin of each (N,), about as many in each; equal confidences share a bin."""
    edges = np.quantile(confidence, np.linspace(0, 1, num_bins + 1)[1:-1])
    return np.searchsorted(edges, confidence, side="left")


def _error(
    confidence: FloatArray, right: FloatArray, weights: FloatArray, bins: NumberArray
) -> float:
    sums = _binned(confidence, right, weights, bins, NUM_BINS)
    return float(np.abs(sums[1] - sums[2]).sum() / weights.sum())


def measure(said: Said, seed: int = 0) -> dict[str, Any]:
    """All figures, as ``report.json`` has them."""
    confidence, right, weights = said.judged()
    bins = equal_width(confidence)
    sums = _binned(confidence, right, weights, bins, NUM_BINS)
    total = float(weights.sum())
    one_hot, shares = said.one_hot(), said.probabilities
    squared = ((shares - one_hot) ** 2).sum(axis=1)
    if said.kind == "multilabel":
        squared = squared / shares.shape[1]
    by_class = [
        _error(shares[:, k], one_hot[:, k], said.weights, equal_width(shares[:, k]))
        for k in range(shares.shape[1])
    ]
    with np.errstate(divide="ignore"):
        cost = -np.log(
            np.where(one_hot == 1, shares, 1 - shares if said.kind == "multilabel" else 1.0)
        )
    nll = cost.mean(axis=1) if said.kind == "multilabel" else cost.sum(axis=1)
    chance, bands = _by_chance(said, bins, seed)
    return {
        "ece": float(np.abs(sums[1] - sums[2]).sum() / total),
        "ece_if_calibrated": chance,
        "adaptive_ece": _error(confidence, right, weights, equal_mass(confidence)),
        "classwise_ece": float(np.mean(by_class)),
        "brier": float(np.average(squared, weights=said.weights)),
        "nll": float(np.average(nll, weights=said.weights)),
        "overconfidence": float((sums[1] - sums[2]).sum() / total),
        "ci95": _intervals(said, bins, squared, nll),
        "bins": [
            {
                "low": k / NUM_BINS,
                "high": (k + 1) / NUM_BINS,
                "count": float(sums[0, k]),
                "confidence": float(sums[1, k] / sums[0, k]),
                "right": float(sums[2, k] / sums[0, k]),
                "right_if_calibrated": bands[k],
            }
            for k in range(NUM_BINS)
            if sums[0, k] > 0
        ],
    }


def _intervals(
    said: Said, bins: NumberArray, squared: FloatArray, nll: FloatArray
) -> dict[str, list[float] | None]:
    """Ends over speakers by measure; None where there is no interval.

    Args:
        said: N utterances.
        bins: Of each statement: of each utterance, or of each label of each.
        squared: (N,) squared distances.
        nll: (N,) costs.
    """
    if not said.clusters:
        return dict.fromkeys(("ece", "brier", "nll", "overconfidence"))
    confidence, right, weights = said.judged()
    each = len(confidence) // len(said.clusters)
    gaps = np.zeros((len(confidence), NUM_BINS))
    gaps[np.arange(len(confidence)), bins] = confidence - right
    rows = np.column_stack(
        [np.repeat(squared, each), np.repeat(nll, each), np.ones(len(confidence)), gaps]
    )
    sums = cluster_sums(rows, np.repeat(np.asarray(said.clusters), each).tolist(), weights)
    metrics: dict[str, Metric] = {
        "ece": lambda s: np.abs(s[..., 3:]).sum(axis=-1) / s[..., 2],
        "brier": lambda s: s[..., 0] / s[..., 2],
        "nll": lambda s: s[..., 1] / s[..., 2],
        "overconfidence": lambda s: s[..., 3:].sum(axis=-1) / s[..., 2],
    }
    ranges = {"ece": (0.0, 1.0), "brier": (0.0, 2.0), "nll": (0.0, math.inf)}
    with np.errstate(invalid="ignore"):  # a truth that was given nothing costs without end
        found = cluster_bootstraps(sums, metrics, ranges=ranges)
    return {name: [one.low, one.high] if one.is_known else None for name, one in found.items()}


def _by_chance(
    said: Said, bins: NumberArray, seed: int
) -> tuple[dict[str, float], dict[int, list[float]]]:
    """ECE, and share right in each bin, were the probabilities true."""
    confidence, _, weights = said.judged()
    generator = np.random.default_rng(seed)
    errors, shares = [], []
    for _ in range(NUM_DRAWS):
        # the likeliest class is right as often as it says, whatever the others are
        drawn = (generator.random(len(confidence)) < confidence).astype(np.float64)
        sums = _binned(confidence, drawn, weights, bins, NUM_BINS)
        errors.append(float(np.abs(sums[1] - sums[2]).sum() / weights.sum()))
        shares.append(np.divide(sums[2], sums[0], out=np.zeros(NUM_BINS), where=sums[0] > 0))
    low, high = np.quantile(shares, _QUANTILES, axis=0)
    chance = {"mean": float(np.mean(errors)), "quantile975": float(np.quantile(errors, 0.975))}
    return chance, {k: [float(low[k]), float(high[k])] for k in range(NUM_BINS)}
