"""Predictors that neither hear nor read: what their score is, any model gets for nothing.

They know the training part of each fold alone: how often its classes and labels are true, or the
mean of its ratings. Those that draw at random are scored by what they do on average, without noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from data_modules.labels import Kind
from sermm.metrics import FloatArray
from sermm.pool import Outcome, Pool, model_outcome
from sermm.reconstruction_metrics import control_errors
from sermm.results import Run
from sermm.statistics import Interval, paired_cluster_bootstraps


@dataclass(frozen=True)
class Trivial:
    """A predictor, and how it is named in print."""

    outcome: Outcome
    title: str


def _on_all(run: Run, row: FloatArray) -> FloatArray:
    """The same (C,) for every test utterance, (N, C)."""
    return np.tile(row, (len(run.predictions.ids), 1))


def _counts(run: Run) -> FloatArray:
    return np.array([run.metrics.train_counts[name] for name in run.metrics.classes], dtype=float)


def _majority(run: Run) -> FloatArray:
    counts = _counts(run)
    return _on_all(run, np.eye(len(counts))[int(np.argmax(counts))])


def _prior(run: Run) -> FloatArray:
    """Of classes the counts add up to the training part, of labels each is drawn on its own."""
    return _on_all(run, _counts(run) / run.metrics.num_train)


def _zero(run: Run) -> FloatArray:
    return _on_all(run, np.zeros(len(run.metrics.classes)))


def _train_mean(run: Run) -> FloatArray:
    return _on_all(run, np.array([run.metrics.train_means[name] for name in run.metrics.classes]))


def _control(name: str) -> Outcome:
    return lambda run: control_errors(run.predictions.references, name)


TRIVIAL: Mapping[Kind, Mapping[str, Trivial]] = {
    "classes": {
        "majority": Trivial(_majority, "most frequent class"),
        "prior": Trivial(_prior, "drawn by prior"),
    },
    "regression": {
        "train_mean": Trivial(_train_mean, "mean of training part"),
        "zero": Trivial(_zero, "always zero"),
    },
    "multilabel": {
        # of labels that are mostly absent, saying so is right more often than drawing is
        "never": Trivial(_zero, "no label ever"),
        "prior": Trivial(_prior, "drawn by prior"),
    },
    "reconstruction": {
        "interpolation": Trivial(_control("interpolation"), "line between visible frames"),
        "neighbour": Trivial(_control("neighbour"), "nearest visible frame"),
        "mean": Trivial(_control("mean"), "mean of training part"),
    },
}
"""Predictors by kind of target; the first stands beside the headline."""


def less_trivial(pool: Pool, outcome: Outcome) -> dict[str, Interval]:
    """By score: the model's less that of a trivial predictor, the same speakers drawn for both."""
    functions = {name: info.function for name, info in pool.scoring.metrics.items()}
    return paired_cluster_bootstraps(pool.sums(model_outcome), pool.sums(outcome), functions)
