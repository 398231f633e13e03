"""Several frames as one step: a lower rate, and hidden steps that copying does not fill."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from sermm.nn.convolution import scale_spans
from sermm.nn.masking import clear_padding, length_mask


class FrameStacking(nn.Module):
    """Join neighbouring frames, ``(B, F, D)`` to ``(B, ceil(F / k), k D)``.

    What the last step of a clip lacks is zero, the mean of standardised frames.

    Args:
        input_size: D.
        frames_per_step: k; 1 passes frames through.
    """

    def __init__(self, *, input_size: int, frames_per_step: int) -> None:
        super().__init__()
        self.rate = frames_per_step
        self.output_size = frames_per_step * input_size

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Stack.

        Args:
            frames: ``(B, F, D)``, any content in the padding.
            lengths: ``(B,)`` int64.

        Returns:
            Steps ``(B, S, k D)``, zero in the padding, and their number ``(B,)``.
        """
        frames = clear_padding(frames, length_mask(lengths, frames.shape[1]))
        short = -frames.shape[1] % self.rate
        steps = F.pad(frames, (0, 0, 0, short)).reshape(len(frames), -1, self.output_size)
        return steps, (lengths + self.rate - 1) // self.rate

    def scale_spans(self, spans: Tensor) -> Tensor:
        """Spans over frames ``(..., 2)`` as spans over steps."""
        return scale_spans(spans, self.rate)

    def unstack(self, steps: Tensor, num_frames: int) -> Tensor:
        """Steps ``(B, S, k D)`` as the frames ``(B, num_frames, D)`` that they stand for."""
        return steps.reshape(len(steps), -1, self.output_size // self.rate)[:, :num_frames]
