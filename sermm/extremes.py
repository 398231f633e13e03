"""The test utterances that a model is surest and least right about, for a person to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sermm.metrics import FloatArray
from sermm.pool import Pool
from sermm.predictions import Predictions

NUMBER = 5


@dataclass(frozen=True)
class Judged:
    """An utterance and how it fared, mean over the runs (seeds) that scored it.

    Attributes:
        id: Of the utterance.
        speaker: Empty where the corpus does not say.
        label: Reference, in words.
        predicted: What was said, in words; of classes the likeliest on average.
        fit: Probability of the reference; of labels the mean over labels; of ratings minus the mean
            absolute error. The higher the better.
    """

    id: str
    speaker: str
    label: str
    predicted: str
    fit: float


def best_and_worst(pool: Pool, number: int = NUMBER) -> tuple[list[Judged], list[Judged]]:
    """The utterances with the highest and with the lowest fit, at most half of all each."""
    fits: dict[str, list[float]] = {}
    said: dict[str, list[FloatArray]] = {}
    where: dict[str, tuple[Predictions, int]] = {}
    for run in pool.runs:
        predictions = run.predictions
        fit, outcomes = _fits(predictions)
        for row, name in enumerate(predictions.ids):
            fits.setdefault(name, []).append(float(fit[row]))
            said.setdefault(name, []).append(outcomes[row])
            where[name] = predictions, row
    order = sorted(fits, key=lambda name: (-float(np.mean(fits[name])), name))
    most = min(number, len(order) // 2)

    def judged(name: str) -> Judged:
        predictions, row = where[name]
        reference, outcome = np.asarray(predictions.references[row]), np.mean(said[name], axis=0)
        if predictions.kind == "reconstruction":  # how it went, in one; there is nothing to compare
            found = (
                f"mean absolute error {outcome[0]:.2f} over {round(reference[0]):,} hidden values"
            )
            label, predicted = found, found
        else:
            label = _in_words(predictions, reference)
            predicted = _average_in_words(predictions, outcome)
        return Judged(name, predictions.speakers[row], label, predicted, float(np.mean(fits[name])))

    return [judged(n) for n in order[:most]], [judged(n) for n in order[::-1][:most]]


def extreme_ids(said: Predictions, number: int = NUMBER) -> list[str]:
    """The ids with the highest and the lowest fit in one run, sorted."""
    fits, _ = _fits(said)
    order = sorted(range(len(said.ids)), key=lambda row: (-float(fits[row]), said.ids[row]))
    return sorted({said.ids[row] for row in (*order[:number], *order[-number:])})


def _fits(said: Predictions) -> tuple[FloatArray, FloatArray]:
    """Fit (N,) and what to average over runs (N, C)."""
    if said.probabilities is None:
        outcomes = said.outcomes.astype(np.float64)
        if said.kind == "reconstruction":
            return -outcomes[:, 0], outcomes
        return -np.abs(outcomes - said.references).mean(axis=1), outcomes
    shares = said.probabilities
    if said.kind == "multilabel":
        right = np.where(said.references == 1, shares, 1 - shares)
        return right.mean(axis=1), said.outcomes.astype(np.float64)
    return shares[np.arange(len(shares)), said.references], shares


def _in_words(said: Predictions, reference: FloatArray) -> str:
    if said.kind == "classes":
        return said.names[int(reference)]
    return _average_in_words(said, reference)


def _average_in_words(said: Predictions, values: FloatArray) -> str:
    if said.kind == "classes":
        return said.names[int(values.argmax())]
    if said.kind == "regression":
        return ", ".join(f"{n} {value:.2f}" for n, value in zip(said.names, values, strict=True))
    there = [n for n, value in zip(said.names, values, strict=True) if value >= 0.5]
    return ", ".join(there) or "no label"
