"""Rows alone and padded in a batch: what every block must not tell apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

# From one frame upwards, odd and even, equal ones and a longest that is not alone.
LENGTHS = (5, 1, 8, 2, 3, 8, 7)
NAN = float("nan")

# A module, values (B, F, D) and lengths (B,) to (B, E), or to (B, F', E) with lengths (B,).
Run = Callable[[Any, Tensor, Tensor], Tensor | tuple[Tensor, Tensor]]


def random_rows(
    width: int, lengths: Sequence[int] = LENGTHS, *, seed: int = 0, dtype: torch.dtype | None = None
) -> list[Tensor]:
    """One ``(F, D)`` for each length."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, width, generator=generator).to(dtype) for length in lengths]


def pad_rows(
    rows: Sequence[Tensor], *, garbage: float = NAN, extra: int = 3
) -> tuple[Tensor, Tensor]:
    """``(B, F, D)`` with garbage in the padding, longer than any row, and lengths ``(B,)``."""
    longest = max(len(row) for row in rows) + extra
    values = torch.full((len(rows), longest, rows[0].shape[1]), garbage, dtype=rows[0].dtype)
    for value, row in zip(values, rows, strict=True):
        value[: len(row)] = row
    return values, torch.tensor([len(row) for row in rows])


def _real_parts(output: Tensor | tuple[Tensor, Tensor]) -> list[Tensor]:
    if isinstance(output, Tensor):
        return list(output)
    values, lengths = output
    return [value[:length] for value, length in zip(values, lengths.tolist(), strict=True)]


def _gradients(module: nn.Module, parts: list[Tensor]) -> dict[str, Tensor]:
    parameters = dict(module.named_parameters())
    total = sum((part**2).sum() for part in parts)
    assert isinstance(total, Tensor)
    gradients = torch.autograd.grad(total, list(parameters.values()))
    return dict(zip(parameters, gradients, strict=True))


def assert_padding_is_invisible(
    module: nn.Module, run: Run, rows: Sequence[Tensor], *, garbage: float = NAN
) -> None:
    """The same outputs to 1e-5, and the same gradients of the parameters, alone and in a batch."""
    module.eval()
    with torch.no_grad():
        together = _real_parts(run(module, *pad_rows(rows, garbage=garbage)))
        for row, got in zip(rows, together, strict=True):
            (alone,) = _real_parts(run(module, *pad_rows([row], extra=0)))
            assert got.shape == alone.shape
            assert torch.isfinite(alone).all()
            torch.testing.assert_close(got, alone, atol=1e-5, rtol=0.0)

    if not list(module.parameters()):
        return
    # in double precision, so that an order of summation cannot be taken for a leak
    exact = deepcopy(module).double()
    rows = [row.double() for row in rows]
    whole = _gradients(exact, _real_parts(run(exact, *pad_rows(rows, garbage=garbage))))
    alone = [_gradients(exact, _real_parts(run(exact, *pad_rows([row], extra=0)))) for row in rows]
    for name, gradient in whole.items():
        expected = torch.stack([single[name] for single in alone]).sum(0)
        torch.testing.assert_close(gradient, expected, atol=1e-9, rtol=1e-9, msg=name)
        assert gradient.abs().max() > 1e-9, f"{name} learns nothing"
