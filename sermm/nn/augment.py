"""Random changes of standardised acoustic frames, in training only."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sermm.nn.masking import clear_padding, length_mask


class FrameAugment(nn.Module):
    """Time and band masks (SpecAugment, Park et al. 2019), level shift and noise.

    Masked values become zero, which is the mean of standardised frames.

    Args:
        time_masks: Masks over time in each clip.
        time_mask_share: Longest time mask as a share of the clip.
        band_masks: Masks over neighbouring dimensions.
        band_mask_share: Widest band mask as a share of the dimensions.
        noise: Standard deviation of white noise.
        gain: Standard deviation of one shift for all values of a clip.

    Lengths stay as they are.
    """

    def __init__(
        self,
        *,
        time_masks: int = 0,
        time_mask_share: float = 0.1,
        band_masks: int = 0,
        band_mask_share: float = 0.15,
        noise: float = 0.0,
        gain: float = 0.0,
    ) -> None:
        super().__init__()
        self.time_masks, self.time_mask_share = time_masks, time_mask_share
        self.band_masks, self.band_mask_share = band_masks, band_mask_share
        self.noise, self.gain = noise, gain

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Change training frames; in evaluation return them untouched.

        Args:
            frames: ``(B, F, D)`` standardised.
            lengths: ``(B,)`` int64.

        Returns:
            ``(B, F, D)``, padding zero.
        """
        if not self.training:
            return frames
        if self.gain:
            frames = frames + self.gain * torch.randn(len(frames), 1, 1, device=frames.device)
        if self.noise:
            frames = frames + self.noise * torch.randn_like(frames)
        for _ in range(self.time_masks):
            hidden = _random_runs(lengths, self.time_mask_share, frames.shape[1])  # (B, F)
            frames = frames.masked_fill(hidden.unsqueeze(-1), 0.0)
        for _ in range(self.band_masks):
            sizes = torch.full_like(lengths, frames.shape[2])
            hidden = _random_runs(sizes, self.band_mask_share, frames.shape[2])  # (B, D)
            frames = frames.masked_fill(hidden.unsqueeze(1), 0.0)
        return clear_padding(frames, length_mask(lengths, frames.shape[1]))


def _random_runs(sizes: Tensor, share: float, width: int) -> Tensor:
    """One run of True for each row, at a random place, up to ``share`` of the row's size long."""
    device = sizes.device
    longest = torch.floor(share * sizes)
    run = torch.floor(torch.rand(len(sizes), device=device) * (longest + 1))
    start = torch.floor(torch.rand(len(sizes), device=device) * (sizes - run + 1))
    positions = torch.arange(width, device=device)
    return (positions >= start.unsqueeze(1)) & (positions < (start + run).unsqueeze(1))
