"""A transformer over frames (or steps of several frames) whose answers do not see padding."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sermm.nn.masking import clear_padding, length_mask


def sinusoids(num_positions: int, width: int) -> Tensor:
    """Sines and cosines of positions ``(num_positions, width)`` (Vaswani et al. 2017, 3.5)."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(num_positions).unsqueeze(1) * rates  # (S, width / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).reshape(num_positions, width)


class FrameTransformer(nn.Module):
    """A linear layer, positions as sines and cosines, and pre-norm transformer layers.

    Args:
        input_size: D.
        width: Of all states; even.
        num_layers: Layers.
        num_heads: Attention heads; divides the width.
        feedforward: Width of the hidden layer in each.
        dropout: Of every layer.
        every_layer: Whether the states of all layers are given side by side, not the last ones
            alone.
    """

    def __init__(
        self,
        *,
        input_size: int,
        width: int,
        num_layers: int,
        num_heads: int,
        feedforward: int,
        dropout: float = 0.0,
        every_layer: bool = False,
    ) -> None:
        super().__init__()
        self.project = nn.Linear(input_size, width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                num_heads,
                feedforward,
                dropout,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.every_layer = every_layer
        self.output_size = width * num_layers if every_layer else width

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Attend over time.

        Args:
            values: ``(B, S, D)``, any content in the padding.
            lengths: ``(B,)`` int64, at least 1.

        Returns:
            ``(B, S, width)``, or ``(B, S, num_layers * width)`` of every layer, the first in front;
            positions past a row's length are meaningless.
        """
        mask = length_mask(lengths, values.shape[1])
        states = self.project(clear_padding(values, mask))
        states = self.dropout(states + sinusoids(states.shape[1], states.shape[2]).to(states))
        below = []
        for layer in self.layers:
            below.append(states)
            states = layer(states, src_key_padding_mask=~mask)
        normed: Tensor = self.norm(states)
        # what comes in is no layer's
        return torch.cat([*below[1:], normed], dim=-1) if self.every_layer else normed
