"""How far the runs of a plan have got, from what lies in their folders."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from data_modules.errors import DataError
from sermm.config import Config
from sermm.run_metrics import RunKey, read_run_metrics
from sermm.rundir import experiment_folder


def epochs_done(folder: Path) -> int:
    """Rows of a run's history, whatever they hold."""
    path = folder / "history.csv"
    if not path.is_file():
        return 0
    with path.open("rb") as stream:
        return max(0, sum(1 for _ in stream) - 1)


def num_validations(config: Config) -> int | None:
    """Rows of the history of a run that goes to its end; None where only its data says so."""
    optim = config.optim
    if optim.steps:
        return -(-optim.steps // optim.val_every_steps) if optim.val_every_steps else None
    return None if optim.val_every_steps else optim.epochs


class ScoreSoFar:
    """The mean headline score of the runs that have finished.

    Args:
        config: Of the experiment.
        keys: The runs of the plan.
    """

    def __init__(self, config: Config, keys: Sequence[RunKey]) -> None:
        self.folder = experiment_folder(config)
        self.missing = list(keys)
        self.values: list[float] = []
        self.title = ""

    def text(self) -> str:
        """``UA so far 0.612 (3 runs)``; nothing before the first."""
        for key in list(self.missing):
            path = self.folder / key.folder_name / "metrics.json"
            if not path.is_file():
                continue
            self.missing.remove(key)
            with suppress(DataError):  # the summary will tell
                metrics = read_run_metrics(path)
                headline = metrics.scoring.headline
                self.values.append(metrics.metrics[headline])
                self.title = metrics.scoring.metrics[headline].title
        if not self.values:
            return ""
        mean = sum(self.values) / len(self.values)
        return f"{self.title} so far {mean:.3f} ({len(self.values)} runs)"
