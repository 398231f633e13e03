"""Which layers of an encoder are used, and how several become one.

Layers are counted as in SUPERB: state k is what goes into transformer layer k (state 0 follows the
convolutions and positions), and the last state is what the encoder gives out, after its final
layer norm where it has one. transformers 5 leaves that norm out of its last hidden state.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from data_modules.errors import ConfigError

_INDICES = re.compile(r"\d+( *, *\d+)*")


@dataclass(frozen=True)
class LayerChoice:
    """The states that an upstream hands on.

    Attributes:
        indices: Their numbers, ascending, between 0 and the number of transformer layers.
        averaged: Their mean is handed on, as one.
    """

    indices: tuple[int, ...]
    averaged: bool = False

    @property
    def num_layers(self) -> int:
        """How many states a frame has."""
        return 1 if self.averaged else len(self.indices)


def choose_layers(text: str, num_transformer_layers: int) -> LayerChoice:
    """What ``model.speech.layers`` says.

    Args:
        text: ``last``; ``mean`` of all states; ``all``; or numbers with commas.
        num_transformer_layers: Of the encoder; it has one state more.

    Raises:
        ConfigError: It is none of these, or the encoder has no such layer.
    """
    top = num_transformer_layers
    if text == "last":
        return LayerChoice((top,))
    if text in ("mean", "all"):
        return LayerChoice(tuple(range(top + 1)), averaged=text == "mean")
    indices = [int(part) for part in text.split(",")] if _INDICES.fullmatch(text) else []
    if not indices or len(set(indices)) < len(indices) or max(indices) > top:
        raise ConfigError(
            "model.speech.layers",
            expected=f"last, mean, all, or numbers between 0 and {top}, each once",
            got=repr(text),
            fix="choose among these; 0 is before the first transformer layer",
        )
    return LayerChoice(tuple(sorted(indices)))


class WeightedLayerSum(nn.Module):
    """``sum_k softmax(w)_k h_k``, with a learned ``w`` that starts at zero.

    SUPERB (Yang et al. 2021, section 2): a frozen upstream's states as one, by the task.

    Args:
        num_layers: K.
        normalized: A layer norm without weights on each state first, so that ``w`` does not have
            to make up for their scales. Off in SUPERB.
    """

    def __init__(self, num_layers: int, *, normalized: bool = False) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(num_layers))
        self.normalized = normalized

    def shares(self) -> Tensor:
        """What each state counts, ``(K,)``; they sum to one."""
        return torch.softmax(self.weights, dim=0)

    def forward(self, states: Tensor) -> Tensor:
        """``(B, K, F, D)`` to ``(B, F, D)``."""
        if self.normalized:
            states = layer_norm(states, states.shape[-1:])
        return torch.einsum("k,bkfd->bfd", self.shares(), states)
