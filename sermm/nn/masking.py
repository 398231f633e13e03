"""Lengths to masks, and reductions that do not see padding."""

from __future__ import annotations

import torch
from torch import Tensor


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """Which positions are real.

    Args:
        lengths: Real positions of each row ``(B,)``, int64.
        size: Padded length F.

    Returns:
        ``(B, F)`` bool, True where real.
    """
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over time of the real positions.

    Args:
        values: ``(B, F, D)``.
        mask: ``(B, F)`` bool; a row without any real position gives zeros.

    Returns:
        ``(B, D)``.
    """
    weights = mask.unsqueeze(-1).to(values.dtype)
    return (values * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def masked_std(values: Tensor, mask: Tensor, floor: float = 1e-5) -> Tensor:
    """Standard deviation over time of the real positions (biased), ``(B, D)``.

    ``floor`` is added to the variance, since the root has no slope at zero (one-frame clips).
    """
    mean = masked_mean(values, mask)
    variance = masked_mean((values - mean.unsqueeze(1)) ** 2, mask)
    return torch.sqrt(variance + floor)


def masked_softmax(scores: Tensor, mask: Tensor, dim: int = -1) -> Tensor:
    """Softmax over the real positions; masked positions get exactly zero.

    Args:
        scores: Any shape.
        mask: Bool, broadcastable to ``scores``. A row that is all masked gives all zeros.
        dim: Where the weights sum to one.
    """
    filled = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return torch.softmax(filled, dim=dim).masked_fill(~mask, 0.0)
