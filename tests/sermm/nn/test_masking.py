from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sermm.nn.masking import (
    clear_padding,
    length_mask,
    masked_mean,
    masked_softmax,
    masked_std,
)
from tests.sermm.nn.padding import LENGTHS, NAN, pad_rows, random_rows


def padded() -> tuple[list[Tensor], Tensor, Tensor]:
    rows = random_rows(4)
    values, lengths = pad_rows(rows, garbage=NAN)
    return rows, values, length_mask(lengths, values.shape[1])


def test_length_mask() -> None:
    mask = length_mask(torch.tensor([0, 1, 3]), 3)
    assert mask.tolist() == [[False, False, False], [True, False, False], [True, True, True]]


def test_clear_padding() -> None:
    rows, values, mask = padded()
    values.requires_grad_()
    cleared = clear_padding(values, mask)
    for got, row in zip(cleared, rows, strict=True):
        assert torch.equal(got[: len(row)], row)
        assert not got[len(row) :].any()
    (gradient,) = torch.autograd.grad((cleared**2).sum(), values)
    assert not gradient[~mask].any()


@pytest.mark.parametrize("garbage", [NAN, float("inf"), 1e30, 0.0])
def test_mean_and_deviation_of_the_real_part(garbage: float) -> None:
    rows = random_rows(4)
    values, lengths = pad_rows(rows, garbage=garbage)
    values.requires_grad_()
    mask = length_mask(lengths, values.shape[1])
    mean, std = masked_mean(values, mask), masked_std(values, mask, floor=1e-5)
    torch.testing.assert_close(mean, torch.stack([row.mean(0) for row in rows]))
    expected = torch.stack([(row.var(0, correction=0) + 1e-5).sqrt() for row in rows])
    torch.testing.assert_close(std, expected)
    (gradient,) = torch.autograd.grad((mean + std).sum(), values)
    assert torch.isfinite(gradient).all()
    assert not gradient[~mask].any()


def test_a_clip_of_one_frame_has_a_slope() -> None:
    values = torch.randn(1, 1, 3, requires_grad=True)
    std = masked_std(values, torch.ones(1, 1, dtype=torch.bool))
    torch.testing.assert_close(std, torch.full((1, 3), 1e-5).sqrt())
    (gradient,) = torch.autograd.grad(std.sum(), values)
    assert torch.isfinite(gradient).all()


def test_a_row_without_anything_real() -> None:
    mask = torch.zeros(1, 3, dtype=torch.bool)
    values = torch.full((1, 3, 2), NAN)
    assert not masked_mean(values, mask).any()
    assert not masked_softmax(values[..., 0], mask).any()


def test_softmax_over_the_real_part() -> None:
    rows, values, mask = padded()
    weights = masked_softmax(values[..., 0], mask)
    for got, row in zip(weights, rows, strict=True):
        torch.testing.assert_close(got[: len(row)], torch.softmax(row[:, 0], dim=0))
        assert not got[len(row) :].any()
    torch.testing.assert_close(weights.sum(1), torch.ones(len(LENGTHS)))
    across = masked_softmax(values.transpose(0, 1)[..., 0], mask.transpose(0, 1), dim=0)
    torch.testing.assert_close(across.transpose(0, 1), weights)
