"""Late fusion: a missing modality is as if the model had been built without it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from data_modules.batch import Batch
from sermm.nn.standardize import Standardize
from sermm.optim import OptimizerOptions
from sermm.tasks.base import Objective
from sermm.tasks.vectors import LateFusionTask

OPTIMIZER = OptimizerOptions(lr=0.1, pretrained_lr=0.1, weight_decay=0.0, warmup_share=0.0)
SIZES = {"text": 3, "audio": 2, "video": 4}


def task(*names: str, dropout: float = 0.0) -> LateFusionTask:
    torch.manual_seed(0)
    heads = {name: nn.Linear(size, 2) for name, size in SIZES.items()}
    return LateFusionTask(
        vectors={
            n: Standardize(mean=torch.ones(SIZES[n]), std=torch.ones(SIZES[n])) for n in names
        },
        heads={name: heads[name] for name in names},
        modality_dropout=dropout,
        objective=Objective(("a", "b")),
        optimizer=OPTIMIZER,
    )


def batch(num: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(1)
    vectors = {name: torch.randn(num, size, generator=generator) for name, size in SIZES.items()}
    ids = [f"u{k}" for k in range(num)]
    return Batch(ids, ids, torch.zeros(num, dtype=torch.int64), vectors=vectors)


def test_scores_are_means_over_the_modalities_that_are_there() -> None:
    everything, data = task(*SIZES), batch()
    alone = {name: task(name)(data) for name in SIZES}
    torch.testing.assert_close(everything(data), sum(alone.values()) / 3)
    everything.absent = frozenset({"audio"})
    torch.testing.assert_close(everything(data), (alone["text"] + alone["video"]) / 2)
    everything.absent = frozenset({"audio", "text"})
    torch.testing.assert_close(everything(data), alone["video"])
    assert everything.modalities == ("text", "audio", "video")
    assert task("text").modalities == ()


def test_dropout_never_takes_everything_and_only_in_training() -> None:
    model, data = task("text", "audio", dropout=0.9), batch(2000)
    alone = [task(name)(data) for name in ("text", "audio")]
    model.eval()
    torch.testing.assert_close(model(data), (alone[0] + alone[1]) / 2)
    model.train()
    torch.manual_seed(2)
    scores = model(data)
    is_alone = [torch.isclose(scores, one).all(dim=1) for one in alone]
    is_both = torch.isclose(scores, (alone[0] + alone[1]) / 2).all(dim=1)
    assert bool((is_alone[0] | is_alone[1] | is_both).all())
    # both stay with 0.1 * 0.1; each alone with about half of the rest
    assert float(is_both.float().mean()) == pytest.approx(0.01, abs=0.01)
    assert float(is_alone[0].float().mean()) == pytest.approx(0.495, abs=0.04)


def test_vectors_are_standardised_and_needed() -> None:
    model = task("audio")
    data = Batch(["u"], ["s"], torch.tensor([0]), vectors={"audio": torch.ones(1, 2)})
    head = model.heads["audio"]
    assert isinstance(head, nn.Linear)
    torch.testing.assert_close(model(data)[0], head.bias)
    with pytest.raises(ValueError, match="the batch has none"):
        model(Batch(["u"], ["s"], torch.tensor([0])))
