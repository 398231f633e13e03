"""Values brought to mean 0 and deviation 1 by what the training part has."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sermm.nn.masking import clear_padding, length_mask


class Standardize(nn.Module):
    """Subtract the mean and divide by the standard deviation of the training part.

    The statistics are buffers, so they travel with the checkpoint and a model needs nothing else
    to read a new recording. Padding stays zero.

    Args:
        mean: ``(D,)`` over the frames of the fold's training part.
        std: ``(D,)``; a dimension that never changes is left at scale one.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.float())
        self.register_buffer("std", torch.where(std > 1e-8, std, torch.ones_like(std)).float())

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """``(B, F, D)`` to ``(B, F, D)``."""
        mask = length_mask(lengths, frames.shape[1])
        return clear_padding((frames - self.mean) / self.std, mask)
