from __future__ import annotations

import pytest
import torch

from sermm.nn.masking import length_mask
from sermm.nn.pooling import (
    POOLINGS,
    AttentionPooling,
    MeanPooling,
    MeanStdPooling,
    SplitPooling,
)
from tests.sermm.nn.padding import NAN, assert_padding_is_invisible, pad_rows, random_rows


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("garbage", [NAN, 1e30])
def test_padding_is_invisible(name: str, garbage: float) -> None:
    torch.manual_seed(0)
    pooling = POOLINGS[name](input_size=4)
    assert_padding_is_invisible(
        pooling,
        lambda m, x, n: m(x, length_mask(n, x.shape[1])),
        random_rows(4),
        garbage=garbage,
    )


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize(("num_rows", "num_frames", "width"), [(1, 1, 1), (3, 7, 4)])
def test_sizes(name: str, num_rows: int, num_frames: int, width: int) -> None:
    pooling = POOLINGS[name](input_size=width)
    mask = torch.ones(num_rows, num_frames, dtype=torch.bool)
    pooled = pooling(torch.randn(num_rows, num_frames, width), mask)
    assert pooled.shape == (num_rows, pooling.output_size)


def test_mean_and_deviation_by_hand() -> None:
    values = torch.tensor([[[1.0, 0.0], [3.0, 4.0], [50.0, 60.0]]])
    mask = torch.tensor([[True, True, False]])
    assert MeanPooling(input_size=2)(values, mask).tolist() == [[2.0, 2.0]]
    pooled = MeanStdPooling(input_size=2)(values, mask)
    torch.testing.assert_close(pooled, torch.tensor([[2.0, 2.0, 1.0, 2.0]]), atol=1e-5, rtol=0)


def test_attention_by_hand() -> None:
    """One hidden unit that reads the first dimension: weights are softmax(2 tanh(x))."""
    pooling = AttentionPooling(input_size=2, hidden_size=1)
    with torch.no_grad():
        pooling.score[0].weight.copy_(torch.tensor([[1.0, 0.0]]))
        pooling.score[0].bias.zero_()
        pooling.score[2].weight.fill_(2.0)
    values = torch.tensor([[[0.5, 1.0], [-1.0, 2.0], [9.0, 9.0]]])
    mask = torch.tensor([[True, True, False]])
    expected = torch.softmax(2 * torch.tanh(torch.tensor([0.5, -1.0])), dim=0)
    weights = pooling.weights(values, mask)
    torch.testing.assert_close(weights[0, :2], expected)
    assert weights[0, 2] == 0
    torch.testing.assert_close(pooling(values, mask)[0], expected @ values[0, :2])


def test_attention_weights_sum_to_one() -> None:
    values, lengths = pad_rows(random_rows(4))
    weights = AttentionPooling(input_size=4).weights(values, length_mask(lengths, values.shape[1]))
    torch.testing.assert_close(weights.sum(1), torch.ones(len(lengths)))


def test_parts_are_pooled_apart() -> None:
    pooling = SplitPooling(
        sizes=[1, 3], poolings=[MeanStdPooling(input_size=1), MeanPooling(input_size=3)]
    )
    values, lengths = pad_rows(random_rows(4))
    mask = length_mask(lengths, values.shape[1])
    expected = [
        MeanStdPooling(input_size=1)(values[..., :1], mask),
        MeanPooling(input_size=3)(values[..., 1:], mask),
    ]
    torch.testing.assert_close(pooling(values, mask), torch.cat(expected, dim=-1))
    assert pooling.output_size == 5
