"""A GRU as the one operator that ONNX has for it.

torch.export fails on ``nn.GRU`` where its length may change; as an operator of our own it stays
whole, and the exporter is told what ONNX calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


@torch.library.custom_op("sermm::gru", mutates_args=())
def gru(values: Tensor, weight: Tensor, recurrence: Tensor, bias: Tensor) -> Tensor:
    """One direction of a GRU, with the gates in the order of ONNX.

    Args:
        values: ``(F, B, D)``.
        weight: ``(1, 3 H, D)``: update, reset and new gate.
        recurrence: ``(1, 3 H, H)``.
        bias: ``(1, 6 H)``: of the weight, then of the recurrence.

    Returns:
        ``(F, B, H)``.
    """
    size = recurrence.shape[2]
    layer = nn.GRU(values.shape[2], size).requires_grad_(False)
    from_input, from_state = bias[0].chunk(2)
    layer.load_state_dict(
        {
            "weight_ih_l0": _swap_gates(weight[0]),
            "weight_hh_l0": _swap_gates(recurrence[0]),
            "bias_ih_l0": _swap_gates(from_input),
            "bias_hh_l0": _swap_gates(from_state),
        }
    )
    states: Tensor = layer(values)[0]
    return states


@gru.register_fake
def _(values: Tensor, weight: Tensor, recurrence: Tensor, bias: Tensor) -> Tensor:
    return values.new_empty(values.shape[0], values.shape[1], recurrence.shape[2])


def _swap_gates(stacked: Tensor) -> Tensor:
    """Torch has reset, update, new; ONNX has update, reset, new."""
    first, second, new = stacked.chunk(3)
    return torch.cat([second, first, new])


class OnnxGru(nn.Module):
    """What ``layer`` computes, through the operator.

    Args:
        layer: One layer, one direction, batch first.
    """

    weight: Tensor
    recurrence: Tensor
    bias: Tensor

    def __init__(self, layer: nn.GRU) -> None:
        super().__init__()
        assert (layer.num_layers, layer.bidirectional, layer.batch_first) == (1, False, True)
        stored = layer.state_dict()
        weights = {
            "weight": _swap_gates(stored["weight_ih_l0"]),
            "recurrence": _swap_gates(stored["weight_hh_l0"]),
            "bias": torch.cat(
                [_swap_gates(stored["bias_ih_l0"]), _swap_gates(stored["bias_hh_l0"])]
            ),
        }
        for name, value in weights.items():
            self.register_buffer(name, value.clone().unsqueeze(0))

    def forward(self, values: Tensor) -> tuple[Tensor, None]:
        """``(B, F, D)`` to ``(B, F, H)``, as ``nn.GRU`` answers, without its last state."""
        states = gru(values.transpose(0, 1), self.weight, self.recurrence, self.bias)
        return states.transpose(0, 1), None


def with_onnx_grus(module: nn.Module) -> nn.Module:
    """The module with every ``nn.GRU`` in it replaced, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.GRU):
            setattr(module, name, OnnxGru(child))
        else:
            with_onnx_grus(child)
    return module


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """What the exporter has to know: the operator, and ONNX's own in its place."""
    from onnxscript import opset18 as op

    # unannotated on purpose: the exporter reads annotations, and those of a module with postponed
    # ones are strings to it
    def translate(values, weight, recurrence, bias):  # type: ignore[no-untyped-def]
        states, _ = op.GRU(
            values, weight, recurrence, bias, hidden_size=recurrence.shape[2], linear_before_reset=1
        )
        # (F, 1, B, H): one direction
        return op.Squeeze(states, op.Constant(value_ints=[1]))  # type: ignore[arg-type]

    return {torch.ops.sermm.gru.default: translate}
