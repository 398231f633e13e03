"""The whole plan of an experiment: folds × seeds × sizes, each run in a process of its own.

On Linux without a GPU these are copies of one that has imported torch already (``nursery.py``).
Finished runs are skipped, several run at once, a failed one is reported and the rest carry on. One
that was killed from outside, or lost one of its processes, goes on once from its last checkpoint.
Imports no torch: a plan with nothing left to do answers at once.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from rich.progress import TaskID

from data_modules.atomic import write_text
from sermm.children import Child, child_environment, end_groups, start_child
from sermm.config import ALL, Config, to_yaml
from sermm.gpus import Packing, gpu_environment, run_gpus
from sermm.nursery import Nursery
from sermm.plan_progress import ScoreSoFar, epochs_done, num_validations
from sermm.ranks import num_ranks
from sermm.results import is_finished
from sermm.run_metrics import RunKey
from sermm.rundir import COMMAND_VARIABLE, experiment_folder, is_done, run_folder, user_command
from sermm.terminal import new_progress, say
from sermm.tracking import wandb_mode

_POLL_S = 0.2
LOG_NAME = "log.txt"


@dataclass(frozen=True)
class PlanOutcome:
    """How a plan ended.

    Attributes:
        finished: Runs that finished in this call.
        skipped: Runs that were finished before.
        failed: Runs that failed, with the last line of their log.
    """

    finished: list[RunKey]
    skipped: list[RunKey]
    failed: dict[RunKey, str]


def plan_runs(config: Config, num_folds: int) -> list[RunKey]:
    """The runs of a plan in the order they are started.

    Args:
        config: Its ``plan`` names folds, seeds and sizes.
        num_folds: Folds of the protocol; used where the plan names none.
    """
    folds = list(range(num_folds)) if config.plan.folds is None else config.plan.folds
    sizes = [None if size == ALL else int(size) for size in config.plan.sizes] or [None]
    return [
        RunKey(fold, seed, size) for size in sizes for seed in config.plan.seeds for fold in folds
    ]


def config_of(config: Config, key: RunKey) -> Config:
    """The configuration of one run of the plan."""
    return replace(config, fold=key.fold, seed=key.seed, size=key.size)


def num_workers(config: Config, num_runs: int) -> int:
    """How many runs go at once, as asked or as many as the cores carry; GPUs may set less."""
    if config.plan.workers:
        return min(config.plan.workers, num_runs)
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min((available or 1) // config.trainer.num_threads, num_runs))


@dataclass
class _Running:
    key: RunKey
    folder: Path
    child: Child
    bar: TaskID
    rows: int  # of its history, of earlier attempts

    def has_validated(self) -> bool:
        """Since it was started; by then it has taken what memory it needs."""
        return epochs_done(self.folder) > self.rows


def execute(config: Config, keys: Sequence[RunKey], data_sha256: str) -> PlanOutcome:
    """Run what is not finished.

    Args:
        config: Of the experiment; corpus, word times and features are in place already.
        keys: The runs of the plan.
        data_sha256: Hash of the data as it is now; finished runs must carry the same.

    Raises:
        ConfigError: A run folder belongs to another configuration or to other data.
    """
    skipped = [key for key in keys if is_done(config_of(config, key), data_sha256)]
    waiting = [key for key in keys if key not in skipped]
    outcome = PlanOutcome(finished=[], skipped=skipped, failed={})
    if not waiting:
        return outcome
    file = experiment_folder(config) / "experiment.yaml"
    write_text(file, to_yaml(config))
    workers = num_workers(config, len(waiting))
    gpus = run_gpus(config)
    packing = Packing(gpus, config.plan.runs_per_gpu) if gpus else None
    running: list[_Running] = []
    with ExitStack() as stack:
        progress = stack.enter_context(new_progress())
        nursery = None
        if len(waiting) > 1 and _can_be_copies(config, on_gpu=bool(gpus)):
            nursery = stack.enter_context(
                Nursery(
                    child_environment(config.trainer.num_threads, _variables([])),
                    # most of what W&B imports; not itself: the folder for temporary files that it
                    # makes then would be one for all runs, and go with the first
                    also=() if wandb_mode(config) == "disabled" else ("pandas", "pydantic"),
                )
            )
        total = progress.add_task(f"{config.name}: runs", total=len(keys), completed=len(skipped))
        stack.callback(_stop, running)
        score, again = ScoreSoFar(config, keys), set[RunKey]()
        while waiting or running:
            while waiting and len(running) < workers:
                key = waiting[0]
                settled = {one.key for one in running if one.has_validated()}
                place = packing.place(key, settled) if packing else []
                if place is None:
                    break
                waiting.pop(0)
                bar = progress.add_task(f"  {key.folder_name}", total=num_validations(config))
                running.append(_start(config, key, file, place, bar, nursery))
            for one in list(running):
                progress.update(one.bar, completed=epochs_done(one.folder))
                status = one.child.process.poll()
                if status is None:
                    continue
                running.remove(one)
                one.child.log.close()
                progress.remove_task(one.bar)
                progress.advance(total)
                finished = status == 0 and is_finished(one.folder)
                why = "" if finished else one.child.last_line(status)
                full = why.startswith("error: memory in ")
                crowded = packing is not None and packing.leave(one.key, out_of_memory=full)
                if finished:
                    outcome.finished.append(one.key)
                    say(f"  {one.key.folder_name} finished")
                    continue
                died = _has_died(why, status) and one.key not in again
                if died or (full and crowded):
                    again.add(one.key)
                    waiting.insert(0, one.key)
                    progress.advance(total, -1)
                    say(f"  {one.key.folder_name} goes on once more after: {why}", style="yellow")
                    continue
                outcome.failed[one.key] = why
                say(f"  {one.key.folder_name} failed: {why}", style="red")
            told = (
                f"{config.name}: {len(running)} running",
                f"{len(outcome.failed)} failed" if outcome.failed else "",
                score.text(),
                "runs",
            )
            progress.update(total, description=", ".join(filter(None, told)))
            time.sleep(_POLL_S)
    return outcome


def run_arguments(key: RunKey, file: Path) -> list[str]:
    """The command line of a run, without the program's name."""
    size = "null" if key.size is None else str(key.size)
    return ["fit", str(file), "--ready", f"fold={key.fold}", f"seed={key.seed}", f"size={size}"]


def _can_be_copies(config: Config, *, on_gpu: bool) -> bool:
    """Whether runs can be copies of one process, which CUDA and several processes a run cannot."""
    return sys.platform == "linux" and not on_gpu and num_ranks(config) == 1


def _variables(gpus: Sequence[str]) -> dict[str, str]:
    return {COMMAND_VARIABLE: user_command(), **gpu_environment(gpus)}


def _start(
    config: Config,
    key: RunKey,
    file: Path,
    gpus: Sequence[str],
    bar: TaskID,
    nursery: Nursery | None,
) -> _Running:
    folder = run_folder(config_of(config, key))
    rows = epochs_done(folder)
    child = start_child(
        run_arguments(key, file),
        folder / LOG_NAME,
        threads=config.trainer.num_threads,
        environment=_variables(gpus),
        nursery=nursery,
    )
    return _Running(key, folder, child, bar, rows)


def _stop(running: list[_Running]) -> None:
    """End what still runs, after Ctrl-C or an error in the plan."""
    try:
        end_groups([one.child.process for one in running])
    finally:
        for one in running:
            one.child.log.close()


def _has_died(why: str, status: int) -> bool:
    """Whether a run was ended from outside, or lost one of its processes, and may go on."""
    return status < 0 or why.startswith("error: rank ")
