"""Linear layers by oneDNN on a CPU.

``torch.nn.functional.linear`` takes float32 to MKL, which leaves the wide vector units of an AMD
processor unused; oneDNN, which torch brings along for convolutions and half precision, does not.
Measured on one core of an EPYC with AVX-512: 210 against 98 GFLOP/s at the sizes of a base model,
forward and backward (``benchmarks/results/linear.md``). The sums are the same up to their order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def use_onednn(module: nn.Module) -> None:
    """Let every plain linear layer in a module compute by oneDNN where torch has it.

    Names and weights stay as they are. Half precision, other devices, and what is traced or
    compiled go the usual way.

    Args:
        module: An encoder; parts with a class of their own are left alone.
    """
    has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not (has_onednn and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return
    for part in module.modules():
        if type(part) is nn.Linear:
            part.__class__ = OneDnnLinear


class OneDnnLinear(nn.Linear):
    """A linear layer that computes by oneDNN in float32 on a CPU."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        """As ``nn.Linear``: ``(..., in)`` to ``(..., out)``."""
        if (
            input.device.type != "cpu"
            or input.dtype != torch.float32
            or self.weight.dtype != torch.float32
            or not input.numel()
            or torch.is_autocast_enabled("cpu")
            or torch.compiler.is_compiling()
            or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        ):
            return super().forward(input)
        trained = (input, *self.parameters())
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in trained):
            rows = input.reshape(-1, self.in_features)
            product: Tensor = _Product.apply(rows, self.weight, self.bias)  # type: ignore[no-untyped-call]
            # a view made outside of the function may be changed in place, as DeBERTa does
            return product.view(*input.shape[:-1], self.out_features)
        return _product(input, self.weight, self.bias)


def _product(values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``values @ weight.T + bias``."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(values, weight, bias, "none", [], "")
    return product


class _Product(torch.autograd.Function):
    """The product ``(R, in)`` to ``(R, out)`` and its gradients, each by oneDNN."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(values, weight)
        return _product(values, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        values, weight = ctx.saved_tensors
        of_values = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_values = _product(gradient, weight.t(), None)
        if ctx.needs_input_grad[1]:
            of_weight = _product(gradient.t(), values.t(), None)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum(0)
        return of_values, of_weight, of_bias
