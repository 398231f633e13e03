"""A sweep without an account: Optuna proposes, trials run as processes of their own.

Any number of these may work on one sweep, on one machine or on several that share its folder. A
trial that is killed is tried again and goes on from its last epoch, a worker that is killed loses
its trials to the others, and the same command goes on where it was stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import TrialState

from data_modules.atomic import write_text
from data_modules.errors import DataError, RunFailedError
from sermm.children import Child, end_groups, start_child
from sermm.config import Config
from sermm.gpus import Packing, gpu_environment, run_gpus
from sermm.results import read_history
from sermm.run_metrics import RunKey
from sermm.sweep.check import as_override
from sermm.sweep.file import Sweep
from sermm.sweep.study import (
    VALUES,
    best_of,
    defaults,
    enqueue,
    grid,
    heard_out,
    open_study,
    propose,
    values_of,
)
from sermm.sweep.table import TrialTable
from sermm.sweep.workers import is_alive, others_live, work_on
from sermm.terminal import say
from sermm.trial import AGENT_VARIABLE, read_trial_value

_POLL_S = 0.3
_MOST_FAILURES = 5
_LOG_NAME = "log.txt"


@dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Attributes:
        workers: Trials at once.
        count: Trials in all, those of earlier calls and of other machines included.
        seed: Of the proposals.
        overrides: Settings that all trials share, after those of the file.
    """

    workers: int
    count: int
    seed: int
    overrides: tuple[str, ...]


def sweep_folder(sweep: Sweep, base: Config) -> Path:
    """``runs/sweeps/NAME``."""
    return Path(base.runs) / "sweeps" / sweep.name


def how_many(sweep: Sweep, count: int | None) -> int | None:
    """Trials to run: as asked, as the file says, or the whole grid; None if nobody says."""
    size = sum(1 for _ in grid(sweep)) if sweep.method == "grid" else None
    stated = [number for number in (count, size, sweep.run_cap) if number is not None]
    return min(stated) if stated else None


@dataclass
class _Running:
    trial: optuna.Trial
    values: dict[str, Any]
    folder: Path
    child: Child
    epochs: int = 0  # that were reported
    best: float | None = None  # of them


