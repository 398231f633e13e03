"""Train a task on a data module, choose the best epoch on validation, predict the test part once.

Knows Lightning and nothing of experiments: configuration and files of a run are in ``run.py``.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar

from sermm.history import HistoryWriter
from sermm.tasks.base import EmotionTask, Predictions


@dataclass(frozen=True)
class TrainingOptions:
    """How long and where to train.

    Attributes:
        epochs: At most.
        patience: Epochs without a better validation UA before training ends; 0 is never.
        gradient_clip: Largest norm; 0 is off.
        seed: Of the run.
        accelerator: As the trainer names it.
        devices: How many.
        num_nodes: How many.
        strategy: As the trainer names it.
        precision: As the trainer names it.
        progress: Whether to draw a progress bar.
    """

    epochs: int
    patience: int
    gradient_clip: float
    seed: int
    accelerator: str
    devices: int
    num_nodes: int
    strategy: str
    precision: str
    progress: bool


@dataclass(frozen=True)
class TrainingResult:
    """What came out.

    Attributes:
        best_epoch: The epoch with the highest validation UA, from 0; the first of equals.
        val_ua: Its validation UA.
        predictions: Of its weights on the test part.
    """

    best_epoch: int
    val_ua: float
    predictions: Predictions


class CheckpointRecord(L.Callback):
    """Put what a model needs to be built again into every checkpoint."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.record = record

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add it under the key ``sermm``."""
        checkpoint["sermm"] = self.record


# Advice that does not fit a tool which measured its loaders and logs an epoch at a time.
_MUTED = (
    ".*does not have many workers.*",
    ".*number of training batches.*is smaller than the logging interval.*",
    ".*Checkpoint directory .* exists and is not empty.*",
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Without Lightning's banners and the three pieces of advice above."""
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


def train(
    task: EmotionTask,
    data: L.LightningDataModule,
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
    """
    checkpoints = folder / "checkpoints"
    best = ModelCheckpoint(
        checkpoints,
        filename="best",
        monitor="val/ua",
        mode="max",
        save_top_k=1,
        save_last=True,
        enable_version_counter=False,
    )
    callbacks: list[L.Callback] = [
        CheckpointRecord(record),
        HistoryWriter(folder / "history.csv"),
        best,
    ]
    if options.patience:
        callbacks.append(EarlyStopping("val/ua", mode="max", patience=options.patience))
    if options.progress:
        callbacks.append(RichProgressBar(leave=False))
    task.run_seed = options.seed
    on_cpu = options.accelerator == "cpu" or not torch.cuda.is_available()
    with quiet_lightning():
        trainer = L.Trainer(
            accelerator=options.accelerator,
            devices=options.devices,
            num_nodes=options.num_nodes,
            strategy=options.strategy,
            precision=options.precision,  # type: ignore[arg-type]
            max_epochs=options.epochs,
            gradient_clip_val=options.gradient_clip or None,
            callbacks=callbacks,
            logger=logger,
            # scatter_reduce has no deterministic form on CUDA: there it warns instead of stopping
            deterministic=True if on_cpu else "warn",
            default_root_dir=folder,
            enable_model_summary=False,
            enable_progress_bar=options.progress,
            log_every_n_steps=50,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        last = checkpoints / "last.ckpt"
        resume = str(last) if last.is_file() else None
        trainer.fit(task, datamodule=data, ckpt_path=resume, weights_only=True)
        if trainer.interrupted:
            raise KeyboardInterrupt
        trainer.test(
            task,
            datamodule=data,
            ckpt_path=best.best_model_path,
            verbose=False,
            weights_only=True,
        )
    chosen = torch.load(best.best_model_path, map_location="cpu", weights_only=True)
    return TrainingResult(
        best_epoch=int(chosen["epoch"]),
        val_ua=round(float(best.best_model_score or 0.0), 6),
        predictions=task.predictions(),
    )
