"""Which scores belong to which kind of target, and how they come about: utterance by utterance.

Every score is a function of sums over utterances, so that one run, a pool of runs, a bootstrap draw
and a validation part spread over several devices are scored by the same code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from data_modules.labels import Family, Kind
from sermm.label_metrics import label_contributions, label_metrics
from sermm.metrics import (
    CLASS_METRICS,
    FloatArray,
    MetricInfo,
    NumberArray,
    class_contributions,
)
from sermm.rating_metrics import rating_contributions, rating_metrics
from sermm.reconstruction_metrics import (
    CONTROLS,
    RECONSTRUCTION_METRICS,
    reconstruction_contributions,
)

LOSS = "loss"
"""What may choose the epoch beside the scores."""


class Selecting(NamedTuple):
    """What chooses the epoch: its name in print, and which end of it is the good one."""

    title: str
    higher_is_better: bool


def shapes_of(kind: Kind, num_names: int, count: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of the references and of the outcomes of ``count`` utterances."""
    if kind == "reconstruction":
        return (count, 1 + 2 * num_names), (count, 2)
    shape = (count,) if kind == "classes" else (count, num_names)
    return shape, shape


@dataclass(frozen=True, eq=False)
class Scoring:
    """The scores of a label scheme.

    Attributes:
        kind: What is predicted.
        names: Of classes, ratings or labels, in the order of the target.
        family: Which scores.
        metrics: All of them by name, in print order; those of single names come last.
        headline: The one that tables lead with and that selects unless another is asked for.
        brief: Those that a table with many rows has room for, the headline first.
    """

    kind: Kind
    names: tuple[str, ...]
    family: Family
    metrics: Mapping[str, MetricInfo]
    headline: str
    brief: tuple[str, ...]

    @property
    def overall(self) -> dict[str, MetricInfo]:
        """The scores over all names together."""
        return {name: info for name, info in self.metrics.items() if not info.of}

    def of(self, name: str) -> dict[str, MetricInfo]:
        """The scores of one rating or label; empty where there are none."""
        return {metric: info for metric, info in self.metrics.items() if info.of == name}

    def selecting(self, name: str) -> Selecting:
        """What chooses the epoch: a score, or :data:`LOSS`."""
        if name == LOSS:
            return Selecting("loss", higher_is_better=False)
        return Selecting(self.metrics[name].full_title, self.metrics[name].higher_is_better)

    def contributions(self, references: NumberArray, outcomes: NumberArray) -> FloatArray:
        """What each utterance adds to the sums.

        Args:
            references: (N,) class indices, (N, T) ratings, or (N, C) of 0 and 1.
            outcomes: The same of what was predicted; shares of classes (N, C) or probabilities of
                labels (N, C) for a predictor that draws at random.

        Returns:
            (N, ...).

        Raises:
            ValueError: The shapes differ, or a value is no such target.
        """
        if self.kind == "classes":
            return class_contributions(references, outcomes, len(self.names))
        if self.family in ("sentiment", "intensity", "rating"):
            return rating_contributions(references, outcomes, self.family)
        if self.kind == "reconstruction":
            return reconstruction_contributions(references, outcomes)
        return label_contributions(references, outcomes)

    def scores(self, sums: NumberArray) -> dict[str, float]:
        """All scores of sums (...) by name; NaN where one is undefined."""
        return {name: float(info.function(sums)) for name, info in self.metrics.items()}


# family: kind, and the scores for long tables, of which the first leads
_FAMILIES: dict[Family, tuple[Kind, tuple[str, ...]]] = {
    "classes": ("classes", ("ua", "wa", "macro_f1", "weighted_f1")),
    "sentiment": ("regression", ("mae", "pearson_r", "acc2_non0", "acc7")),
    "intensity": ("regression", ("mae", "acc4")),
    "rating": ("regression", ("mae", "pearson_r", "ccc")),
    "multilabel": ("multilabel", ("macro_f1", "micro_f1", "wacc", "exact_match")),
    "reconstruction": ("reconstruction", ("masked_mae", "masked_nmse")),
}


def find_scoring(kind: Kind, names: Sequence[str], family: Family) -> Scoring:
    """The scores of targets of a kind.

    Raises:
        ValueError: The family is not one of the kind, or does not fit the number of names.
    """
    if family not in _FAMILIES or _FAMILIES[family][0] != kind:
        fitting = [name for name, (own, _) in _FAMILIES.items() if own == kind]
        raise ValueError(f"expected scores for {kind} ({', '.join(fitting)}), got {family!r}")
    brief = _FAMILIES[family][1]
    metrics: Mapping[str, MetricInfo]
    if family == "classes":
        metrics = CLASS_METRICS
    elif family == "multilabel":
        metrics = label_metrics(names)
    elif family == "reconstruction":
        if tuple(names) != CONTROLS:
            raise ValueError(f"expected the controls {', '.join(CONTROLS)}, got {names}")
        metrics = RECONSTRUCTION_METRICS
    else:
        metrics = rating_metrics(names, family)
    return Scoring(kind, tuple(names), family, metrics, brief[0], brief)
