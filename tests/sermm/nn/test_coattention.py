from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from data_modules.errors import ConfigError
from sermm.nn.coattention import CoAttention, CrossAttention
from tests.sermm.nn.padding import assert_padding_is_invisible, random_rows


def by_hand(module: CrossAttention, query: Tensor, states: Tensor, num_heads: int) -> Tensor:
    """One query ``(D,)`` over states ``(L, E)``, head by head, from the same weights."""
    attention = module.attention
    size = len(query)
    query_bias, key_bias, value_bias = attention.in_proj_bias.split(size)
    asked = attention.q_proj_weight @ query + query_bias
    keys = states @ attention.k_proj_weight.T + key_bias
    values = states @ attention.v_proj_weight.T + value_bias
    heads = []
    for head in range(num_heads):
        part = slice(head * size // num_heads, (head + 1) * size // num_heads)
        scores = keys[:, part] @ asked[part] / math.sqrt(size // num_heads)
        shares = torch.exp(scores - scores.max())
        heads.append((shares / shares.sum()) @ values[:, part])
    projected = attention.out_proj.weight @ torch.cat(heads) + attention.out_proj.bias
    return query + projected


@pytest.mark.parametrize("num_heads", [1, 2, 4])
def test_equals_attention_by_hand(num_heads: int) -> None:
    torch.manual_seed(0)
    module = CrossAttention(query_size=8, key_size=5, num_heads=num_heads, dropout=0.3)
    module = module.double().eval()
    for bias in (module.attention.in_proj_bias, module.attention.out_proj.bias):
        torch.nn.init.normal_(bias)  # they start at zero
    query, states = torch.randn(3, 8).double(), torch.randn(3, 6, 5).double()
    lengths = torch.tensor([6, 1, 4])
    got = module(query, states, lengths)
    for row, asked, known, length in zip(got, query, states, lengths.tolist(), strict=True):
        expected = by_hand(module, asked, known[:length], num_heads)
        torch.testing.assert_close(row, expected, atol=1e-12, rtol=0.0)


def test_padding_is_invisible() -> None:
    torch.manual_seed(0)
    module = CrossAttention(query_size=4, key_size=3, num_heads=2, dropout=0.5)

    def ask(module: CrossAttention, states: Tensor, lengths: Tensor) -> Tensor:
        queries = torch.linspace(-1, 1, 4).expand(len(states), -1).to(states.dtype)
        return module(queries, states, lengths)

    assert_padding_is_invisible(module, ask, random_rows(3))


def test_each_modality_asks_the_other() -> None:
    torch.manual_seed(0)
    module = CoAttention(text=(8, 8), speech=(4, 6), num_heads=2).eval()
    tokens, frames = torch.randn(2, 5, 8), torch.randn(2, 7, 6)
    counts, lengths = torch.tensor([5, 3]), torch.tensor([7, 2])
    read, spoken = tokens[:, 0], torch.randn(2, 4)
    joined = module(read, tokens, counts, spoken, frames, lengths)
    assert joined.shape == (2, module.output_size) == (2, 12)
    other = module(read, tokens, counts, spoken, frames + 1, lengths)
    assert not torch.allclose(other[:, :8], joined[:, :8])
    assert torch.equal(other[:, 8:], joined[:, 8:])


def test_heads_that_cannot_share_a_width() -> None:
    with pytest.raises(ConfigError, match=r"model\.attention_heads: expected a divisor of 9"):
        CrossAttention(query_size=9, key_size=3, num_heads=2)
