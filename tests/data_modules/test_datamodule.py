from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from data_modules.datamodule import EmotionDataModule
from data_modules.dataset import FrameSource, UtteranceDataset
from data_modules.manifest import Utterance

SOURCE = FrameSource(
    lambda u: np.full((round(u.duration_s * 50), 2), float(u.id[1:]), dtype=np.float32),
    dim=2,
    stride_s=0.02,
    first_center_s=0.01,
)


def part(first: int, count: int) -> UtteranceDataset:
    utterances = [
        Utterance(f"u{k}", "made", start_s=0.0, end_s=0.02 + 0.02 * (k % 7))
        for k in range(first, first + count)
    ]
    targets = {u.id: k % 4 for k, u in enumerate(utterances)}
    return UtteranceDataset(utterances=utterances, targets=targets, frames=SOURCE)


def module(num_workers: int = 0, eval_batch_size: int = 4, seed: int = 0) -> EmotionDataModule:
    return EmotionDataModule(
        train=part(0, 21),
        val=part(100, 9),
        test=part(200, 10),
        batch_size=4,
        eval_batch_size=eval_batch_size,
        num_workers=num_workers,
        seed=seed,
    )


def ids(loader: object) -> list[list[str]]:
    return [batch.utterance_ids for batch in loader]  # type: ignore[attr-defined]


def test_an_epoch_has_every_training_utterance_once() -> None:
    data = module()
    batches = ids(data.train_dataloader())
    assert Counter(name for batch in batches for name in batch) == {f"u{k}": 1 for k in range(21)}
    assert sorted(map(len, batches)) == [1, 4, 4, 4, 4, 4]


@pytest.mark.parametrize("eval_batch_size", [1, 4, 100])
def test_evaluation_is_in_order(eval_batch_size: int) -> None:
    data = module(eval_batch_size=eval_batch_size)
    for loader, first, count in (
        (data.val_dataloader(), 100, 9),
        (data.test_dataloader(), 200, 10),
    ):
        batches = ids(loader)
        assert [name for batch in batches for name in batch] == [
            f"u{k}" for k in range(first, first + count)
        ]
        assert max(map(len, batches)) == min(eval_batch_size, count)


def test_the_order_of_training_follows_seed_and_epoch() -> None:
    data, twin, other = module(), module(), module(seed=1)
    first = ids(data.train_dataloader())
    torch.manual_seed(5)  # nor what else is drawn
    assert ids(twin.train_dataloader()) == first
    assert ids(other.train_dataloader()) != first
    data.sampler.set_epoch(1)
    assert ids(data.train_dataloader()) != first


def test_workers_read_the_same_batches() -> None:
    alone, helped = module(), module(num_workers=2)
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        here, there = list(getattr(alone, name)()), list(getattr(helped, name)())
        assert [b.utterance_ids for b in here] == [b.utterance_ids for b in there]
        for mine, theirs in zip(here, there, strict=True):
            torch.testing.assert_close(mine.frames, theirs.frames, rtol=0, atol=0)
            torch.testing.assert_close(mine.targets, theirs.targets, rtol=0, atol=0)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_loading_draws_nothing_from_the_common_generator(num_workers: int) -> None:
    """A loader seeds its workers when it starts; that would shift dropout by the worker count."""
    data = module(num_workers=num_workers)
    state = torch.get_rng_state()
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        list(loader)
        list(loader)
    assert torch.equal(torch.get_rng_state(), state)
