"""Convolutions over frames that halve the frame rate and never see padding."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from sermm.nn.masking import clear_padding, length_mask


class FrameConvolutions(nn.Module):
    """Blocks of convolution, layer norm over channels, GELU and dropout; each has stride 2.

    Layer norm works on one frame at a time, so unlike batch or group norm it cannot carry padding
    into real frames; the padding itself is cleared before each convolution.

    Args:
        input_size: D of the frames.
        channels: Width of every block.
        num_layers: Blocks; 0 passes the frames through.
        kernel_size: Odd.
        dropout: After each block.

    Raises:
        ValueError: An even kernel, whose output would not be half as long, rounded up.
    """

    def __init__(
        self,
        *,
        input_size: int,
        channels: int,
        num_layers: int,
        kernel_size: int = 5,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {kernel_size}")
        sizes = [input_size] + [channels] * num_layers
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, kernel_size, stride=2, padding=kernel_size // 2)
            for a, b in pairwise(sizes)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(num_layers))
        self.activation = nn.Sequential(nn.GELU(), nn.Dropout(dropout))
        self.output_size = sizes[-1]
        self.rate = 2**num_layers

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Convolve.

        Args:
            frames: ``(B, F, D)``, any content in the padding.
            lengths: ``(B,)`` int64.

        Returns:
            ``(B, ceil(F / rate), channels)``, its padding meaningless, and its lengths ``(B,)``.
        """
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            frames = clear_padding(frames, length_mask(lengths, frames.shape[1]))
            frames = convolution(frames.transpose(1, 2)).transpose(1, 2)  # (B, ceil(F / 2), C)
            lengths = (lengths + 1) // 2
            frames = self.activation(norm(frames))
        return frames, lengths

    def scale_spans(self, spans: Tensor) -> Tensor:
        """Spans over input frames ``(..., 2)`` as spans over output frames."""
        return scale_spans(spans, self.rate)


def scale_spans(spans: Tensor, rate: int) -> Tensor:
    """Spans of frames ``(..., 2)`` (end exclusive) at a rate that is lower by a factor.

    Frame j of the lower rate stands for the frames from ``j * rate`` to ``(j + 1) * rate``. A span
    keeps every frame that stands for one of its own, so it is empty exactly where it was.
    """
    start, end = spans.unbind(-1)
    scaled_start = start // rate
    scaled_end = (end + rate - 1) // rate
    return torch.stack([scaled_start, torch.where(start < end, scaled_end, scaled_start)], -1)
