"""An utterance has one answer, alone or with any others in its batch."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from data_modules.batch import Batch, Sample, collate
from sermm.tasks.base import EmotionTask
from sermm.upstreams.encoded import EncoderUpstream
from tests.sermm.tasks.tiny import (
    TASKS,
    TRAINED,
    random_samples,
    tiny_config,
    tiny_task,
    with_garbage,
)

# (frames, word pieces): one of each upwards, odd and even, long words with few pieces and back
SIZES = [(1, 1), (2, 3), (7, 2), (12, 5), (12, 9), (9, 4), (1, 6), (17, 1)]
POOLINGS = ("attention", "mean", "mean_std", "ecapa")


def in_double(sample: Sample) -> Sample:
    frames = None if sample.frames is None else sample.frames.double()
    return replace(sample, frames=frames)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_scores_do_not_depend_on_the_batch(name: str, pooling: str) -> None:
    config = tiny_config(name, pooling=pooling, recurrent_layers=2)
    task = tiny_task(config).eval()
    samples = random_samples(config, SIZES)
    with torch.no_grad():
        if name == "linear":
            torch.nn.init.normal_(task.linear.weight)  # zeros would hide everything
        together = task(with_garbage(samples))
        assert together.shape == (len(SIZES), 3)
        for sample, scores in zip(samples, together, strict=True):
            torch.testing.assert_close(scores, task(collate([sample]))[0], atol=1e-5, rtol=0.0)
    # and they differ between utterances, else the above says nothing
    assert (together.std(0) > 1e-4).all()


def test_a_projection_pooled_and_scored_is_a_linear_model_of_each_frame() -> None:
    """SUPERB's downstream: the mean of linear layers is a linear layer of the mean."""
    config = tiny_config(
        "acoustic", pooling="mean", projection=7, recurrent_layers=0, head_hidden=0, dropout=0.0
    )
    task = tiny_task(config).train()
    assert {name: tuple(p.shape) for name, p in task.named_parameters()} == {
        "encoder.projection.weight": (7, 4),
        "encoder.projection.bias": (7,),
        "head.layers.1.weight": (3, 7),
        "head.layers.1.bias": (3,),
    }
    samples = random_samples(config, SIZES)
    project, score = task.encoder.projection, task.head.layers[1]
    known = task.encoder.source.standardize
    means, deviations = known.mean, known.std
    for sample, scores in zip(samples, task(with_garbage(samples)), strict=True):
        assert sample.frames is not None
        expected = score(project((sample.frames - means) / deviations).mean(0))
        torch.testing.assert_close(scores, expected)


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(1, 12)), min_size=1, max_size=4),
    st.integers(0, 100),
)
def test_scores_of_aligned_fusion_at_any_length(sizes: list[tuple[int, int]], seed: int) -> None:
    config = tiny_config("fusion by span, convolutions")
    task = tiny_task(config).eval()
    samples = random_samples(config, sizes, seed=seed)
    with torch.no_grad():
        together = task(with_garbage(samples))
        alone = torch.cat([task(collate([sample])) for sample in samples])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0.0)


def gradients(task: EmotionTask, batch: Batch) -> dict[str, Tensor | None]:
    """Of the sum over utterances of something that depends on every score."""
    task.zero_grad()
    (task(batch) ** 2).sum().backward()
    return {name: p.grad for name, p in task.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("name", TASKS)
def test_gradients_do_not_depend_on_the_batch(name: str) -> None:
    config = tiny_config(name)
    task = deepcopy(tiny_task(config)).eval()
    samples = random_samples(config, SIZES)
    tolerance = 1e-3  # an upstream gives float32 whatever its weights are
    if not name.endswith(TRAINED):
        tolerance = 1e-9
        task, samples = task.double(), [in_double(sample) for sample in samples]
    together = gradients(task, with_garbage(samples))
    alone = [gradients(task, collate([sample])) for sample in samples]
    assert together
    for parameter, gradient in together.items():
        parts = [single[parameter] for single in alone]
        assert gradient is not None
        expected = sum(part for part in parts if part is not None)
        assert isinstance(expected, Tensor)
        error = (gradient - expected).norm() / expected.norm().clamp(min=1e-3)
        assert error < tolerance, parameter


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("frozen", [False, True])
def test_gradient_reaches_what_should_train_and_nothing_else(name: str, frozen: bool) -> None:
    config = tiny_config(name, frozen=frozen, pooling="attention")
    task = tiny_task(config).eval()
    batch = with_garbage(random_samples(config, SIZES))
    before = {key: value.clone() for key, value in task.state_dict().items()}
    task.output(task(batch), batch).backward()
    parts = task.pretrained()
    kept = set()
    if frozen and "text" in parts:
        kept |= {id(p) for p in parts["text"].parameters()}
    if frozen and (upstream := parts.get("speech")) is not None:
        assert isinstance(upstream, EncoderUpstream)
        front = upstream.encoder.front()
        assert front is not None
        kept |= {id(p) for p in front.parameters()}
    # attention keys have a bias that softmax cannot see
    invisible = ("attention.self.key.bias", "attention.k_proj.bias")
    for parameter_name, parameter in task.named_parameters():
        if id(parameter) in kept:
            assert not parameter.requires_grad
            assert parameter.grad is None, parameter_name
        else:
            assert parameter.requires_grad
            assert parameter.grad is not None, parameter_name
            assert torch.isfinite(parameter.grad).all()
            if not parameter_name.endswith(invisible):
                assert parameter.grad.abs().max() > 1e-7, parameter_name
    for key, value in task.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize("name", TASKS)
def test_training_is_random_and_leaves_the_batch_alone(name: str) -> None:
    config = tiny_config(name)
    task = tiny_task(config).train()
    batch = with_garbage(random_samples(config, SIZES))
    before = deepcopy(batch)
    torch.manual_seed(1)
    first = task(batch)
    assert torch.isfinite(first).all()
    torch.manual_seed(1)
    assert torch.equal(task(batch), first)
    if name != "linear":
        assert not torch.equal(task(batch), first)
    for field in fields(Batch):
        value, old = getattr(batch, field.name), getattr(before, field.name)
        if isinstance(value, Tensor):
            torch.testing.assert_close(value, old, equal_nan=True)
