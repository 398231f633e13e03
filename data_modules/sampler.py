"""Training batches of clips of like length, shuffled anew each epoch by seed and epoch alone.

Two ways to say how large a batch is: by number of utterances, or by what it costs, its padded
length. Utterances of one to thirty seconds make batches of a number that differ eightfold in cost,
so memory is sized for the rarest and other ranks wait for it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

from data_modules.errors import ConfigError


class LengthBatchSampler(Sampler[list[int]]):
    """Shuffle, sort pools of batches by length, cut into batches, shuffle the batches.

    Of the arithmetic on randomly drawn batches of 32 utterances of dialogue (median 3.6 s, long
    tail) two thirds are padding. Sorting within pools of 8 batches leaves a quarter, of 16 an
    eighth, and members of a batch still change from epoch to epoch.

    Several ranks deal each batch of ``num_ranks * batch_size`` among themselves: their updates are
    those of one process with batches as large as that. Too few samples for all ranks at the end of
    an epoch join another batch, so nothing is repeated and nothing dropped.

    Args:
        lengths: Length of each sample, in any unit.
        batch_size: Samples a batch on one rank; the last batch of an epoch may be smaller.
        seed: With the epoch it decides the order.
        rank: Which rank this is.
        num_ranks: How many there are.
        pool_batches: Batches in a pool. More means less padding and less randomness.

    Raises:
        ConfigError: There are fewer samples than ranks.
    """

    def __init__(
        self,
        lengths: Sequence[float],
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        num_ranks: int = 1,
        pool_batches: int = 16,
    ) -> None:
        if lengths:
            expect_enough(len(lengths), num_ranks, "training")
        self.lengths = list(lengths)
        self.batch_size = batch_size * num_ranks
        self.seed = seed
        self.rank = rank
        self.num_ranks = num_ranks
        self.pool_size = self.batch_size * pool_batches
        self.epoch = 0

    @property
    def sampler(self) -> LengthBatchSampler:
        """Itself: Lightning looks for ``set_epoch`` on a batch sampler's sampler alone."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; the trainer calls this before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(len(self.lengths), self.batch_size)
        return whole + (rest >= self.num_ranks or (not whole and rest > 0))

    def __iter__(self) -> Iterator[list[int]]:
        return iter([batch[self.rank :: self.num_ranks] for batch in self.all_batches()])

    def all_batches(self) -> list[list[int]]:
        """Batches of the epoch for all ranks together."""
        generator = random.Random(f"{self.seed}-{self.epoch}")
        order = list(range(len(self.lengths)))
        generator.shuffle(order)
        batches: list[list[int]] = []
        for start in range(0, len(order), self.pool_size):
            pool = sorted(order[start : start + self.pool_size], key=lambda i: self.lengths[i])
            batches += [pool[i : i + self.batch_size] for i in range(0, len(pool), self.batch_size)]
        if len(batches) > 1 and len(batches[-1]) < self.num_ranks:
            rest = batches.pop()
            batches[-1] += rest
        generator.shuffle(batches)
        return batches


def expect_enough(num_samples: int, num_ranks: int, part: str) -> None:
    """Raise ConfigError if some rank would have nothing of a part."""
    if num_samples < num_ranks:
        raise ConfigError(
            "trainer.devices",
            expected=f"at most as many ranks as {part} utterances",
            got=f"{num_ranks} for {num_samples}",
            fix="use fewer devices",
        )


