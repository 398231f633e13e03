"""Where a model is right and where it is not: by fold, class, rating, label, value and speaker.

Each takes a pool of runs and returns the part of ``summary.json`` of that name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sermm.metrics import FloatArray, Metric, per_class, recalls
from sermm.pool import Outcome, Pool, model_outcome
from sermm.results import Run
from sermm.statistics import Interval, cluster_bootstrap

_MOST_BINS = 10


def run_scores(run: Run, outcome: Outcome = model_outcome) -> dict[str, float]:
    """Scores of one run."""
    scoring = run.metrics.scoring
    added = scoring.contributions(run.predictions.references, outcome(run))
    return scoring.scores(added.sum(axis=0))


def sd(values: Sequence[float]) -> float | None:
    """Standard deviation (n - 1); None of a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def ends(interval: Interval) -> list[float] | None:
    """Both ends of an interval; None where there is none."""
    return [interval.low, interval.high] if interval.is_known else None


def by_fold(pool: Pool) -> list[dict[str, Any]]:
    """Scores of each fold, mean over its runs."""
    folds = []
    for fold in sorted({run.key.fold for run in pool.runs}):
        own = [run for run in pool.runs if run.key.fold == fold]
        scores = [run_scores(run) for run in own]
        folds.append(
            {
                "fold": fold,
                "speakers": sorted(set(own[0].predictions.speakers) - {""}),
                "num_test": len(own[0].predictions.ids),
                "num_runs": len(own),
                "metrics": {
                    name: {
                        "mean": float(np.mean([score[name] for score in scores])),
                        "sd": sd([score[name] for score in scores]),
                    }
                    for name in pool.scoring.metrics
                },
            }
        )
    return folds


def by_class(pool: Pool, confusions: FloatArray) -> dict[str, dict[str, Any]]:
    """Recall, precision and F1 of each class.

    Args:
        pool: Of a classifier.
        confusions: Of its clusters (S, C, C).
    """
    table = {}
    for index, (name, scores) in enumerate(
        zip(pool.scoring.names, per_class(confusions.sum(axis=0)), strict=True)
    ):
        # speakers without this class say nothing of its recall
        speaking = confusions[confusions.sum(axis=-1)[:, index] > 0]
        interval = (
            cluster_bootstrap(speaking, _recall_of(index), ends=(0.0, 1.0))
            if len(speaking)
            else None
        )
        table[name] = {
            "recall": scores.recall,
            "recall_ci95": ends(interval) if interval else None,
            "precision": scores.precision,
            "f1": scores.f1,
            "support": scores.support,
        }
    return table


def _recall_of(index: int) -> Metric:
    return lambda confusions: recalls(confusions)[..., index]


def by_name(pool: Pool) -> dict[str, dict[str, Any]]:
    """How often each label is true and predicted; mean and spread of each rating.

    Their scores stand among the metrics.
    """
    if pool.scoring.kind in ("classes", "reconstruction"):
        return {}
    weights, true, said = _table(pool)
    if pool.scoring.kind == "multilabel":
        counts = weights @ true, weights @ said
        return {
            name: {"true": float(counts[0][k]), "predicted": float(counts[1][k])}
            for k, name in enumerate(pool.scoring.names)
        }
    moments = [(_mean(weights, values), _spread(weights, values)) for values in (true, said)]
    return {
        name: {
            "true_mean": float(moments[0][0][k]),
            "true_sd": float(moments[0][1][k]),
            "predicted_mean": float(moments[1][0][k]),
            "predicted_sd": float(moments[1][1][k]),
        }
        for k, name in enumerate(pool.scoring.names)
    }


def _table(pool: Pool) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weights (N,), references and predictions (N, T) of all runs."""
    return (
        np.concatenate(pool.weights()),
        np.concatenate([run.predictions.references for run in pool.runs]).astype(float),
        np.concatenate([run.predictions.outcomes for run in pool.runs]).astype(float),
    )


def _mean(weights: FloatArray, values: FloatArray) -> FloatArray:
    return np.asarray(weights @ values / weights.sum())


def _spread(weights: FloatArray, values: FloatArray) -> FloatArray:
    return np.sqrt(_mean(weights, (values - _mean(weights, values)) ** 2))


def by_value(pool: Pool) -> dict[str, list[dict[str, float]]]:
    """Error of each rating by its true value, in steps of one where that is at most ten steps."""
    if pool.scoring.kind != "regression":
        return {}
    weights, true, said = _table(pool)
    return {
        name: _errors_by_value(weights, true[:, k], said[:, k])
        for k, name in enumerate(pool.scoring.names)
    }


def _errors_by_value(
    weights: FloatArray, true: FloatArray, said: FloatArray
) -> list[dict[str, float]]:
    edges = _edges(float(true.min()), float(true.max()))
    place = np.clip(np.digitize(true, edges) - 1, 0, len(edges) - 2)
    rows = []
    for index in np.unique(place):
        inside = place == index
        error = said[inside] - true[inside]
        rows.append(
            {
                "low": float(edges[index]),
                "high": float(edges[index + 1]),
                "count": float(weights[inside].sum()),
                "mae": float(_mean(weights[inside], np.abs(error))),
                "bias": float(_mean(weights[inside], error)),
            }
        )
    return rows


def _edges(low: float, high: float) -> FloatArray:
    """Half-way between whole numbers, or ten equal steps over a longer range."""
    first, last = math.floor(low + 0.5) - 0.5, math.floor(high + 0.5) + 0.5
    if last - first <= _MOST_BINS:
        return np.arange(first, last + 0.5)
    return np.linspace(low, high, _MOST_BINS + 1)


def by_speaker(pool: Pool, sums: FloatArray) -> dict[str, dict[str, Any]]:
    """Scores of each test speaker.

    Args:
        pool: The runs.
        sums: Of its clusters (S, ...).
    """
    named = set(pool.speakers.values()) - {""}
    times = dict.fromkeys(pool.clusters(), 0.0)
    for run, weights in zip(pool.runs, pool.weights(), strict=True):
        for cluster, weight in zip(run.predictions.clusters, weights.tolist(), strict=True):
            times[cluster] += weight
    return {
        cluster: {**pool.scoring.scores(own), "num_test": round(times[cluster])}
        for cluster, own in zip(pool.clusters(), sums, strict=True)
        if cluster in named
    }
