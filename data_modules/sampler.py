"""Training batches of clips of like length, shuffled anew each epoch by seed and epoch alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler


class LengthBatchSampler(Sampler[list[int]]):
    """Shuffle, sort pools of batches by length, cut into batches, shuffle the batches.

    Padding costs more than half of the arithmetic in randomly drawn batches of speech. Sorting
    within a pool keeps most of the randomness and nearly none of the padding.

    Args:
        lengths: Length of each sample, in any unit.
        batch_size: Samples a batch; the last batch of an epoch may be smaller.
        seed: With the epoch it decides the order.
        pool_batches: Batches in a pool. More means less padding and less randomness.
    """

    def __init__(
        self, lengths: Sequence[float], *, batch_size: int, seed: int, pool_batches: int = 8
    ) -> None:
        self.lengths = list(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.pool_size = batch_size * pool_batches
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; the trainer calls this before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        generator = random.Random(f"{self.seed}-{self.epoch}")
        order = list(range(len(self.lengths)))
        generator.shuffle(order)
        batches: list[list[int]] = []
        for start in range(0, len(order), self.pool_size):
            pool = sorted(order[start : start + self.pool_size], key=lambda i: self.lengths[i])
            batches += [pool[i : i + self.batch_size] for i in range(0, len(pool), self.batch_size)]
        generator.shuffle(batches)
        return iter(batches)
