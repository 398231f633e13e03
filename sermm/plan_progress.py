"""How far the runs of a plan have got, from what lies in their folders."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
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


class TimeLeft:
    """How long the runs that are not finished will take, from how far they have come by now.

    Args:
        config: Of the experiment.
        keys: The runs that are to be done.
        now: Seconds on a clock.
    """

    def __init__(
        self, config: Config, keys: Sequence[RunKey], now: Callable[[], float] = time.monotonic
    ) -> None:
        self.folders = [experiment_folder(config) / key.folder_name for key in keys]
        self.total = num_validations(config)
        self.now = now
        self.started, self.before = now(), self._done()

    def _done(self) -> float:
        """Runs, those under way by the share of their validations."""
        return sum(
            1.0
            if (folder / "metrics.json").is_file()
            # the test part and the files of a run come after its last validation
            else min(0.95, epochs_done(folder) / self.total if self.total else 0.0)
            for folder in self.folders
        )

    def text(self) -> str:
        """``about 12 min left``; nothing before anything was done. Early stopping makes it less."""
        done = self._done()
        if done <= self.before:
            return ""
        left_s = (len(self.folders) - done) * (self.now() - self.started) / (done - self.before)
        if left_s < 60:
            return f"about {left_s:.0f} s left"
        if left_s < 7200:
            return f"about {left_s / 60:.0f} min left"
        return f"about {left_s / 3600:.1f} h left"


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
