"""Checkpoints within a period, and training that ends after the update at hand when it is told to.

A checkpoint in the middle says: begin this period, with so many batches done, these random states
and this much of the training loss. Lightning's own way to go on in the middle of an epoch knows
neither; to it such a checkpoint is one from the end of the period before.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch

from data_modules.errors import ModelError
from data_modules.periods import PeriodBatches
from sermm.tasks.base import EmotionTask
from sermm.terminal import say

POSITION = "position"
"""Key of a checkpoint under which it says where in a period it was written."""


class StopRequest:
    """Notes SIGTERM, SIGUSR1 and SIGUSR2, by which batch systems say that they will stop a job.

    Where submitit runs us, SIGTERM only hurries: SLURM sends it to jobs that it will queue again
    by itself, and submitit, which ignores it, would take our end for that of the job.

    Attributes:
        number: The first signal that asked to stop; None before.
        hurry: Whether a checkpoint is wanted at once.
    """

    _numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)

    def __init__(self) -> None:
        self.number: int | None = None
        self.hurry = False
        self._before: dict[int, Any] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note signals instead of doing what they would do, until the end of the block."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._before = {number: signal.getsignal(number) for number in self._numbers}
        self.listen()
        try:
            yield
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def listen(self) -> None:
        """Take the signals; again after Lightning has taken SIGTERM for itself."""
        if self._before:
            for number in self._numbers:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM and self._foreign(number) is not None:
            self.hurry = True
        elif self.number is None:
            self.number = number

    def _foreign(self, number: int) -> Callable[[int, None], Any] | None:
        """A handler that stood there before and is not that of Ctrl-C."""
        before = self._before.get(number)
        return before if callable(before) and before is not signal.default_int_handler else None

    @contextmanager
    def obeyed(self) -> Iterator[None]:
        """Do what a signal asked for when the block has ended because of it.

        Whoever waited for the signal before, such as submitit, which queues the job again and ends
        the process, is called. A job of SLURM that was sent SIGUSR1 is queued again.
        """
        try:
            yield
        except KeyboardInterrupt:
            if self.number is not None:
                foreign = self._foreign(self.number)
                if foreign is not None:
                    foreign(self.number, None)
                elif self.number == signal.SIGUSR1:
                    requeue()
            raise


def requeue() -> None:
    """Put this job back into SLURM's queue, if it is one; told where that fails."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or os.environ.get("SLURM_PROCID", "0") != "0":
        return
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    name = f"{array}_{task}" if array and task else job
    said = subprocess.run(
        ["scontrol", "requeue", name], capture_output=True, text=True, check=False
    )
    say(f"job {name} is queued again" if said.returncode == 0 else said.stderr.strip())


class PeriodSaver(L.Callback):
    """Write the last checkpoint within periods too, and stop when asked to.

    Args:
        last: The file.
        batches: Of this rank.
        minutes: Between two checkpoints; 0: no limit.
        updates: Between two checkpoints; 0: no limit.
        stop: Whether to stop.
    """

    def __init__(
        self,
        last: Path,
        batches: PeriodBatches,
        *,
        minutes: float,
        updates: int,
        stop: StopRequest,
    ) -> None:
        self.last = last
        self.batches = batches
        self.minutes = minutes
        self.updates = updates
        self.stop = stop
        self._saved = time.monotonic()
        self._num_done = 0  # batches of the period, where a checkpoint is written within one
        self._restored: dict[str, Any] | None = None

    def go_on(self, checkpoint: dict[str, Any]) -> None:
        """Begin where a checkpoint was written. The trainer's own state is not touched.

        Lightning starts the loader before it tells the sampler which epoch it goes on with, so
        this comes before.

        Raises:
            ModelError: It does not say where that was.
        """
        position = checkpoint.get(POSITION)
        if position is None:
            raise ModelError(
                self.last,
                expected="a checkpoint that says where in training it was written",
                got="one of an earlier version of sermm",
                fix="remove the run folder, and train again",
            )
        self.batches.go_on(position["period"], position["num_done"])
        if position["num_done"]:
            self._restored = position

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning would end training in the middle of an update on SIGTERM."""
        self.stop.listen()
        self._saved = time.monotonic()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Take up random states and the sum of losses, after the period was seeded."""
        if self._restored is None:
            return
        assert isinstance(pl_module, EmotionTask)
        own = self._restored["ranks"][trainer.global_rank]
        self._restored = None
        torch.set_rng_state(own["random"])
        if own["random_gpu"] is not None:
            torch.cuda.set_rng_state(own["random_gpu"])
        pl_module.train_sums = own["train_sums"].to(pl_module.device)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save after an update if it is time to, and stop if asked to."""
        done = self.batches.num_done + batch_idx + 1
        if done % self.batches.accumulate or batch_idx + 1 == len(self.batches.span()):
            return  # within an update; or validation comes next, and saves
        late = bool(self.minutes) and time.monotonic() - self._saved > 60 * self.minutes
        often = bool(self.updates) and trainer.global_step % self.updates == 0
        due = often or self.stop.hurry or (late and trainer.is_global_zero)
        stopped, due = _on_any_rank(trainer, self.stop.number is not None, due)
        if stopped or due:
            self._num_done = done
            trainer.save_checkpoint(self.last, weights_only=False)
            self._num_done = 0
            self._saved = time.monotonic()
            self.stop.hurry = False
        if stopped:
            raise KeyboardInterrupt

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The last checkpoint has just been written by whoever chooses the best."""
        self._saved = time.monotonic()
        (stopped,) = _on_any_rank(trainer, self.stop.number is not None)
        if stopped:
            raise KeyboardInterrupt

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Say where in training this is; to Lightning, that it is the start of a period."""
        assert isinstance(pl_module, EmotionTask)
        period = trainer.current_epoch
        if not self._num_done:
            checkpoint[POSITION] = {"period": period + 1, "num_done": 0}
            return
        sums = pl_module.train_sums
        assert sums is not None, "batches were trained"
        on_gpu = pl_module.device.type == "cuda"
        own = {
            "random": torch.get_rng_state(),
            "random_gpu": torch.cuda.get_rng_state() if on_gpu else None,
            "train_sums": sums.cpu(),
        }
        ranks: list[Any] = [own]
        if trainer.world_size > 1:
            ranks = [None] * trainer.world_size
            torch.distributed.all_gather_object(ranks, own)
        checkpoint[POSITION] = {"period": period, "num_done": self._num_done, "ranks": ranks}
        _as_if_before(checkpoint["loops"]["fit_loop"], period)


def _on_any_rank(trainer: L.Trainer, *flags: bool) -> list[bool]:
    """Whether each is true on any rank; they must agree, since each waits for the others."""
    if trainer.world_size == 1:
        return list(flags)
    values = torch.tensor(flags, dtype=torch.float32, device=trainer.strategy.root_device)
    torch.distributed.all_reduce(values, op=torch.distributed.ReduceOp.MAX)
    return [bool(value) for value in values.tolist()]


def _as_if_before(loop: dict[str, Any], period: int) -> None:
    """Turn Lightning's progress into that of the end of the period before, or of no training."""
    progress = loop["epoch_progress"]
    for counts in (progress["total"], progress["current"]):
        counts |= {"ready": period, "started": period, "processed": period}
        counts["completed"] = max(0, period - 1)
    batches = loop["epoch_loop.batch_progress"]
    batches["is_last_batch"] = True
    for counts in (batches["total"], batches["current"]):
        counts["completed"] = counts["processed"]
    loop["epoch_loop.state_dict"]["_batches_that_stepped"] += 1
