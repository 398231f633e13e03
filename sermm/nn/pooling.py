"""From a sequence to one vector, over real positions only."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sermm.nn.ecapa import EcapaPooling
from sermm.nn.masking import clear_padding, masked_mean, masked_softmax, masked_std


class MeanPooling(nn.Module):
    """Mean over time. ``(B, F, D)``, mask ``(B, F)`` to ``(B, D)``."""

    def __init__(self, *, input_size: int) -> None:
        super().__init__()
        self.output_size = input_size

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Pool."""
        return masked_mean(values, mask)


class MeanStdPooling(nn.Module):
    """Mean and standard deviation over time. ``(B, F, D)`` to ``(B, 2 D)``."""

    def __init__(self, *, input_size: int) -> None:
        super().__init__()
        self.output_size = 2 * input_size

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Pool."""
        return torch.cat([masked_mean(values, mask), masked_std(values, mask)], dim=-1)


class AttentionPooling(nn.Module):
    """Self-attentive mean: softmax over time of ``v . tanh(W x)`` (Lin et al. 2017, eq. 5).

    ``(B, F, D)``, mask ``(B, F)`` to ``(B, D)``.
    """

    def __init__(self, *, input_size: int, hidden_size: int = 64) -> None:
        super().__init__()
        self.score = nn.Sequential(
            nn.Linear(input_size, hidden_size), nn.Tanh(), nn.Linear(hidden_size, 1, bias=False)
        )
        self.output_size = input_size

    def weights(self, values: Tensor, mask: Tensor) -> Tensor:
        """What each position counts, ``(B, F)``, zero in the padding."""
        return masked_softmax(self.score(clear_padding(values, mask)).squeeze(-1), mask)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Pool."""
        values = clear_padding(values, mask)
        return torch.einsum("bf,bfd->bd", self.weights(values, mask), values)


class FirstPooling(nn.Module):
    """The first state, such as that of [CLS]. ``(B, F, D)`` to ``(B, D)``."""

    def __init__(self, *, input_size: int) -> None:
        super().__init__()
        self.output_size = input_size

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Take it."""
        del mask
        return values[:, 0]


class SplitPooling(nn.Module):
    """Each part of the values pooled on its own, then joined: late fusion of two upstreams.

    ``(B, F, D)``, mask ``(B, F)`` to ``(B, E)``, E being the sum over the parts.

    Args:
        sizes: Of the parts; their sum is D.
        poolings: One for each part.
    """

    def __init__(self, *, sizes: Sequence[int], poolings: Sequence[Pooling]) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.poolings = nn.ModuleList(poolings)
        self.output_size = sum(pooling.output_size for pooling in poolings)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Pool."""
        parts = zip(self.poolings, torch.split(values, self.sizes, dim=-1), strict=True)
        return torch.cat([pooling(part, mask) for pooling, part in parts], dim=-1)


Pooling = MeanPooling | MeanStdPooling | AttentionPooling | EcapaPooling | FirstPooling

POOLINGS: dict[str, type[Pooling]] = {
    "mean": MeanPooling,
    "mean_std": MeanStdPooling,
    "attention": AttentionPooling,
    "ecapa": EcapaPooling,
    "first": FirstPooling,
}
