"""Train a task on a data module, choose the best epoch on validation, predict the test part once.

Knows Lightning and nothing of experiments: configuration and files of a run are in ``run.py``.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import RichProgressBar

from data_modules.datamodule import EmotionDataModule
from data_modules.errors import RunFailedError
from data_modules.periods import PeriodBatches
from sermm.checkpoints import CheckpointFiles, EpochKeeper, read_checkpoint
from sermm.history import HistoryWriter
from sermm.memory import BatchInHand
from sermm.ranks import SRUN_IS_THERE, watch_ranks
from sermm.resume import PeriodSaver, StopRequest
from sermm.sharding import build_strategy
from sermm.tasks.base import EmotionTask, Predictions

# that a process may take to end after its connections are closed
_LONGEST_END_S = 30.0


@dataclass(frozen=True)
class TrainingOptions:
    """How to train, and where; how long is up to the data module.

    Attributes:
        by_updates: Whether a period, from one validation to the next, is a number of updates.
        select: Validation score that chooses the period.
        patience: Periods without a better score before training ends; 0 is never.
        average: How many of the best periods the weights are the mean of; 1: the best alone.
        gradient_clip: Largest norm; 0 is off.
        seed: Of the run.
        accelerator: As the trainer names it.
        devices: How many.
        num_nodes: How many.
        strategy: As the trainer names it.
        precision: As the trainer names it.
        checkpoint_minutes: Between two checkpoints within a period; 0: no limit.
        checkpoint_steps: Updates between two of them; 0: no limit.
        progress: Whether to draw a progress bar.
        test: Whether the test part is predicted.
    """

    by_updates: bool
    select: str
    patience: int
    average: int
    gradient_clip: float
    seed: int
    accelerator: str
    devices: int
    num_nodes: int
    strategy: str
    precision: str
    checkpoint_minutes: float
    checkpoint_steps: int
    progress: bool
    test: bool = True


@dataclass(frozen=True)
class TrainingResult:
    """What came out.

    Attributes:
        best_epoch: The epoch, or period, with the best validation score, from 0; the first of
            equals.
        val_score: Its score, or that of the mean of the best, be it better or worse.
        predictions: Of its weights on the test part; None if it is not to be predicted.
        conditions: The same with a modality missing, by what is missing or alone there.
        validation: Of the same weights on the validation part; the empty name is all modalities.
    """

    best_epoch: int
    val_score: float
    predictions: Predictions | None
    conditions: dict[str, Predictions]
    validation: dict[str, Predictions]


# What Lightning says of us that is no news to the user, each with its reason.
_MUTED = (
    # batches are read from a memory map in less time than a worker's queue takes
    ".*does not have many workers.*",
    # scores are computed from sums over all ranks, so all log the same
    ".*sync_dist=True.*",
    SRUN_IS_THERE,
    # a frozen encoder is meant to be
    ".*module\\(s\\) in eval mode at the start of training.*",
    # small corpora have few batches; figures are logged an epoch at a time
    ".*number of training batches.*is smaller than the logging interval.*",
    # Lightning's own use of torch: github.com/Lightning-AI/pytorch-lightning/issues/21326
    r".*isinstance\(treespec, LeafSpec\).* is deprecated.*",
)


class RankLoss(L.Callback):
    """Lets the watch over ranks tell which one died where a collective call fails first.

    Args:
        ending: Set when training ends for another reason.
    """

    def __init__(self, ending: threading.Event) -> None:
        self.ending = ending

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """The watch ends this process as soon as that one has ended; else it was a network.

        Raises:
            RunFailedError: It was a network.
        """
        if trainer.world_size == 1 or not is_of_connection(exception):
            self.ending.set()
            return
        time.sleep(_LONGEST_END_S)
        raise RunFailedError(
            "rank of another machine",
            expected="an answer",
            got=str(exception).splitlines()[0],
            fix="see what the other ranks say; the same command goes on from the last checkpoint",
        ) from exception


def is_of_connection(error: BaseException) -> bool:
    """Whether a collective call failed, as it does when another rank has gone."""
    if isinstance(error, torch.distributed.DistError):
        return True
    return isinstance(error, RuntimeError) and "gloo" in str(error)


class PeriodProgress(RichProgressBar):
    """A bar that knows how long each period is.

    Args:
        batches: Of the periods.
    """

    def __init__(self, batches: PeriodBatches) -> None:
        super().__init__(leave=False)
        self.batches = batches

    @property
    def total_train_batches(self) -> int:
        """Of the period."""
        return len(self.batches.span())


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Without Lightning's banners and the warnings above."""
    loggers = [logging.getLogger(f"lightning.{name}") for name in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for pattern in _MUTED:
                warnings.filterwarnings("ignore", pattern)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def stoppable(ending: threading.Event) -> Iterator[None]:
    """KeyboardInterrupt for the exits that Lightning makes of Ctrl-C (with 1) and SIGTERM (with 0).

    Both mean the same to us: training stopped where it was and can go on from there.

    Args:
        ending: Set at the end of the block.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        # it also turned Ctrl-C off for the rest of the process
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None
    finally:
        ending.set()


def train(
    task: EmotionTask,
    data: EmotionDataModule,
    *,
    folder: Path,
    options: TrainingOptions,
    record: dict[str, Any],
    logger: Any = False,
) -> TrainingResult:
    """Fit, select and predict. Goes on from ``checkpoints/last.ckpt`` if there is one.

    Args:
        task: Untrained.
        data: Train, validation and test loaders.
        folder: Run folder; checkpoints and history are written there.
        options: How long and where.
        record: Plain data that every checkpoint carries.
        logger: A Lightning logger, or False.

    Raises:
        ModelError: A checkpoint of the run cannot be read.
        KeyboardInterrupt: Training was stopped from outside.
    """
    scoring = task.scoring
    keeper = EpochKeeper(
        folder / "checkpoints",
        score=options.select,
        higher_is_better=scoring.selecting(options.select).higher_is_better,
        patience=options.patience,
        average=options.average,
    )
    # the history first: a checkpoint then means that the row of its epoch is on disk
    history = HistoryWriter(
        folder / "history.csv", scores=tuple(scoring.overall), with_step=options.by_updates
    )
    stop = StopRequest()
    saver = PeriodSaver(
        keeper.last,
        data.sampler,
        minutes=options.checkpoint_minutes,
        updates=options.checkpoint_steps,
        stop=stop,
    )
    in_hand = BatchInHand(data.seconds())
    ending = threading.Event()
    callbacks: list[L.Callback] = [history, keeper, saver, in_hand, RankLoss(ending)]
    if options.progress:
        callbacks.append(PeriodProgress(data.sampler))
    task.run_seed, task.num_updates = options.seed, data.sampler.num_updates
    on_cpu = options.accelerator == "cpu" or not torch.cuda.is_available()
    resume = None
    if keeper.last.is_file():
        if keeper.best.is_file():
            read_checkpoint(keeper.best)
        saver.go_on(read_checkpoint(keeper.last))
        if data.sampler.period:  # before the end of the first there is none
            read_checkpoint(keeper.best)
        resume = str(keeper.last)
    with stop.obeyed(), quiet_lightning(), stoppable(ending), in_hand.explaining():
        trainer = L.Trainer(
            accelerator=options.accelerator,
            devices=options.devices,
            num_nodes=options.num_nodes,
            strategy=build_strategy(options.strategy, options.devices * options.num_nodes),
            precision=options.precision,  # type: ignore[arg-type]
            max_epochs=data.sampler.num_periods,
            accumulate_grad_batches=data.sampler.accumulate,
            gradient_clip_val=options.gradient_clip or None,
            callbacks=callbacks,
            plugins=[CheckpointFiles(record)],
            logger=logger,
            # scatter_reduce has no deterministic form on CUDA: there it warns instead of stopping
            deterministic=True if on_cpu else "warn",
            default_root_dir=folder,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=options.progress,
            log_every_n_steps=50,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        with stop.listening():
            watch_ranks(options.devices * options.num_nodes, trainer.strategy.launcher, ending)
            trainer.fit(task, datamodule=data, ckpt_path=resume, weights_only=True)
        if stop.number is not None:  # in the last validation
            raise KeyboardInterrupt
        val_score = keeper.best_score
        if options.average > 1:
            if trainer.is_global_zero:
                keeper.average_best(trained_names(task))
            trainer.strategy.barrier()
            trainer.validate(
                task, datamodule=data, ckpt_path=str(keeper.best), verbose=False, weights_only=True
            )
            val_score = float(trainer.callback_metrics[f"val/{options.select}"])
        predictions = None
        conditions, validation = {}, {}
        if options.test:
            trainer.test(
                task, datamodule=data, ckpt_path=str(keeper.best), verbose=False, weights_only=True
            )
            predictions = task.predictions()
            missing = missing_modalities(task.modalities)
            for name, absent in missing.items():
                task.absent = absent
                trainer.test(task, dataloaders=data.test_dataloader(), verbose=False)
                conditions[name] = task.predictions()
            # the test part is done with; what comes now only tells how true probabilities are
            for name, absent in {"": frozenset[str](), **missing}.items():
                task.absent = absent
                trainer.test(task, dataloaders=data.val_dataloader(), verbose=False)
                validation[name] = task.predictions()
            task.absent = frozenset()
    assert keeper.best_epoch is not None, "an epoch was trained"
    return TrainingResult(
        best_epoch=keeper.best_epoch,
        val_score=round(val_score, 6),
        predictions=predictions,
        conditions=conditions,
        validation=validation,
    )


def trained_names(task: EmotionTask) -> list[str]:
    """Names of all parameters that are trained, one that two modules share under both."""
    return [
        name
        for name, parameter in task.named_parameters(remove_duplicate=False)
        if parameter.requires_grad
    ]


def missing_modalities(modalities: Sequence[str]) -> dict[str, frozenset[str]]:
    """Under which conditions a model is tested again, and what is absent in each.

    ``only-X`` for each modality; with three or more ``without-X`` as well.
    """
    everything = frozenset(modalities)
    if len(everything) < 2:
        return {}
    conditions = {f"only-{name}": everything - {name} for name in modalities}
    if len(everything) > 2:
        conditions |= {f"without-{name}": frozenset({name}) for name in modalities}
    return conditions
