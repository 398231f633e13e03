"""Scores of several labels at once: definitions, then pure functions on sums over utterances.

For each label tp, fp, fn, tn count the utterances on which it is (true and predicted), (predicted
alone), (true alone) and (neither); P = tp + fn, N = fp + tn. Of one label:

    f1   = 2 tp / (2 tp + fp + fn)
    wacc = (tp N / P + tn) / (2 N) = (recall of presence + recall of absence) / 2
    acc  = (tp + tn) / (P + N)
    wf1  = F1 of presence and F1 of absence, weighted by P and N

``wacc`` is the weighted accuracy of MOSEI's emotions (``src/eval_metrics.py`` of the Multimodal
Transformer, Tsai et al., 2019); ``acc`` and ``wf1`` are the binary accuracy and F1 of
one-versus-rest tables. Over all labels:

    macro_f1    = mean of f1 over the labels that are true or predicted somewhere
    micro_f1    = f1 of the sums of tp, fp, fn over labels
    weighted_f1 = mean of f1, weighted by P
    wacc        = mean over the labels with P > 0 and N > 0
    acc         = mean (1 minus the Hamming loss)
    exact_match = share of utterances on which every label is right (subset accuracy)

Sums have the shape (..., C, 5): tp, fp, fn, tn of each label, and in the last column the
utterances with every label right, the same in each row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sermm.metrics import FloatArray, Metric, MetricInfo, NumberArray, mean_where, share


def label_contributions(references: NumberArray, outcomes: NumberArray) -> FloatArray:
    """What each utterance adds to the sums.

    Args:
        references: (N, C) of 0 and 1.
        outcomes: (N, C) of 0 and 1, or probabilities of a predictor that draws each label on its
            own.

    Returns:
        (N, C, 5).

    Raises:
        ValueError: The shapes differ, or a value is outside 0 .. 1.
    """
    true, said = np.asarray(references, dtype=np.float64), np.asarray(outcomes, dtype=np.float64)
    if true.ndim != 2 or true.shape != said.shape:
        raise ValueError(
            f"expected references and outcomes (N, C), got {true.shape} and {said.shape}"
        )
    # the negation lets NaN fail too
    if not (np.isin(true, (0, 1)).all() and ((said >= 0) & (said <= 1)).all()):
        raise ValueError("expected references of 0 and 1, and outcomes from 0 to 1")
    cells = [true * said, (1 - true) * said, true * (1 - said), (1 - true) * (1 - said)]
    right = (cells[0] + cells[3]).prod(axis=1, keepdims=True)
    return np.stack([*cells, np.broadcast_to(right, true.shape)], axis=-1)


def _f1(sums: NumberArray) -> FloatArray:
    """(..., C, 5) -> (..., C)."""
    return share(2 * sums[..., 0], 2 * sums[..., 0] + sums[..., 1] + sums[..., 2])


def _present(sums: NumberArray) -> NumberArray:
    return np.asarray(sums[..., 0] + sums[..., 2])


def _absent(sums: NumberArray) -> NumberArray:
    return np.asarray(sums[..., 1] + sums[..., 3])


def _wacc(sums: NumberArray) -> FloatArray:
    """(..., C, 5) -> (..., C); NaN for a label that is on all utterances or on none."""
    return (share(sums[..., 0], _present(sums)) + share(sums[..., 3], _absent(sums))) / 2


def _acc(sums: NumberArray) -> FloatArray:
    """(..., C, 5) -> (..., C)."""
    return share(sums[..., 0] + sums[..., 3], _present(sums) + _absent(sums))


def _wf1(sums: NumberArray) -> FloatArray:
    """(..., C, 5) -> (..., C)."""
    present, absent = _present(sums), _absent(sums)
    of_absence = share(2 * sums[..., 3], 2 * sums[..., 3] + sums[..., 1] + sums[..., 2])
    # a side that is never true weighs nothing, so its F1 does not matter
    weighted = np.where(present > 0, present * _f1(sums), 0.0)
    weighted = weighted + np.where(absent > 0, absent * of_absence, 0.0)
    return share(weighted, present + absent)


def _macro_f1(sums: NumberArray) -> FloatArray:
    return mean_where(_f1(sums), sums[..., :3].sum(axis=-1) > 0)


def _micro_f1(sums: NumberArray) -> FloatArray:
    return _f1(sums.sum(axis=-2))


def _weighted_f1(sums: NumberArray) -> FloatArray:
    present = _present(sums)
    return share(np.where(present > 0, present * _f1(sums), 0.0).sum(axis=-1), present.sum(axis=-1))


def _mean_wacc(sums: NumberArray) -> FloatArray:
    return mean_where(_wacc(sums), (_present(sums) > 0) & (_absent(sums) > 0))


def _mean_acc(sums: NumberArray) -> FloatArray:
    return np.asarray(_acc(sums).mean(axis=-1))


def _exact_match(sums: NumberArray) -> FloatArray:
    return share(sums[..., 0, 4], sums[..., 0, :4].sum(axis=-1))


def _of_label(function: Metric, index: int) -> Metric:
    return lambda sums: function(sums[..., index, None, :])[..., 0]


_OVERALL = {
    "macro_f1": MetricInfo(_macro_f1, "macro-F1", "mean F1 over the labels that occur"),
    "micro_f1": MetricInfo(_micro_f1, "micro-F1", "F1 of all labels counted together"),
    "weighted_f1": MetricInfo(
        _weighted_f1, "weighted F1", "mean F1 over the labels, weighted by how often each is true"
    ),
    "wacc": MetricInfo(
        _mean_wacc,
        "wacc",
        "mean over the labels of the recalls of presence and absence (MOSEI's weighted accuracy)",
    ),
    "acc": MetricInfo(_mean_acc, "acc", "share of labels that are right (1 minus Hamming loss)"),
    "exact_match": MetricInfo(
        _exact_match, "exact match", "share of utterances on which every label is right"
    ),
}
_OF_EACH = {
    "f1": (_f1, "F1", "F1 of its presence"),
    "wacc": (_wacc, "wacc", "mean of the recalls of its presence and its absence"),
    "acc": (_acc, "acc", "share of utterances on which it is right"),
    "wf1": (
        _wf1,
        "two-sided F1",
        "F1 of presence and of absence, weighted by how often each is true",
    ),
}


def label_metrics(names: Sequence[str]) -> dict[str, MetricInfo]:
    """Scores over all labels, then of each, by name in print order."""
    of_each = {
        f"{key}_{name}": MetricInfo(_of_label(function, index), title, meaning, of=name)
        for key, (function, title, meaning) in _OF_EACH.items()
        for index, name in enumerate(names)
    }
    return {**_OVERALL, **of_each}
