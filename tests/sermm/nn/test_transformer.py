from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sermm.nn.stacking import FrameStacking
from sermm.nn.transformer import FrameTransformer, sinusoids


def transformer() -> FrameTransformer:
    torch.manual_seed(0)
    return FrameTransformer(
        input_size=3, width=8, num_layers=2, num_heads=2, feedforward=16, dropout=0.1
    ).eval()


def test_positions_by_hand() -> None:
    found = sinusoids(3, 4)
    assert found.shape == (3, 4)
    expected = [math.sin(2), math.cos(2), math.sin(2 / 100), math.cos(2 / 100)]
    torch.testing.assert_close(found[2], torch.tensor(expected))


@settings(max_examples=25)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 3))
def test_states_do_not_depend_on_the_padding(lengths: list[int], more: int) -> None:
    model = transformer()
    values = torch.full((len(lengths), max(lengths) + more, 3), torch.nan)
    for row, length in enumerate(lengths):
        values[row, :length] = torch.randn(length, 3)
    with torch.no_grad():
        together = model(values, torch.tensor(lengths))
        for row, length in enumerate(lengths):
            alone = model(values[row : row + 1, :length], torch.tensor([length]))
            torch.testing.assert_close(together[row, :length], alone[0], atol=1e-5, rtol=0)


def test_states_of_every_layer_stand_side_by_side() -> None:
    model, lengths = transformer(), torch.tensor([4, 2])
    values = torch.randn(2, 4, 3)
    seen: list[torch.Tensor] = []
    model.layers[0].register_forward_hook(lambda layer, given, states: seen.append(states))
    last = model(values, lengths)
    model.every_layer = True
    every = model(values, lengths)
    assert every.shape == (2, 4, 16)
    assert torch.equal(every[..., :8], seen[0])
    assert torch.equal(every[..., 8:], last)


def test_order_matters_and_gradient_reaches_all_weights() -> None:
    model = transformer()
    values = torch.randn(1, 5, 3)
    states = model(values, torch.tensor([5]))
    assert not torch.allclose(states[0, 0], model(values.flip(1), torch.tensor([5]))[0, 4])
    (states**3).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@given(st.integers(1, 5), st.lists(st.integers(1, 11), min_size=1, max_size=3))
def test_stacking_comes_apart_again(per_step: int, lengths: list[int]) -> None:
    stacking = FrameStacking(input_size=2, frames_per_step=per_step)
    frames = torch.randn(len(lengths), max(lengths), 2)
    steps, counts = stacking(frames, torch.tensor(lengths))
    assert steps.shape == (len(lengths), -(-max(lengths) // per_step), 2 * per_step)
    assert counts.tolist() == [-(-length // per_step) for length in lengths]
    back = stacking.unstack(steps, max(lengths))
    for row, length in enumerate(lengths):
        assert torch.equal(back[row, :length], frames[row, :length])
        assert back[row, length:].abs().sum() == 0
    spans = torch.tensor([[0, 1], [0, max(lengths)], [1, 1]])
    assert stacking.scale_spans(spans).tolist()[:2] == [[0, 1], [0, steps.shape[1]]]
