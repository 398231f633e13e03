from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sermm.nn.recurrent import BiGRU, reverse_by_length
from tests.sermm.nn.padding import (
    NAN,
    assert_padding_is_invisible,
    pad_rows,
    random_rows,
)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_reversal_is_of_the_real_part_and_its_own_inverse(lengths: list[int]) -> None:
    rows = random_rows(2, lengths)
    values, sizes = pad_rows(rows, garbage=7.0)
    reversed_values = reverse_by_length(values, sizes)
    for got, row in zip(reversed_values, rows, strict=True):
        assert torch.equal(got[: len(row)], row.flip(0))
        assert (got[len(row) :] == 7.0).all()
    assert torch.equal(reverse_by_length(reversed_values, sizes), values)


def torch_gru(block: BiGRU, input_size: int, hidden_size: int) -> nn.GRU:
    """PyTorch's own with the same weights."""
    layers = len(block.forwards)
    gru = nn.GRU(input_size, hidden_size, layers, batch_first=True, bidirectional=True)
    weights = {}
    for suffix, directions in (("", block.forwards), ("_reverse", block.backwards)):
        for layer, direction in enumerate(directions):
            for name, weight in direction.named_parameters():
                weights[f"{name.removesuffix('_l0')}_l{layer}{suffix}"] = weight.detach().clone()
    gru.load_state_dict(weights)
    return gru


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("garbage", [NAN, 1e3])
def test_equals_a_packed_gru(num_layers: int, garbage: float) -> None:
    torch.manual_seed(num_layers)
    block = BiGRU(input_size=4, hidden_size=3, num_layers=num_layers).double()
    reference = torch_gru(block, 4, 3).double()
    rows = random_rows(4, dtype=torch.float64)
    values, lengths = pad_rows(rows, garbage=garbage)

    clean, _ = pad_rows(rows, garbage=0.0)
    packed = pack_padded_sequence(clean, lengths, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(reference(packed)[0], batch_first=True)

    got = block(values, lengths)
    assert got.shape == (len(rows), values.shape[1], block.output_size)
    for one, other, length in zip(got, expected, lengths.tolist(), strict=True):
        torch.testing.assert_close(one[:length], other[:length], atol=1e-12, rtol=0.0)

    real = sum((one[:length] ** 2).sum() for one, length in zip(got, lengths, strict=True))
    assert isinstance(real, torch.Tensor)
    real.backward()
    (expected**2).sum().backward()
    ahead, back = block.forwards[0], block.backwards[0]
    for own, theirs in (
        (ahead.weight_hh_l0, reference.weight_hh_l0),
        (back.weight_ih_l0, reference.weight_ih_l0_reverse),
    ):
        torch.testing.assert_close(own.grad, theirs.grad, atol=1e-10, rtol=1e-9)


@pytest.mark.parametrize("num_layers", [1, 3])
def test_padding_is_invisible(num_layers: int) -> None:
    torch.manual_seed(0)
    block = BiGRU(input_size=4, hidden_size=3, num_layers=num_layers, dropout=0.5)
    assert_padding_is_invisible(block, lambda m, x, n: (m(x, n), n), random_rows(4))


def test_dropout_is_between_layers_alone() -> None:
    values, lengths = pad_rows(random_rows(4), garbage=0.0)
    for num_layers, changes in ((1, False), (2, True)):
        torch.manual_seed(0)
        block = BiGRU(input_size=4, hidden_size=3, num_layers=num_layers, dropout=0.5)
        assert torch.equal(block.train()(values, lengths), block(values, lengths)) is not changes
        assert torch.equal(block.eval()(values, lengths), block(values, lengths))
