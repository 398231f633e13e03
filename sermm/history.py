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
        """Keep the rows of the epochs that a resumed run does not repeat."""
        self.rows = []
        if trainer.current_epoch > 0 and self.path.is_file():
            with self.path.open(encoding="utf-8", newline="") as stream:
                kept = [
                    r for r in csv.DictReader(stream) if int(r["epoch"]) < trainer.current_epoch
                ]
            self.rows = list(kept)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add a row. Validation has run by now, so its figures are those of this epoch."""
        if not trainer.is_global_zero:
            return
        measured = {name: float(value) for name, value in trainer.callback_metrics.items()}
        measured["step"] = trainer.global_step
        measured["lr"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        row = {name: f"{measured[name]:.6g}" for name in self.columns[1:] if name in measured}
        self.rows.append({"epoch": trainer.current_epoch, **row})

        def write(stream: IO[str]) -> None:
            writer = csv.DictWriter(stream, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)

        write_atomically(self.path, write)
