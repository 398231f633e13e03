"""Random changes of acoustic frames, in training only."""

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
        band_warp: Largest stretch of the mel axis, as a share: vocal tract length perturbation
            (Jaitly and Hinton 2013) on mel bands.
        num_bands: Mel bands that each frame begins with; only these are warped.

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
        band_warp: float = 0.0,
        num_bands: int = 0,
    ) -> None:
        super().__init__()
        self.time_masks, self.time_mask_share = time_masks, time_mask_share
        self.band_masks, self.band_mask_share = band_masks, band_mask_share
        self.noise, self.gain = noise, gain
        self.band_warp, self.num_bands = band_warp, num_bands

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
        if self.band_warp:
            frames = _warp_bands(frames, self.num_bands, self.band_warp)
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


class TimeStretch(nn.Module):
    """Slow or hurry each training clip by a random factor, by repeating or leaving out frames.

    Args:
        share: Largest change of the length, as a share of it; 0 changes nothing.
    """

    def __init__(self, *, share: float = 0.0) -> None:
        super().__init__()
        self.share = share

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Stretch training clips; in evaluation return them untouched.

        Args:
            frames: ``(B, F, D)``.
            lengths: ``(B,)`` int64.

        Returns:
            ``(B, F', D)``, padding zero, and its lengths ``(B,)``, at least 1.
        """
        if not self.training or not self.share:
            return frames, lengths
        factor = 1 + self.share * (2 * torch.rand(len(lengths), device=frames.device) - 1)
        new_lengths = (lengths * factor).round().long().clamp(min=1)
        positions = torch.arange(int(new_lengths.max()), device=frames.device)
        index = (positions / factor.unsqueeze(1)).long()  # (B, F')
        index = torch.minimum(index, lengths.unsqueeze(1) - 1)
        stretched = frames.gather(1, index.unsqueeze(-1).expand(-1, -1, frames.shape[2]))
        return clear_padding(stretched, length_mask(new_lengths, len(positions))), new_lengths


def _warp_bands(frames: Tensor, num_bands: int, share: float) -> Tensor:
    """Read each clip's bands at a stretched or squeezed mel axis; linear between bands."""
    factor = 1 + share * (2 * torch.rand(len(frames), 1, device=frames.device) - 1)
    wanted = torch.arange(num_bands, device=frames.device) * factor  # (B, bands)
    wanted = wanted.clamp(max=num_bands - 1)
    below = wanted.floor().long()
    above = (below + 1).clamp(max=num_bands - 1)
    weight = (wanted - below).unsqueeze(1)
    bands, rest = frames[..., :num_bands], frames[..., num_bands:]

    def take(index: Tensor) -> Tensor:
        return bands.gather(2, index.unsqueeze(1).expand_as(bands))

    warped = take(below) * (1 - weight) + take(above) * weight
    return torch.cat([warped, rest], dim=-1)


def _random_runs(sizes: Tensor, share: float, width: int) -> Tensor:
    """One run of True for each row, at a random place, up to ``share`` of the row's size long."""
    device = sizes.device
    longest = torch.floor(share * sizes)
    run = torch.floor(torch.rand(len(sizes), device=device) * (longest + 1))
    start = torch.floor(torch.rand(len(sizes), device=device) * (sizes - run + 1))
    positions = torch.arange(width, device=device)
    return (positions >= start.unsqueeze(1)) & (positions < (start + run).unsqueeze(1))
