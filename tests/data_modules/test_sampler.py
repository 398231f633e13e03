from __future__ import annotations

import random
from itertools import pairwise

import lightning as L
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import DataLoader

from data_modules.errors import ConfigError
from data_modules.sampler import BudgetBatchSampler, LengthBatchSampler


def sampler(num: int = 1000, *, batch_size: int = 16, seed: int = 0) -> LengthBatchSampler:
    return LengthBatchSampler(speech_lengths(num), batch_size=batch_size, seed=seed)


def speech_lengths(num: int) -> list[float]:
    """Seconds of utterances in a dialogue: median 3.6, from 0.6 to about 30."""
    generator = random.Random(0)
    return [min(max(generator.lognormvariate(1.28, 0.65), 0.6), 34.0) for _ in range(num)]


def epoch(batches: LengthBatchSampler, number: int) -> list[list[int]]:
    batches.set_epoch(number)
    return list(batches)


@given(
    lengths=st.lists(st.floats(0, 100), max_size=100),
    batch_size=st.integers(1, 20),
    pool_batches=st.integers(1, 4),
    seed=st.integers(0, 10),
)
def test_every_sample_once_in_full_batches(
    lengths: list[float], batch_size: int, pool_batches: int, seed: int
) -> None:
    batches = LengthBatchSampler(
        lengths, batch_size=batch_size, seed=seed, pool_batches=pool_batches
    )
    for number in (0, 7):
        drawn = epoch(batches, number)
        assert sorted(i for batch in drawn for i in batch) == list(range(len(lengths)))
        assert len(drawn) == len(batches)
        sizes = sorted((len(batch) for batch in drawn), reverse=True)
        assert all(size == batch_size for size in sizes[:-1])
        assert all(0 < size <= batch_size for size in sizes)


def test_order_follows_from_seed_and_epoch_alone() -> None:
    one, other = sampler(), sampler()
    fourth = epoch(one, 4)
    epoch(one, 5)
    random.seed(1)
    torch.manual_seed(1)
    assert epoch(one, 4) == fourth == epoch(other, 4)


def test_order_differs_between_epochs_and_seeds() -> None:
    orders = [
        epoch(sampler(seed=seed), number) for seed, number in ((0, 0), (0, 1), (1, 0), (0, 10))
    ]
    as_text = {str(order) for order in orders}
    assert len(as_text) == len(orders)
    # not only the order of the batches: their members too
    members = [{frozenset(batch) for batch in order} for order in orders]
    assert len(members[0] & members[1]) < 0.05 * len(members[0])


def test_long_and_short_batches_are_mixed() -> None:
    batches, lengths = sampler(), speech_lengths(1000)
    means = [sum(lengths[i] for i in batch) / len(batch) for batch in epoch(batches, 0)]
    rising = sum(a < b for a, b in pairwise(means))
    assert 0.3 < rising / len(means) < 0.7


def padding_share(batches: list[list[int]], lengths: list[float]) -> float:
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    return 1 - sum(lengths) / padded


def test_there_is_little_padding() -> None:
    lengths = speech_lengths(2000)
    order = list(range(2000))
    random.Random(0).shuffle(order)
    at_random = [order[i : i + 32] for i in range(0, 2000, 32)]
    batches = LengthBatchSampler(lengths, batch_size=32, seed=0)
    assert padding_share(at_random, lengths) > 0.6
    assert padding_share(epoch(batches, 0), lengths) < 0.3
    larger_pools = LengthBatchSampler(lengths, batch_size=32, seed=0, pool_batches=16)
    assert padding_share(epoch(larger_pools, 0), lengths) < 0.15


class Recorder(L.LightningModule):
    """Notes which samples it sees in each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.seen: dict[int, list[list[int]]] = {}

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.seen.setdefault(self.current_epoch, []).append([int(i) for i in batch[:, 0]])
        loss: Tensor = self.layer(batch).sum()
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


# https://github.com/Lightning-AI/pytorch-lightning/issues/21326
@pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.filterwarnings("ignore:.*is smaller than the logging interval.*")
def test_the_trainer_counts_the_epochs() -> None:
    """Else each epoch would have the order of the first."""
    batches = sampler(20, batch_size=4)
    expected = {number: epoch(sampler(20, batch_size=4), number) for number in range(3)}
    module = Recorder()
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    numbers = torch.arange(20, dtype=torch.float32).unsqueeze(1)
    trainer.fit(module, DataLoader(numbers, batch_sampler=batches))
    assert module.seen == expected
    assert module.seen[0] != module.seen[1] != module.seen[2]


# --- by cost


@given(
    lengths=st.lists(st.floats(0.1, 30), min_size=8, max_size=120),
    budget=st.floats(5, 100),
    num_ranks=st.integers(1, 4),
    pool_size=st.integers(5, 60),
    seed=st.integers(0, 5),
)
def test_ranks_share_each_epoch_in_step_and_within_the_budget(
    lengths: list[float], budget: float, num_ranks: int, pool_size: int, seed: int
) -> None:
    try:
        ranks = [
            BudgetBatchSampler(
                lengths,
                budget=budget,
                seed=seed,
                num_epochs=4,
                rank=rank,
                num_ranks=num_ranks,
                pool_size=pool_size,
            )
            for rank in range(num_ranks)
        ]
    except ConfigError:
        # hardly more samples than ranks, which has a test of its own
        assume(False)
    counts = set()
    for number in range(4):
        for one in ranks:
            one.set_epoch(number)
        drawn = [list(one) for one in ranks]
        counts |= {len(batches) for batches in drawn} | {len(one) for one in ranks}
        batches = [batch for own in drawn for batch in own]
        assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
        assert all(len(batch) == 1 or ranks[0].cost(batch) <= budget + 1e-9 for batch in batches)
    # the same number on every rank in every epoch
    assert len(counts) == 1


def test_batches_by_cost_hardly_pad_and_cost_about_the_same() -> None:
    lengths = speech_lengths(5000)
    batches = BudgetBatchSampler(lengths, budget=80, seed=0, num_epochs=3)
    costs = [batches.cost(batch) for batch in batches]
    assert 1 - sum(lengths) / sum(costs) < 0.03
    assert max(costs) < 1.2 * sum(costs) / len(costs)
    first = list(batches)
    assert list(batches) == first
    batches.set_epoch(1)
    assert list(batches) != first


def test_more_ranks_than_utterances() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.devices: .* got 3 for 4 batches"):
        BudgetBatchSampler([1.0, 2.0, 3.0], budget=10, seed=0, num_epochs=1, num_ranks=4)
