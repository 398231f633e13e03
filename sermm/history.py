"""``history.csv``: one row an epoch, whole on disk after each, continued by a resumed run.

Where validation comes after a number of updates, such a stretch takes the place of an epoch.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import lightning as L

from data_modules.atomic import write_atomically
from data_modules.errors import DataError


class HistoryWriter(L.Callback):
    """Write the epoch's figures when it ends.

    Args:
        path: Of the CSV file.
        scores: Names of the validation scores, such as ``ua``.
        with_step: Whether to tell the number of updates, which epochs do without.
    """

    def __init__(self, path: Path, *, scores: Sequence[str], with_step: bool = False) -> None:
        self.path = path
        named = (f"val/{name}" for name in scores)
        step = ("step",) if with_step else ()
        self.columns = ("epoch", *step, "train/loss", "val/loss", *named, "lr")
        self.rows: list[dict[str, Any]] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the rows of the epochs that a resumed run does not repeat.

        Raises:
            DataError: They are not all there.
        """
        self.rows = []
        if trainer.current_epoch > 0 and trainer.is_global_zero:
            self.rows = self._read(trainer.current_epoch)

    def _read(self, num_epochs: int) -> list[dict[str, Any]]:
        """The rows of the first epochs."""
        try:
            with self.path.open(encoding="utf-8", newline="") as stream:
                rows = list(csv.DictReader(stream, strict=True))
            found = [int(row["epoch"]) for row in rows[:num_epochs]]
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise self._damaged(num_epochs, str(error)) from None
        if found != list(range(num_epochs)):
            raise self._damaged(num_epochs, f"epochs {found}")
        return rows[:num_epochs]

    def _damaged(self, num_epochs: int, got: str) -> DataError:
        return DataError(
            self.path,
            expected=f"a row for each of the {num_epochs} epochs that were trained",
            got=got,
            fix="put the file back, or remove the run folder and train again",
        )

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add a row. Validation has run by now, so its figures are those of this epoch."""
        if not trainer.is_global_zero:
            return
        measured = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if "step" in self.columns:
            measured["step"] = trainer.global_step
        measured["lr"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        row = {name: f"{measured[name]:.6g}" for name in self.columns[1:] if name in measured}
        self.rows.append({"epoch": trainer.current_epoch, **row})

        def write(stream: IO[str]) -> None:
            writer = csv.DictWriter(stream, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)

        write_atomically(self.path, write)