class Search:
    """One process that works on a sweep.

    Args:
        sweep: What is searched.
        base: The configuration that trials start from.
        options: How to search.

    Raises:
        ConfigError: There are fewer GPUs than a trial needs.
    """

    def __init__(self, sweep: Sweep, base: Config, options: SearchOptions) -> None:
        self.sweep, self.base, self.options = sweep, base, options
        self.folder = sweep_folder(sweep, base)
        self.running: list[_Running] = []
        self.failures = 0  # in a row
        groups = run_gpus(base)
        share = math.ceil(options.workers / len(groups)) if groups else 1
        self.packing = Packing(groups, share) if groups else None

    def run(self) -> optuna.Study:
        """Work until there are enough trials, or a value reaches the target.

        Raises:
            RunFailedError: Trial after trial fails.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._expect_same()
        with work_on(self.folder) as number, TrialTable(self.sweep) as table:
            self.number = number
            study = self.study = open_study(
                self.sweep, self.folder, seed=self.options.seed + 1000 * (number - 1)
            )
            if not study.get_trials(deepcopy=False) and self.sweep.method != "grid":
                self._begin_with_defaults()
            try:
                while True:
                    self._requeue_orphans()
                    while len(self.running) < self.options.workers and self._wants_more():
                        if not self._start():
                            break
                    for one in list(self.running):
                        self._look_at(one)
                    table.show(study, {one.trial.number: one.epochs for one in self.running})
                    if not self.running and not self._wants_more(waiting_for_others=True):
                        return study
                    time.sleep(_POLL_S)
            finally:
                end_groups([one.child.process for one in self.running])
                for one in self.running:
                    one.child.log.close()

    def _expect_same(self) -> None:
        """A folder holds the trials of one question.

        Raises:
            DataError: The file, or a setting, is another one than when the search began.
        """
        record = {"file": dict(self.sweep.tree), "settings": list(self.options.overrides)}
        path = self.folder / "sweep.yaml"
        text = yaml.safe_dump(record, sort_keys=False)
        if not path.is_file():  # whole at every moment: others may begin, and be killed, now
            write_text(path, text)
        if path.read_text(encoding="utf-8") != text:
            raise DataError(
                self.folder,
                expected="trials of this sweep file with these settings",
                got="those of another",
                fix="give the file another name, or remove the folder",
            )

    def _begin_with_defaults(self) -> None:
        values = defaults(self.sweep, self.base)
        if values is None:
            say("the experiment's own values are not among those that this sweep tries")
        else:
            enqueue(self.study, self.sweep, values, {"default": True})

    def _wants_more(self, *, waiting_for_others: bool = False) -> bool:
        """Whether trials are missing, those under way counted as done unless we wait for them."""
        kept = heard_out(self.study)
        best = best_of(kept, maximise=self.sweep.maximise)
        if best is not None and self.sweep.target is not None and best.value is not None:
            sign = 1 if self.sweep.maximise else -1
            if sign * (best.value - self.sweep.target) >= 0:
                return False
        under_way = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if waiting_for_others and self._grid_is_done():
            return bool(under_way or self.study.get_trials(states=(TrialState.WAITING,)))
        done = len(kept) if waiting_for_others else len(kept) + len(under_way)
        return done < self.options.count

    def _grid_is_done(self) -> bool:
        if self.sweep.method != "grid":
            return False
        known = [values_of(trial) for trial in self.study.get_trials(deepcopy=False)]
        return all(values in known for values in grid(self.sweep))

    def _requeue_orphans(self) -> None:
        """Trials of workers that are gone are tried again."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            worker = trial.user_attrs.get("worker")
            if worker == self.number:
                continue
            # one that was killed as it began a trial has not yet said that it is its own
            if is_alive(self.folder, worker) if worker else others_live(self.folder, self.number):
                continue
            try:
                self.study.tell(trial.number, state=TrialState.FAIL)
            except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
                continue  # it had ended when its worker went, or another worker saw it first
            if "folder" in trial.user_attrs:
                self._again(values_of(trial), trial.user_attrs)
            say(f"  trial {trial.number}: its worker is gone; tried again", style="yellow")

    def _again(self, values: dict[str, Any], attributes: dict[str, Any]) -> None:
        kept = {name: attributes[name] for name in ("default",) if name in attributes}
        kept |= {"folder": attributes["folder"], "again": attributes.get("again", 0) + 1}
        kept[VALUES] = values
        enqueue(self.study, self.sweep, values, kept)

    def _start(self) -> bool:
        proposed = propose(self.study, self.sweep)
        if proposed is None:
            return False
        trial, values = proposed
        trial.set_user_attr("worker", self.number)
        name = trial.user_attrs.get("folder") or f"trial={trial.number:04d}"
        trial.set_user_attr("folder", name)
        folder = self.folder / name
        command = ["trial", self.sweep.experiment]
        command += [*self.sweep.overrides, *self.options.overrides]
        command += [as_override(key, value) for key, value in values.items()]
        command += [f"runs={self.folder}", f"name={name}"]
        command += self._tracking()
        gpus = self.packing.place(trial.number) if self.packing else []
        assert gpus is not None, "there is a place for each worker"
        child = start_child(
            command,
            folder / _LOG_NAME,
            threads=self.base.trainer.num_threads,
            environment={AGENT_VARIABLE: self.sweep.name, **gpu_environment(gpus)},
        )
        self.running.append(_Running(trial, values, folder, child))
        return True

    def _tracking(self) -> list[str]:
        """Trials are not sent to W&B unless it is asked for: the study is their record."""
        stated = (*self.sweep.overrides, *self.options.overrides)
        asked = any(text.startswith("tracking.wandb=") for text in stated)
        return [] if asked else ["tracking.wandb=disabled"]

    def _look_at(self, one: _Running) -> None:
        status = one.child.process.poll()
        if self._report(one) and status is None:
            end_groups([one.child.process])
            self._end(one, TrialState.PRUNED)
            return
        if status is None:
            return
        if status == 0:
            value = read_trial_value(one.folder)
            self._end(one, TrialState.FAIL if math.isnan(value) else TrialState.COMPLETE, value)
            return
        why = one.child.last_line(status)
        again = one.trial.user_attrs.get("again", 0)
        # a signal comes from outside and says nothing of the values; twice it may be memory
        if status < 0 and again < 2:
            self._again(one.values, one.trial.user_attrs)
            why = f"{why}; tried again"
        else:
            self.failures += 1
        say(f"  trial {one.trial.number} failed: {why}", style="red")
        self._end(one, TrialState.FAIL)
        if self.failures >= _MOST_FAILURES:
            raise RunFailedError(
                f"sweep {self.sweep.name}",
                expected="trials that finish",
                got=f"{self.failures} in a row that failed, at last: {why}",
                fix="mend the cause and run the same command again; finished trials are kept",
            )

    def _report(self, one: _Running) -> bool:
        """Tell the study of new epochs; whether the trial is to be given up."""
        if self.sweep.early is None:
            return False
        # the best so far: its weights are those that would be kept
        for value in read_scores(one.folder, self.base, self.sweep.metric)[one.epochs :]:
            known = [v for v in (one.best, value) if v is not None and not math.isnan(v)]
            if known:
                one.best = max(known) if self.sweep.maximise else min(known)
            one.epochs += 1
            one.trial.report(math.nan if one.best is None else one.best, one.epochs)
            if one.trial.should_prune():
                return True
        return False

    def _end(self, one: _Running, state: TrialState, value: float = math.nan) -> None:
        finished = state == TrialState.COMPLETE
        self.running.remove(one)
        one.child.log.close()
        if self.packing is not None:
            self.packing.leave(one.trial.number)
        self.study.tell(one.trial, value if finished else None, state)
        if state == TrialState.FAIL:
            return
        self.failures = 0
        shown = value if finished else one.best
        how = "" if finished else f" after {one.epochs} epochs, given up"
        texts = " ".join(f"{key}={_short(item)}" for key, item in one.values.items())
        say(f"  trial {one.trial.number}: {self.sweep.metric} {shown:.4f}{how}: {texts}")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def read_scores(folder: Path, base: Config, metric: str) -> Sequence[float]:
    """Scores of the epochs that the single run of a trial has finished; NaN where undefined."""
    assert base.plan.folds is not None
    key = RunKey(base.plan.folds[0], base.plan.seeds[0], base.size)
    run = folder / key.folder_name
    if not (run / "history.csv").is_file():
        return []
    return [float(value) for value in read_history(run).columns[metric]]
