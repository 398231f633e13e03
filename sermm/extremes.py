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
    """The utterances with the highest and with the lowest fit, at most half of all each.

    The best of classes are those that are right, of each class in turn: a model that is surest of
    one class would else show nothing but that.
    """
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

    worst = [judged(name) for name in order[::-1][:most]]
    if pool.scoring.kind != "classes":
        return [judged(name) for name in order[:most]], worst
    ranks: dict[str, int] = {}
    right: list[tuple[int, Judged]] = []
    wrong: list[Judged] = []
    for one in map(judged, order[: len(order) - most]):
        if one.predicted == one.label:
            ranks[one.label] = ranks.get(one.label, -1) + 1
            right.append((ranks[one.label], one))
        else:
            wrong.append(one)
    right.sort(key=lambda ranked: ranked[0])
    return [*(one for _, one in right), *wrong][:most], worst


def extreme_ids(said: Predictions, number: int = NUMBER) -> list[str]:
    """The ids with the highest fit (of classes: of each) and the lowest in one run, sorted."""
    fits, _ = _fits(said)
    order = sorted(range(len(said.ids)), key=lambda row: (-float(fits[row]), said.ids[row]))
    kept = {said.ids[row] for row in (*order[:number], *order[-number:])}
    if said.kind == "classes":
        for label in range(len(said.names)):
            own = [row for row in order if said.references[row] == label]
            kept.update(said.ids[row] for row in own[:number])
    return sorted(kept)


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
