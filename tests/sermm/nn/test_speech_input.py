from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from data_modules.batch import Batch
from sermm.nn.speech_input import CachedFrames, TrainedFrames
from sermm.nn.standardize import Standardize
from tests.sermm.nn.padding import assert_padding_is_invisible, pad_rows, random_rows
from tests.sermm.upstreams.speech_models import Models, padded, voice

SIZES = (400, 4_321, 2_000)


def cached(frames: Tensor, lengths: Tensor) -> Batch:
    names = [""] * len(lengths)
    return Batch(names, names, torch.zeros(len(lengths)), frames=frames, frame_lengths=lengths)


def heard(waveform: Tensor, lengths: Tensor) -> Batch:
    names = [""] * len(lengths)
    targets = torch.zeros(len(lengths))
    return Batch(names, names, targets, waveform=waveform, waveform_lengths=lengths)


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("standardized", [False, True])
def test_cached_frames_do_not_see_padding(
    num_layers: int, normalized: bool, standardized: bool
) -> None:
    size = 4 * num_layers
    known = Standardize(mean=torch.linspace(-1, 1, size), std=torch.linspace(0.5, 2, size))
    module = CachedFrames(
        frame_dim=4,
        num_layers=num_layers,
        standardize=known if standardized else None,
        normalized=normalized,
    )
    assert_padding_is_invisible(module, lambda m, x, n: m(cached(x, n)), random_rows(size))


def test_layers_are_mixed_by_what_is_learned() -> None:
    module = CachedFrames(frame_dim=2, num_layers=2)
    frames, lengths = torch.randn(1, 3, 4), torch.tensor([3])
    assert module.mix.mix is not None
    with torch.no_grad():
        module.mix.mix.weights.copy_(torch.tensor([0.0, 1.0]))
    low, high = 1 / (1 + torch.e), torch.e / (1 + torch.e)
    # values of the first layer come first in a row
    expected = low * frames[..., :2] + high * frames[..., 2:]
    torch.testing.assert_close(module(cached(frames, lengths))[0], expected)


def test_frames_without_preparation_are_those_of_the_cache() -> None:
    frames, lengths = pad_rows(random_rows(4), garbage=0.0)
    got, same = CachedFrames(frame_dim=4)(cached(frames, lengths))
    assert torch.equal(got, frames)
    assert torch.equal(same, lengths)


@pytest.mark.parametrize("layers", ["last", "all"])
@pytest.mark.parametrize("normalized", [False, True])
def test_a_trained_upstream_gives_the_frames_of_each_clip_alone(
    models: Models, layers: str, normalized: bool
) -> None:
    upstream = models.load("wav2vec2, group norm", layers=layers)
    module = TrainedFrames(upstream, normalized=normalized).eval()
    clips = [voice(size, seed) for seed, size in enumerate(SIZES)]
    with torch.no_grad():
        frames, lengths = module(heard(*padded(clips)))
        states = upstream.layers(*padded(clips)).states
    assert lengths.tolist() == [upstream.num_frames(size) for size in SIZES]
    if normalized:
        states = layer_norm(states, states.shape[-1:])
    torch.testing.assert_close(frames, states.mean(dim=1))
    for row, clip, length in zip(frames, clips, lengths.tolist(), strict=True):
        with torch.no_grad():
            alone, _ = module(heard(*padded([clip])))
        torch.testing.assert_close(row[:length], alone[0], atol=1e-4, rtol=0.0)
        assert not row[length:].any()


def test_an_upstream_is_trained_with_its_dropout(models: Models) -> None:
    module = TrainedFrames(models.load("wav2vec2, layer norm"))
    assert module.upstream.training


def test_a_batch_without_what_is_read() -> None:
    with pytest.raises(ValueError, match="acoustic frames and the batch has none"):
        CachedFrames(frame_dim=2)(heard(torch.zeros(1, 2), torch.tensor([2])))
