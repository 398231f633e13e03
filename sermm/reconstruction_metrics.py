"""Scores of masked pre-training: definitions, then pure functions on sums over utterances.

With x a hidden value, standardised by the training part, and y its reconstruction:

    masked_mae  = mean of |y - x|, in standard deviations of the training part
    masked_nmse = sum of (y - x)^2 / sum of x^2

A reconstruction that always says the mean has a ``masked_nmse`` of 1. Each hidden value counts
once, so long clips weigh more. References (N, 1 + 2 K) are the number of hidden values and the mean
absolute and squared error of each of the K controls; outcomes (N, 2) are the two errors of the
model, or of a control.
Sums have the columns: values, absolute error, squared error, squared error of the mean.
"""

from __future__ import annotations

import numpy as np

from sermm.metrics import FloatArray, MetricInfo, NumberArray, share

CONTROLS = ("mean", "neighbour", "interpolation")
"""What hidden frames are compared with, in the order of the columns."""


def control_errors(references: NumberArray, name: str) -> FloatArray:
    """Absolute and squared error (N, 2) of a control."""
    first = 1 + 2 * CONTROLS.index(name)
    return np.asarray(references, dtype=np.float64)[:, first : first + 2]


def reconstruction_contributions(references: NumberArray, outcomes: NumberArray) -> FloatArray:
    """What each utterance adds to the sums.

    Args:
        references: (N, 1 + 2 K).
        outcomes: (N, 2).

    Returns:
        (N, 4).

    Raises:
        ValueError: The shapes are others.
    """
    said = np.asarray(outcomes, dtype=np.float64)
    known = np.asarray(references, dtype=np.float64)
    if known.ndim != 2 or known.shape[1] != 1 + 2 * len(CONTROLS) or said.shape != (len(known), 2):
        raise ValueError(f"expected (N, 7) and (N, 2), got {known.shape} and {said.shape}")
    count = known[:, :1]
    errors = np.concatenate([said, control_errors(known, "mean")[:, 1:]], axis=1)
    return np.concatenate([count, count * errors], axis=1)


def _mae(sums: NumberArray) -> FloatArray:
    return share(sums[..., 1], sums[..., 0])


def _nmse(sums: NumberArray) -> FloatArray:
    return share(sums[..., 2], sums[..., 3])


RECONSTRUCTION_METRICS = {
    "masked_mae": MetricInfo(
        _mae,
        "masked MAE",
        "mean absolute error of hidden values, in standard deviations of the training part",
        higher_is_better=False,
        is_share=False,
    ),
    "masked_nmse": MetricInfo(
        _nmse,
        "masked NMSE",
        "squared error of hidden values over that of the mean of the training part, which has 1",
        higher_is_better=False,
        is_share=False,
    ),
}
