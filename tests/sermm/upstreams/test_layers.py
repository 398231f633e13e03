"""The learned sum over layers."""

from __future__ import annotations

import numpy as np
import torch

from sermm.upstreams import build_speech_upstream
from sermm.upstreams.layers import LayerChoice, WeightedLayerSum, choose_layers


def test_starts_as_the_mean() -> None:
    states = torch.randn(2, 5, 7, 3)
    mixture = WeightedLayerSum(5)
    torch.testing.assert_close(mixture(states), states.mean(dim=1))


def test_weights_are_a_softmax() -> None:
    states, mixture = torch.randn(2, 3, 4, 6), WeightedLayerSum(3)
    with torch.no_grad():
        mixture.weights.copy_(torch.tensor([0.0, 1.0, -2.0]))
    shares = np.exp([0.0, 1.0, -2.0]) / np.exp([0.0, 1.0, -2.0]).sum()
    np.testing.assert_allclose(mixture.shares().detach(), shares, rtol=1e-6)
    expected = sum(share * states[:, k] for k, share in enumerate(shares.tolist()))
    torch.testing.assert_close(mixture(states), expected)
    mixture(states).pow(2).sum().backward()
    assert mixture.weights.grad is not None
    assert mixture.weights.grad.all()


def test_normalised_layers_count_alike() -> None:
    states = torch.randn(2, 2, 4, 16)
    scaled = states * torch.tensor([1.0, 1_000.0])[:, None, None]
    mixture = WeightedLayerSum(2, normalized=True)
    torch.testing.assert_close(mixture(scaled), mixture(states), rtol=0, atol=1e-3)
    assert not torch.allclose(WeightedLayerSum(2)(scaled), WeightedLayerSum(2)(states), atol=1.0)


def test_choices() -> None:
    assert choose_layers("last", 12) == LayerChoice((12,))
    assert choose_layers("9, 3,6", 12) == LayerChoice((3, 6, 9))
    assert choose_layers("mean", 2) == LayerChoice((0, 1, 2), averaged=True)
    assert choose_layers("all", 2).num_layers == 3
    assert choose_layers("mean", 2).num_layers == 1


def test_any_upstream_has_layers() -> None:
    upstream = build_speech_upstream("logmel")
    waveform, lengths = 0.1 * torch.randn(2, 5_000), torch.tensor([5_000, 3_000])
    features, frames = upstream.layers(waveform, lengths), upstream(waveform, lengths)
    assert torch.equal(features.states[:, 0], frames.frames)
    assert torch.equal(features.lengths, frames.lengths)
    assert upstream.num_layers == features.states.shape[1] == 1
