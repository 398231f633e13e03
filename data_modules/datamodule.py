"""The three parts of a fold as loaders.

Each has a generator of its own. A loader draws a number when it starts, and how often it starts
depends on its workers: drawn from the common generator, that number would shift dropout.
"""

from __future__ import annotations

import math

import lightning as L
import torch
from torch.utils.data import DataLoader

from data_modules.batch import Sample, collate
from data_modules.dataset import UtteranceDataset
from data_modules.periods import PeriodBatches
from data_modules.sampler import BudgetBatchSampler, EvaluationBatches, LengthBatchSampler


class EmotionDataModule(L.LightningDataModule):
    """Loaders over train, validation and test.

    Args:
        train: Batched by length, in an order that depends on seed and epoch alone.
        val: In order.
        test: In order.
        batch_size: Utterances a training batch; or
        batch_seconds: seconds of one, padding included, 0 for a number of utterances.
        eval_batch_size: Utterances an evaluation batch; does not change predictions.
        num_workers: Loader processes; 0 loads in the training process.
        seed: Of the order of training batches.
        num_epochs: How many to train.
        num_updates: How many updates to train in place of epochs; 0: by epochs.
        period_updates: Updates between two validations; 0: an epoch.
        accumulate: Batches an update.
        num_ranks: Processes that train together; batches are what one of them gets.
        pin_memory: Batches are put where a GPU can fetch them while it computes.

    Attributes:
        sampler: Training batches of this rank.

    Raises:
        ConfigError: A part has fewer utterances than there are ranks.
    """

    def __init__(
        self,
        *,
        train: UtteranceDataset,
        val: UtteranceDataset,
        test: UtteranceDataset,
        batch_size: int,
        batch_seconds: float = 0.0,
        eval_batch_size: int,
        num_workers: int,
        seed: int,
        num_epochs: int = 1,
        num_updates: int = 0,
        period_updates: int = 0,
        accumulate: int = 1,
        num_ranks: int = 1,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
        self.train, self.val, self.test = train, val, test
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        lengths = train.lengths()
        batches: LengthBatchSampler | BudgetBatchSampler
        if batch_seconds:
            if num_updates:
                asked_for = num_updates * accumulate * num_ranks
                num_epochs = _most_epochs(lengths, batch_seconds, asked_for)
            batches = BudgetBatchSampler(
                lengths,
                budget=batch_seconds,
                seed=seed,
                num_epochs=num_epochs,
                num_ranks=num_ranks,
            )
        else:
            batches = LengthBatchSampler(
                lengths, batch_size=batch_size, seed=seed, num_ranks=num_ranks
            )
        self.sampler = PeriodBatches(
            batches,
            num_epochs=num_epochs,
            num_updates=num_updates,
            period_updates=period_updates,
            accumulate=accumulate,
        )
        self.in_order = {
            part: EvaluationBatches(
                len(dataset), batch_size=eval_batch_size, num_ranks=num_ranks, part=part
            )
            for part, dataset in (("validation", val), ("test", test))
        }

    def setup(self, stage: str) -> None:
        """Take the share of this rank, which is known once there is a trainer."""
        rank = self.trainer.global_rank if self.trainer is not None else 0
        for batches in (self.sampler.epochs, *self.in_order.values()):
            batches.rank = rank

    def update_size(self) -> tuple[float, float]:
        """Utterances and seconds of an update over all ranks, on average; no seconds of text."""
        share = self.sampler.accumulate / len(self.sampler.epochs)
        seconds = sum(u.duration_s for u in self.train.utterances) if self.train.hears else 0.0
        return len(self.train) * share, seconds * share

    def seconds(self) -> dict[str, float]:
        """Of each utterance by its id; nothing where no speech is read."""
        if not self.train.hears:
            return {}
        parts = (self.train, self.val, self.test)
        return {u.id: u.duration_s for part in parts for u in part.utterances}

    def train_dataloader(self) -> DataLoader[Sample]:
        """Batches of like length."""
        return DataLoader(
            self.train,
            batch_sampler=self.sampler,
            collate_fn=collate,
            num_workers=self.num_workers,
            pin_memory=self.pin_memory,
            generator=torch.Generator(),
            persistent_workers=self.num_workers > 0,
        )

    def _in_order(self, dataset: UtteranceDataset, part: str) -> DataLoader[Sample]:
        return DataLoader(
            dataset,
            batch_sampler=self.in_order[part],
            collate_fn=collate,
            num_workers=self.num_workers,
            pin_memory=self.pin_memory,
            generator=torch.Generator(),
            persistent_workers=self.num_workers > 0,
        )

    def val_dataloader(self) -> DataLoader[Sample]:
        """Every utterance of the validation part once, over all ranks."""
        return self._in_order(self.val, "validation")

    def test_dataloader(self) -> DataLoader[Sample]:
        """Every utterance of the test part once, over all ranks."""
        return self._in_order(self.test, "test")


def _most_epochs(lengths: list[float], budget: float, num_batches: int) -> int:
    """How many epochs so many batches may reach into: none has fewer than fit its sum."""
    fewest = math.ceil(sum(min(length, budget) for length in lengths) / budget)
    return math.ceil(num_batches / max(1, fewest)) + 1
