"""A bidirectional GRU over padded batches whose backward direction starts at each clip's end."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sermm.nn.masking import clear_padding, length_mask


def reverse_by_length(values: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the real part of each row in time and leave the padding where it is.

    Args:
        values: ``(B, F, D)``.
        lengths: ``(B,)`` int64.

    Returns:
        ``(B, F, D)``. Applying it twice gives ``values`` back.
    """
    positions = torch.arange(values.shape[1], device=values.device).unsqueeze(0)  # (1, F)
    mirrored = lengths.unsqueeze(1) - 1 - positions  # (B, F)
    index = torch.where(mirrored >= 0, mirrored, positions)
    return values.gather(1, index.unsqueeze(-1).expand_as(values))


class BiGRU(nn.Module):
    """Bidirectional GRU, exact under padding without packing.

    ``nn.GRU(bidirectional=True)`` on a padded batch starts its backward direction in the padding,
    and packing is slow on a CPU. Here the backward direction is a second GRU over the sequence
    reversed by its own length: same mathematics as a packed GRU, one dense call per direction.

    Args:
        input_size: D of the input.
        hidden_size: Width of each direction; the output has twice this.
        num_layers: Stacked layers.
        dropout: Between layers.
    """

    def __init__(
        self, *, input_size: int, hidden_size: int, num_layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        sizes = [input_size] + [2 * hidden_size] * (num_layers - 1)
        self.forwards = nn.ModuleList(nn.GRU(s, hidden_size, batch_first=True) for s in sizes)
        self.backwards = nn.ModuleList(nn.GRU(s, hidden_size, batch_first=True) for s in sizes)
        self.dropout = nn.Dropout(dropout)
        self.output_size = 2 * hidden_size

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Run over time.

        Args:
            values: ``(B, F, D)``, any content in the padding.
            lengths: ``(B,)`` int64.

        Returns:
            ``(B, F, 2 * hidden_size)``; positions past a row's length are meaningless.
        """
        # the forward direction computes on through the padding, where NaN would spoil gradients
        values = clear_padding(values, length_mask(lengths, values.shape[1]))
        for index, (ahead, back) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            if index:
                values = self.dropout(values)
            left, _ = ahead(values)
            right, _ = back(reverse_by_length(values, lengths))
            values = torch.cat([left, reverse_by_length(right, lengths)], dim=-1)
        return values
