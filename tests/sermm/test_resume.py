"""Checkpoints in the middle of an epoch: killed and stopped runs end as the undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sermm.checkpoints import read_checkpoint
from sermm.resume import PeriodSaver, StopRequest
from tests.sermm.test_train import assert_same_run, at_write, kill_at
from tests.sermm.workplace import Workplace, wait_for

# three epochs of 12 updates of 2 batches, a checkpoint after each third
OFTEN = ("trainer.checkpoint_steps=3", "optim.accumulate=2", "data.batch_size=2")


def position(folder: Path) -> dict[str, Any]:
    found = read_checkpoint(folder / "checkpoints" / "last.ckpt")["position"]
    return {key: found[key] for key in ("period", "num_done")}


@pytest.mark.parametrize("by_steps", [False, True])
def test_a_run_killed_within_an_epoch_goes_on_in_it(place: Workplace, by_steps: bool) -> None:
    settings = (*OFTEN, "data.num_workers=1")
    if by_steps:
        settings = (*settings, "optim.steps=25", "optim.val_every_steps=11")
    undisturbed = place.fit("span", "name=undisturbed", *settings)
    folder = place.run_folder("span", "name=killed")
    seen = []
    # in the first epoch, and, gone on from there, in a later one
    for times in (2, 5):
        killed = place.fork(
            "fit",
            *place.settings("span", "name=killed", *settings),
            prepare=kill_at("last.ckpt", times, after=True),
        )
        assert wait_for(killed) == -signal.SIGKILL, place.said_by_fork()
        seen.append(position(folder))
    assert seen[0] == {"period": 0, "num_done": 12}
    assert seen[1]["period"] > 0
    assert seen[1]["num_done"] > 0
    assert_same_run(place.fit("span", "name=killed", *settings), undisturbed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_batch_system_stops_a_run_after_the_update(
    place: Workplace, number: signal.Signals
) -> None:
    settings = ("optim.accumulate=2", "data.batch_size=2", "optim.epochs=2")
    undisturbed = place.fit("span", "name=undisturbed", *settings)
    # in the middle of an update, which is the first of the second epoch
    stopped = place.fork(
        "fit",
        *place.settings("span", "name=stopped", *settings),
        prepare=lambda: at_write(
            "last.ckpt", 1, after=True, act=lambda: os.kill(os.getpid(), number)
        ),
    )
    assert wait_for(stopped) == 130
    assert place.said_by_fork() == "stopped; run the same command again to go on\n"
    folder = place.run_folder("span", "name=stopped")
    # the epoch was over when it came
    assert position(folder) == {"period": 1, "num_done": 0}
    assert_same_run(place.fit("span", "name=stopped", *settings), undisturbed)


@pytest.fixture
def handler() -> Iterator[list[int]]:
    """What submitit does: it queues the job again."""
    told: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: told.append(number))
    yield told
    signal.signal(signal.SIGUSR2, before)


def test_who_waited_for_the_signal_is_told_after_the_update(handler: list[int]) -> None:
    stop = StopRequest()
    with stop.listening():
        os.kill(os.getpid(), signal.SIGUSR2)
    assert stop.number == signal.SIGUSR2
    assert handler == []
    with pytest.raises(KeyboardInterrupt), stop.obeyed():
        raise KeyboardInterrupt
    assert handler == [signal.SIGUSR2]
    # nobody is told of a Ctrl-C
    with pytest.raises(KeyboardInterrupt), StopRequest().obeyed():
        raise KeyboardInterrupt
    assert handler == [signal.SIGUSR2]


def test_where_somebody_else_handles_sigterm_it_only_hurries() -> None:
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    stop = StopRequest()
    try:
        with stop.listening():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (stop.number, stop.hurry) == (None, True)


class FakeTrainer:
    """Counts checkpoints."""

    world_size, is_global_zero, global_step = 1, True, 0

    def __init__(self) -> None:
        self.saved: list[int] = []

    def save_checkpoint(self, path: Path, *, weights_only: bool) -> None:
        self.saved.append(self.global_step)


class FakeBatches:
    """Ten batches a period, two an update."""

    num_done, accumulate = 0, 2

    def span(self) -> range:
        return range(10)


@pytest.mark.parametrize(
    ("minutes", "updates", "expected"),
    [(0, 0, []), (0, 2, [2, 4]), (1e-9, 0, [1, 2, 3, 4]), (60, 0, [])],
)
def test_checkpoints_come_by_updates_or_by_time(
    tmp_path: Path, minutes: float, updates: int, expected: list[int]
) -> None:
    """Never within an update, nor where validation follows, which saves."""
    trainer: Any = FakeTrainer()
    batches: Any = FakeBatches()
    saver = PeriodSaver(tmp_path, batches, minutes=minutes, updates=updates, stop=StopRequest())
    for batch_idx in range(10):
        trainer.global_step = (batch_idx + 1) // 2
        saver.on_train_batch_end(trainer, None, None, None, batch_idx)  # type: ignore[arg-type]
    assert trainer.saved == expected


def test_a_checkpoint_of_an_earlier_version_is_refused(place: Workplace) -> None:
    killed = place.fork(
        "fit", *place.settings("linear"), prepare=kill_at("last.ckpt", 1, after=True)
    )
    assert wait_for(killed) == -signal.SIGKILL
    path = place.run_folder("linear") / "checkpoints" / "last.ckpt"
    torch.save({k: v for k, v in read_checkpoint(path).items() if k != "position"}, path)
    said = place.sermm("fit", *place.settings("linear"))
    assert said.status == 2
    assert "expected a checkpoint that says where in training it was written" in said.err


@pytest.mark.slow
def test_fusion_demo_is_killed_and_stopped_at_25_random_moments(place: Workplace) -> None:
    """kill -9 and SIGTERM in turn, anywhere from the first import to the last file."""
    settings = ("trainer.checkpoint_steps=3",)
    undisturbed = place.fit("span", "name=undisturbed", *settings)
    started = time.monotonic()  # features are there from now on
    assert wait_for(place.fork("fit", *place.settings("span", "name=timed", *settings))) == 0
    took = time.monotonic() - started
    draw = random.Random(0)
    ends: list[tuple[object, ...]] = []
    for attempt in range(100):
        if len(ends) == 25:
            break
        name = f"name=disturbed_{attempt}"
        number = signal.SIGTERM if len(ends) % 2 else signal.SIGKILL
        pid = place.fork("fit", *place.settings("span", name, *settings))
        time.sleep(draw.uniform(0.05, 1.0) * took)
        os.kill(pid, number)
        status = wait_for(pid)
        if status == 0:
            continue  # it was over before
        # a SIGTERM may come before the command listens
        assert status in (-signal.SIGKILL, -signal.SIGTERM, 130), place.said_by_fork()
        folder = place.run_folder("span", name)
        checkpoint = folder / "checkpoints" / "last.ckpt"
        where = position(folder) if checkpoint.is_file() else None
        ends.append((status, where, (folder / "predictions.csv").is_file()))
        place.sermm("fit", *place.settings("span", name, *settings))
        assert_same_run(folder, undisturbed)
    assert len(ends) == 25
    assert len({str(end) for end in ends}) > 5, "the moments differ"
