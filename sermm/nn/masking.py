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


def clear_padding(values: Tensor, mask: Tensor) -> Tensor:
    """Zeros in the padding, whatever stood there, NaN included; no gradient reaches it.

    Args:
        values: ``(B, F, D)``.
        mask: ``(B, F)`` bool, True where real.
    """
    return values.masked_fill(~mask.unsqueeze(-1), 0.0)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over time of the real positions.

    Args:
        values: ``(B, F, D)``, any content in the padding.
        mask: ``(B, F)`` bool; a row without any real position gives zeros.

    Returns:
        ``(B, D)``.
    """
    counts = mask.sum(dim=1, keepdim=True).clamp(min=1)  # (B, 1)
    return clear_padding(values, mask).sum(dim=1) / counts


def masked_std(values: Tensor, mask: Tensor, floor: float = 1e-5) -> Tensor:
    """Standard deviation over time of the real positions (biased), ``(B, D)``.

    ``floor`` is added to the variance, since the root has no slope at zero (one-frame clips).
    """
    values = clear_padding(values, mask)
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
