from __future__ import annotations

import math
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.periods import PeriodBatches
from data_modules.sampler import LengthBatchSampler

LENGTHS = [float(k % 9) for k in range(22)]  # 6 batches of 4, the last of 2


def epochs(batch_size: int = 4) -> LengthBatchSampler:
    return LengthBatchSampler(LENGTHS, batch_size=batch_size, seed=0)


def all_epochs(number: int) -> list[list[int]]:
    batches, drawn = epochs(), []
    for epoch in range(number):
        batches.set_epoch(epoch)
        drawn += list(batches)
    return drawn


def drawn(batches: PeriodBatches) -> list[list[list[int]]]:
    periods = []
    for period in range(batches.num_periods):
        batches.set_epoch(period)
        periods.append(list(batches))
        assert len(periods[-1]) == len(batches.span()) > 0
    return periods


def test_by_default_a_period_is_an_epoch() -> None:
    batches = PeriodBatches(epochs(), num_epochs=3)
    assert (batches.num_periods, batches.num_updates) == (3, 18)
    found = drawn(batches)
    assert [len(period) for period in found] == [6, 6, 6]
    assert list(chain.from_iterable(found)) == all_epochs(3)


@given(
    num_updates=st.integers(0, 40),
    period_updates=st.integers(0, 12),
    accumulate=st.integers(1, 8),
    num_epochs=st.integers(1, 4),
)
def test_periods_are_the_epochs_cut_elsewhere(
    num_updates: int, period_updates: int, accumulate: int, num_epochs: int
) -> None:
    batches = PeriodBatches(
        epochs(),
        num_epochs=num_epochs,
        num_updates=num_updates,
        period_updates=period_updates,
        accumulate=accumulate,
    )
    found = drawn(batches)
    updates = [math.ceil(len(period) / accumulate) for period in found]
    together = list(chain.from_iterable(found))
    assert together == all_epochs(len(together) // 6 + 1)[: len(together)]
    assert sum(updates) == batches.num_updates
    if num_updates:
        assert batches.num_updates == num_updates
    else:
        assert len(together) == 6 * num_epochs
    if period_updates:
        assert set(updates[:-1]) <= {period_updates}
        # the last update alone may have fewer batches
        assert all(len(period) % accumulate == 0 for period in found[:-1])
        assert not num_updates or len(together) == num_updates * accumulate
    else:
        assert all(len(period) == 6 for period in found[:-1])


def test_superb() -> None:
    """Batches of 4, 8 of them an update, 30,000 updates, validation after each 1,000."""
    batches = PeriodBatches(
        epochs(), num_epochs=1, num_updates=30_000, period_updates=1_000, accumulate=8
    )
    assert (batches.num_periods, batches.num_updates) == (30, 30_000)
    batches.set_epoch(29)
    assert batches.span() == range(29 * 8_000, 240_000)


def test_it_has_no_length() -> None:
    """The trainer would take the first for that of all."""
    with pytest.raises(TypeError):
        len(PeriodBatches(epochs(), num_epochs=1))  # type: ignore[arg-type]