class EvaluationBatches(Sampler[list[int]]):
    """Samples in order, in batches dealt to ranks one after the other.

    Every rank gets the same number of batches, or those that wait for one another would wait for
    ever: one that has a batch less repeats its first, whose utterances it then has seen before.

    Args:
        num_samples: Of the part.
        batch_size: Samples a batch; smaller where some rank would have none.
        num_ranks: How many there are.
        part: Its name, for the error.

    Attributes:
        rank: Which rank this is.

    Raises:
        ConfigError: There are fewer samples than ranks.
    """

    def __init__(self, num_samples: int, *, batch_size: int, num_ranks: int, part: str) -> None:
        if num_samples:  # a part that is not read has none
            expect_enough(num_samples, num_ranks, part)
        self.num_samples = num_samples
        self.batch_size = max(1, min(batch_size, num_samples // num_ranks))
        self.num_ranks = num_ranks
        self.rank = 0

    def __len__(self) -> int:
        return -(-self.num_samples // (self.batch_size * self.num_ranks))

    def __iter__(self) -> Iterator[list[int]]:
        stride = self.batch_size * self.num_ranks
        for start in range(self.rank * self.batch_size, len(self) * stride, stride):
            first = start if start < self.num_samples else self.rank * self.batch_size
            yield list(range(first, min(first + self.batch_size, self.num_samples)))


class BudgetBatchSampler(Sampler[list[int]]):
    """Shuffle, sort pools by length, fill batches up to a padded length, shuffle the batches.

    Each sample comes once an epoch, over all ranks together. Every rank gets the same number of
    batches, in each epoch the same, or the slowest rank would wait for ever: where filling gives
    fewer batches, the largest are halved, so nothing is repeated and nothing dropped.

    Args:
        lengths: Length of each sample, such as seconds.
        budget: Most that a batch may cost: its samples times the longest of them. A sample that is
            longer is a batch of its own.
        seed: With the epoch it decides the order.
        num_epochs: How many epochs are asked for; their common number of batches is found first.
        rank: Which rank this is.
        num_ranks: How many there are.
        pool_size: Samples that are sorted together. More means less padding and less randomness.

    Raises:
        ConfigError: There are fewer samples than batches that keep all ranks in step.
    """

    def __init__(
        self,
        lengths: Sequence[float],
        *,
        budget: float,
        seed: int,
        num_epochs: int,
        rank: int = 0,
        num_ranks: int = 1,
        pool_size: int = 1600,
    ) -> None:
        if not 0 <= rank < num_ranks or budget <= 0:
            raise ValueError(f"rank {rank} of {num_ranks} with a budget of {budget}")
        self.lengths = list(lengths)
        self.budget = budget
        self.seed = seed
        self.rank = rank
        self.num_ranks = num_ranks
        self.pool_size = pool_size
        self.epoch = 0
        most = max(len(self._fill(epoch)) for epoch in range(num_epochs))
        self.num_batches = -(-most // num_ranks) * num_ranks
        if self.num_batches > len(lengths):
            raise ConfigError(
                "trainer.devices",
                expected=f"enough training utterances for batches on {num_ranks} ranks",
                got=f"{len(lengths)} for {self.num_batches} batches",
                fix="use fewer devices or a larger data.batch_seconds",
            )

    @property
    def sampler(self) -> BudgetBatchSampler:
        """Itself: Lightning looks for ``set_epoch`` on a batch sampler's sampler alone."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; the trainer calls this before each."""
        self.epoch = epoch

    def cost(self, batch: Sequence[int]) -> float:
        """Padded length of a batch."""
        return len(batch) * max(self.lengths[index] for index in batch)

    def __len__(self) -> int:
        return self.num_batches // self.num_ranks

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.all_batches()[self.rank :: self.num_ranks])

    def all_batches(self) -> list[list[int]]:
        """Batches of the epoch for all ranks; step k of rank r is number ``k * num_ranks + r``."""
        batches = self._fill(self.epoch)
        while len(batches) < self.num_batches:
            largest = max(range(len(batches)), key=lambda k: len(batches[k]))
            batch = batches.pop(largest)
            half = len(batch) // 2
            batches += [batch[:half], batch[half:]]
        assert len(batches) == self.num_batches, "more epochs than were asked for"
        self._generator("order").shuffle(batches)
        return batches

    def _generator(self, purpose: str) -> random.Random:
        return random.Random(f"{self.seed}-{self.epoch}-{purpose}")

    def _fill(self, epoch: int) -> list[list[int]]:
        """Pools of shuffled samples, each sorted by length and cut at the budget."""
        order = list(range(len(self.lengths)))
        random.Random(f"{self.seed}-{epoch}-pools").shuffle(order)
        batches: list[list[int]] = []
        for start in range(0, len(order), self.pool_size):
            batch: list[int] = []
            for index in sorted(
                order[start : start + self.pool_size], key=lambda i: self.lengths[i]
            ):
                # sorted, so the sample that comes is the longest
                if batch and (len(batch) + 1) * self.lengths[index] > self.budget:
                    batches.append(batch)
                    batch = []
                batch.append(index)
            if batch:
                batches.append(batch)
        return batches
