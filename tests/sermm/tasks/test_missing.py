"""Fusions that do without speech or text: exact when off, honest about what they read."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from data_modules.batch import collate
from sermm.tasks.fusion import FusionTask
from tests.sermm.tasks.tiny import random_samples, tiny_config, tiny_task, with_garbage

SIZES = [(6, 4), (21, 5), (3, 12)]
NAMES = ["fusion by span", "fusion by span, convolutions", "fusion by attention"]
NAMES = [*NAMES, "fusion without alignment"]
FIELDS = {
    "speech": ("frames", "token_spans"),
    "text": ("input_ids", "token_spans", "word_mask"),
}


def able_task(name: str) -> FusionTask:
    task = tiny_task(tiny_config(name, modality_dropout=0.5))
    assert isinstance(task, FusionTask)
    return task


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("absent", ["speech", "text"])
def test_what_is_absent_is_neither_read_nor_needed(name: str, absent: str) -> None:
    samples = random_samples(tiny_config(name), SIZES)
    task = able_task(name).eval()
    assert task.modalities == ("speech", "text")
    both = task(collate(samples))
    task.absent = frozenset({absent})
    scores = task(collate(samples))
    assert not torch.allclose(scores, both)
    without = [replace(sample, **dict.fromkeys(FIELDS[absent])) for sample in samples]
    torch.testing.assert_close(task(collate(without)), scores)
    # alone, and padded with anything
    for row, sample in enumerate(without):
        torch.testing.assert_close(task(collate([sample]))[0], scores[row])
    torch.testing.assert_close(task(with_garbage(without)), scores)


@pytest.mark.parametrize("name", NAMES)
def test_training_rows_are_as_the_model_without_that_modality(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = able_task(name)
    for module in task.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for attribute in ("attention_probs_dropout_prob", "dropout_prob"):
            if hasattr(module, attribute):
                setattr(module, attribute, 0.0)
    batch = collate(random_samples(tiny_config(name), SIZES))
    present = torch.tensor([[True, False, True], [True, True, False]])
    monkeypatch.setattr("sermm.tasks.fusion.draw_present", lambda *_: present)
    task.eval()
    expected = {}
    for row, absent in enumerate((set(), {"speech"}, {"text"})):
        task.absent = frozenset(absent)
        expected[row] = task(batch)[row]
    task.absent = frozenset()
    # evaluation mode of every part, training of the whole
    task.training = True
    scores = task(batch)
    for row, value in expected.items():
        torch.testing.assert_close(scores[row], value)
    scores.sum().backward()
    lacking = [
        key
        for key, value in task.named_parameters()
        if value.grad is None or not value.grad.isfinite().all()
    ]
    assert not lacking


@pytest.mark.parametrize("name", NAMES)
def test_without_dropout_of_modalities_nothing_is_there_for_it(name: str) -> None:
    task = tiny_task(tiny_config(name))
    assert task.modalities == ()
    assert not [key for key in task.state_dict() if key.startswith("no_")]
    task.absent = frozenset({"text"})
    with pytest.raises(ValueError, match="not trained to do without text"):
        task.eval()(collate(random_samples(tiny_config(name), SIZES)))
