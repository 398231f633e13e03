"""Convolutions over frames that halve the frame rate and never see padding."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from sermm.nn.masking import length_mask


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
            frames: ``(B, F, D)``.
            lengths: ``(B,)`` int64.

        Returns:
            ``(B, ceil(F / rate), channels)`` and its lengths ``(B,)``.
        """
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            mask = length_mask(lengths, frames.shape[1]).unsqueeze(-1)
            frames = frames.masked_fill(~mask, 0.0)
            frames = convolution(frames.transpose(1, 2)).transpose(1, 2)  # (B, ceil(F / 2), C)
            lengths = (lengths + 1) // 2
            frames = self.activation(norm(frames))
        return frames, lengths

    def scale_spans(self, spans: Tensor) -> Tensor:
        """Spans over input frames ``(..., 2)`` (end exclusive) as spans over output frames.

        A span keeps every output frame that its first to last input frame falls on, so it is
        never empty unless it was.
        """
        start, end = spans[..., 0], spans[..., 1]
        scaled = spans.clone()
        scaled[..., 0] = start // self.rate
        scaled[..., 1] = (end + self.rate - 1) // self.rate
        return scaled
