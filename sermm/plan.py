"""The whole plan of an experiment: folds × seeds × sizes, each run in a process of its own.

Finished runs are skipped, several run at once, a failed one is reported and the rest carry on. One
that was killed from outside, or lost one of its processes, goes on once from its last checkpoint.
Imports no torch: a plan with nothing left to do answers at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from rich.progress import TaskID

from data_modules.atomic import write_text
from sermm.config import ALL, Config, to_yaml
from sermm.plan_progress import ScoreSoFar, epochs_done, num_validations
from sermm.results import is_finished
from sermm.run_metrics import RunKey
from sermm.rundir import COMMAND_VARIABLE, experiment_folder, is_done, run_folder, user_command
from sermm.terminal import new_progress, say

_POLL_S = 0.2
_STOP_S = 10.0
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
    """How many runs go at once: as asked, or as many as the cores (or GPUs) carry."""
    if config.plan.workers:
        return min(config.plan.workers, num_runs)
    if config.trainer.accelerator != "cpu" and _has_gpu():
        return 1
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min((available or 1) // config.trainer.num_threads, num_runs))


def _has_gpu() -> bool:
    # torch would take seconds to say it; the driver's device node says the same
    return Path("/dev/nvidiactl").exists()


@dataclass
class _Child:
    key: RunKey
    folder: Path
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    log_start: int  # what stands before it in the log is of earlier attempts
    bar: TaskID


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
    running: list[_Child] = []
    with ExitStack() as stack:
        progress = stack.enter_context(new_progress())
        total = progress.add_task(f"{config.name}: runs", total=len(keys), completed=len(skipped))
        stack.callback(_stop, running)
        score, again = ScoreSoFar(config, keys), set[RunKey]()
        while waiting or running:
            while waiting and len(running) < workers:
                key = waiting.pop(0)
                bar = progress.add_task(f"  {key.folder_name}", total=num_validations(config))
                running.append(_start(config, key, file, bar))
            for child in list(running):
                progress.update(child.bar, completed=epochs_done(child.folder))
                status = child.process.poll()
                if status is None:
                    continue
                running.remove(child)
                child.log.close()
                progress.remove_task(child.bar)
                progress.advance(total)
                if status == 0 and is_finished(child.folder):
                    outcome.finished.append(child.key)
                    say(f"  {child.key.folder_name} finished")
                    continue
                why = _last_line(child, status)
                if _has_died(why, status) and child.key not in again:
                    again.add(child.key)
                    waiting.insert(0, child.key)
                    progress.advance(total, -1)
                    say(f"  {child.key.folder_name} goes on once more after: {why}", style="yellow")
                    continue
                outcome.failed[child.key] = why
                say(f"  {child.key.folder_name} failed: {why}", style="red")
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


def _start(config: Config, key: RunKey, file: Path, bar: TaskID) -> _Child:
    folder = run_folder(config_of(config, key))
    folder.mkdir(parents=True, exist_ok=True)
    log = (folder / LOG_NAME).open("ab")
    log_start = log.tell()
    command = [sys.executable, "-m", "sermm", *run_arguments(key, file)]
    threads = str(config.trainer.num_threads)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={
            **os.environ,
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            COMMAND_VARIABLE: user_command(),
        },
        # a group of its own, so that loader workers end with it
        start_new_session=True,
    )
    return _Child(key, folder, process, log, log_start, bar)


def _stop(running: list[_Child]) -> None:
    """End what still runs (Ctrl-C or an error in the plan): politely, then for good."""
    try:
        for child in running:
            # not SIGINT, which a process that was started in the background may ignore
            child.process.terminate()
        deadline = time.monotonic() + _STOP_S
        for child in running:
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(timeout=max(0.1, deadline - time.monotonic()))
    finally:
        # also when a second Ctrl-C says that this takes too long
        for child in running:
            _kill_group(child)
            child.process.wait()
            child.log.close()


def _kill_group(child: _Child) -> None:
    """Kill a child and what it started, such as loader workers."""
    with suppress(ProcessLookupError):
        os.killpg(child.process.pid, signal.SIGKILL)


def _has_died(why: str, status: int) -> bool:
    """Whether a run was ended from outside, or lost one of its processes, and may go on."""
    return status < 0 or why.startswith("error: rank ")


def _last_line(child: _Child, status: int) -> str:
    path = child.folder / LOG_NAME
    with path.open("rb") as stream:
        stream.seek(child.log_start)
        lines = stream.read().decode(errors="replace").splitlines()
    said = next((line for line in reversed(lines) if line.strip()), "")
    reason = f"signal {-status}" if status < 0 else f"exit status {status}"
    return f"{said or 'no output'} ({reason}; see {path})"
