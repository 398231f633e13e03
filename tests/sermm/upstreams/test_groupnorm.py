"""A group norm over each clip's own length, against that of the clip alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sermm.upstreams.groupnorm import masked_group_norm


def norm_of(groups: int = 6) -> nn.GroupNorm:
    norm = nn.GroupNorm(groups, 6)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm


def batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    values = torch.randn(4, 6, 50) * 3 + 1
    lengths = torch.tensor([50, 2, 17, 49])
    values[torch.arange(50)[None, None] >= lengths[:, None, None].expand(4, 6, 1)] = float("nan")
    return values, lengths


@pytest.mark.parametrize("groups", [6, 2, 1])
@pytest.mark.parametrize("with_gradient", [True, False])
def test_each_clip_as_if_alone(groups: int, with_gradient: bool) -> None:
    values, lengths = batch()
    norm = norm_of(groups)
    with torch.set_grad_enabled(with_gradient):
        found = masked_group_norm(values, lengths, norm)
        for clip, row, length in zip(values, found, lengths.tolist(), strict=True):
            torch.testing.assert_close(
                row[:, :length], norm(clip[None, :, :length])[0], rtol=0, atol=0
            )
            assert not row[:, length:].any()


def test_without_padding_it_is_the_norm() -> None:
    values, norm = batch()[0][:1], norm_of()
    torch.testing.assert_close(
        masked_group_norm(values, torch.tensor([50]), norm), norm(values), rtol=0, atol=0
    )


def test_gradients_are_those_of_the_clips() -> None:
    values, lengths = batch()
    values.requires_grad_()
    norm = norm_of()
    weights = torch.randn(4, 6, 50)
    (masked_group_norm(values, lengths, norm) * weights).sum().backward()
    assert values.grad is not None
    assert norm.weight.grad is not None
    found, scale = values.grad.clone(), norm.weight.grad.clone()
    values.grad = norm.weight.grad = None
    for clip, row, length in zip(values, weights, lengths.tolist(), strict=True):
        (norm(clip[None, :, :length])[0] * row[:, :length]).sum().backward()
    torch.testing.assert_close(found.nan_to_num(), values.grad.nan_to_num(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(scale, norm.weight.grad, rtol=1e-4, atol=1e-4)
    assert found.isfinite().all()
