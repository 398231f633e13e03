"""Training batches by period: what is trained between two validations.

A period is an epoch, or a number of updates; then batches are drawn from one epoch after the other,
each begun where the period before it stopped. An update is made of one batch or, with gradient
accumulation, of several.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch.utils.data import Sampler

from data_modules.sampler import BudgetBatchSampler, LengthBatchSampler


class PeriodBatches(Sampler[list[int]]):
    """The batches of one period after the other.

    It has no length on purpose: the trainer keeps the first that it is told, and periods differ.

    Args:
        epochs: Batches of whole epochs.
        num_epochs: How many epochs to train; without effect if the number of updates is given.
        num_updates: How many updates to train; 0: as many as the epochs have.
        period_updates: Updates of a period; 0: a period is an epoch.
        accumulate: Batches an update; the last update of an epoch, or of all with
            ``period_updates``, may have fewer.
    """

    def __init__(
        self,
        epochs: LengthBatchSampler | BudgetBatchSampler,
        *,
        num_epochs: int,
        num_updates: int = 0,
        period_updates: int = 0,
        accumulate: int = 1,
    ) -> None:
        self.epochs = epochs
        self.accumulate = accumulate
        self.period = 0
        self._done = (0, 0)
        an_epoch = len(epochs)
        self.period_batches = period_updates * accumulate or an_epoch
        updates_an_epoch = math.ceil(an_epoch / accumulate)
        if period_updates:
            self.num_batches = num_updates * accumulate or num_epochs * an_epoch
            self.num_updates = math.ceil(self.num_batches / accumulate)
        else:
            self.num_updates = num_updates or num_epochs * updates_an_epoch
            whole, rest = divmod(self.num_updates, updates_an_epoch)
            self.num_batches = whole * an_epoch + rest * accumulate
        self.num_periods = math.ceil(self.num_batches / self.period_batches)

    @property
    def sampler(self) -> PeriodBatches:
        """Itself: Lightning looks for ``set_epoch`` on a batch sampler's sampler alone."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose a period; the trainer, whose epochs are our periods, calls this before each."""
        self.period = epoch

    def go_on(self, period: int, num_done: int) -> None:
        """Begin in the middle: so many batches of this period are done."""
        self.period = period
        self._done = (period, num_done)

    @property
    def num_done(self) -> int:
        """Batches of the period that were done before it went on."""
        period, num_done = self._done
        return num_done if period == self.period else 0

    def span(self) -> range:
        """Numbers of the period's batches, counted from the start of training."""
        start = self.period * self.period_batches
        end = min(start + self.period_batches, self.num_batches)
        return range(start + self.num_done, end)

    def __iter__(self) -> Iterator[list[int]]:
        batches: list[list[int]] = []
        drawn = -1
        for number in self.span():
            epoch, place = divmod(number, len(self.epochs))
            if epoch != drawn:
                self.epochs.set_epoch(epoch)
                batches, drawn = list(self.epochs), epoch
            yield batches[place]
