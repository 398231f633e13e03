"""Checkpoints of a run: its best epoch, and its last one, from which a killed run goes on.

Lightning's own callbacks would forget the best epoch when the run folder is moved, train on after
an early stop that was followed by a kill, and write through the system's temporary folder, from
where a file reaches another disk in pieces.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO

from data_modules.atomic import atomic_path
from data_modules.errors import ModelError


class CheckpointFiles(TorchCheckpointIO):
    """Checkpoints that appear whole or not at all, each with what builds the model again.

    Args:
        record: Plain data, stored under the key ``sermm``.
    """

    def __init__(self, record: dict[str, Any]) -> None:
        super().__init__()
        self.record = record

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write one file."""
        with atomic_path(Path(path)) as temporary:
            # by name: through a stream of Python's, a signal that raises would tear torch's writer
            # down in the middle, which ends the process before anything can be cleaned up
            torch.save({**checkpoint, "sermm": self.record}, temporary)
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())


class EpochKeeper(L.Callback):
    """Keep the epoch with the best validation score, the first of equals, and stop in time.

    ``best.ckpt`` holds weights; ``last.ckpt`` everything that training needs to go on, and this
    object's own state. The last file is the later one: what it says of the best is on disk.

    Args:
        folder: For both files.
        score: Which one decides, such as ``ua``.
        higher_is_better: Whether it grows as models get better.
        patience: Epochs without a better score before training ends; 0 is never.
        average: With more than one, this many of the best epochs wait in ``top-EPOCH.ckpt`` for
            :meth:`average_best`.

    Attributes:
        best_epoch: From 0; None before the first epoch has ended.
        best_score: Its validation score; NaN where it is undefined, which any number beats.
        kept: Epochs in files of their own and their scores, the best first.
    """

    def __init__(
        self,
        folder: Path,
        *,
        score: str,
        higher_is_better: bool,
        patience: int,
        average: int = 1,
    ) -> None:
        self.best = folder / "best.ckpt"
        self.last = folder / "last.ckpt"
        self.score = score
        self.higher_is_better = higher_is_better
        self.patience = patience
        self.average = average
        self.best_epoch: int | None = None
        self.best_score = math.nan
        self.kept: list[tuple[int, float]] = []

    def state_dict(self) -> dict[str, Any]:
        """What the last checkpoint carries."""
        return {
            "best_epoch": self.best_epoch,
            "best_score": self.best_score,
            "kept": [list(pair) for pair in self.kept],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.best_epoch = state_dict["best_epoch"]
        self.best_score = state_dict["best_score"]
        self.kept = [(epoch, score) for epoch, score in state_dict["kept"]]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """A run that was killed after its training had ended early does not train on."""
        self._stop_in_time(trainer, trainer.current_epoch - 1)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the checkpoints. Validation has run by now."""
        score = float(trainer.callback_metrics[f"val/{self.score}"])
        epoch = trainer.current_epoch
        if self.best_epoch is None or self._is_better(score):
            self.best_epoch, self.best_score = epoch, score
            trainer.save_checkpoint(self.best, weights_only=True)
        dropped = self._keep(trainer, epoch, score) if self.average > 1 else []
        self._stop_in_time(trainer, epoch)
        trainer.save_checkpoint(self.last, weights_only=False)
        # only now does no checkpoint name them any more
        for path in dropped:
            path.unlink(missing_ok=True)

    def _keep(self, trainer: L.Trainer, epoch: int, score: float) -> list[Path]:
        """Save the epoch if it is among the best; returns the files of those that no longer are."""
        ranked = sorted([*self.kept, (epoch, score)], key=lambda pair: self._rank(*pair))
        self.kept, rest = ranked[: self.average], ranked[self.average :]
        if (epoch, score) in rest:
            return []
        trainer.save_checkpoint(self.top(epoch), weights_only=True)
        return [self.top(dropped) for dropped, _ in rest]

    def _rank(self, epoch: int, score: float) -> tuple[bool, float, int]:
        """Sorts the best first, the earlier of equals first, and those without a number last."""
        if math.isnan(score):
            return True, 0.0, epoch
        return False, -score if self.higher_is_better else score, epoch

    def top(self, epoch: int) -> Path:
        """The file of one of the best epochs."""
        return self.best.with_name(f"top-{epoch}.ckpt")

    def average_best(self, parameters: Collection[str]) -> None:
        """Put the mean of the kept epochs' weights in the place of the best epoch's.

        A run that was killed meanwhile does the same again, or finds it done. The files of single
        epochs go.

        Args:
            parameters: Names of what is averaged, in float64 and stored as it was; all else, such
                as buffers and frozen weights, stays that of the best epoch.

        Raises:
            ModelError: A file is missing or damaged.
        """
        epochs = [epoch for epoch, _ in self.kept]
        checkpoint = read_checkpoint(self.best)
        if checkpoint.get("averaged") != epochs:
            state = checkpoint["state_dict"]
            sums = {name: torch.zeros_like(state[name], dtype=torch.float64) for name in parameters}
            for epoch in epochs:
                found = read_checkpoint(self.top(epoch))["state_dict"]
                for name, total in sums.items():
                    total += found[name]
            state |= {
                name: (total / len(epochs)).to(state[name].dtype) for name, total in sums.items()
            }
            averaged = checkpoint | {"state_dict": state, "averaged": epochs}
            CheckpointFiles(checkpoint["sermm"]).save_checkpoint(averaged, self.best)
        for path in self.best.parent.glob("top-*.ckpt"):
            path.unlink()

    def _is_better(self, score: float) -> bool:
        if math.isnan(self.best_score):
            return not math.isnan(score)
        return score > self.best_score if self.higher_is_better else score < self.best_score

    def _stop_in_time(self, trainer: L.Trainer, epoch: int) -> None:
        if self.patience and self.best_epoch is not None:
            trainer.should_stop = epoch - self.best_epoch >= self.patience


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint that a run wrote; nothing in it is executed.

    Returns:
        What was saved, on the CPU, with the run's record under ``sermm``.

    Raises:
        ModelError: The file is missing, damaged, or no checkpoint of sermm.
    """
    if not path.is_file():
        raise ModelError(path, expected="a checkpoint", got="no file", fix="check the path")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        _ = checkpoint["sermm"]["version"], checkpoint["state_dict"]
    except Exception as error:
        # torch.load raises many types for damaged files; all mean the same to the user
        raise ModelError(
            path,
            expected="a checkpoint written by sermm",
            got=f"{type(error).__name__}: {error}".splitlines()[0],
            fix="train again, or give another checkpoint",
        ) from error
    return dict(checkpoint)
