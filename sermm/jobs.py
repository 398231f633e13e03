"""Commands of sermm as jobs, by submitit: processes on this machine, or an array on SLURM.

A job is one command line. It runs as the user could type it, in the same folder and the same
Python; what it has done, it finds again, so a job that is preempted or runs out of time is queued
again and goes on (SLURM). Logs lie in the folder of the jobs. Imports no torch.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.live import Live

from data_modules.errors import ConfigError
from sermm.engines import Engine, build_executor
from sermm.gpus import Packing, gpu_environment
from sermm.jobs_watch import Queue, jobs_table, last_line
from sermm.rundir import COMMAND_VARIABLE, user_command
from sermm.terminal import console, say

_POLL_S = 0.5
# what a cancelled job on this machine has to end by itself
_STOP_S = 10.0


@dataclass(frozen=True)
class Job:
    """One command.

    Attributes:
        name: For the user, unique among jobs that run together.
        arguments: Of sermm, without its name.
        environment: Variables to set before anything is imported.
    """

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JobsOutcome:
    """How jobs ended.

    Attributes:
        finished: Names of those that ended well.
        failed: Names of the others, with the last line of their log and where it lies.
    """

    finished: list[str]
    failed: dict[str, str]


class Command:
    """A command of sermm, as submitit takes it: called in the process of the job."""

    def __init__(self, job: Job, engine: Engine) -> None:
        self.arguments = list(job.arguments)
        self.folder = str(Path.cwd())
        self.environment = {COMMAND_VARIABLE: user_command(), **job.environment}
        self.local = engine.kind == "local"
        # submitit's local executor hides all GPUs unless it is asked for some
        self.keeps_gpus = self.local and "gpus_per_node" not in engine.options
        self.gpus = os.environ.get("CUDA_VISIBLE_DEVICES")

    def __call__(self) -> int:
        """Run it; returns its exit status."""
        os.chdir(self.folder)
        if self.local:
            _end_with_parent()
        if self.keeps_gpus:
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)
            if self.gpus is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = self.gpus
        os.environ.update(self.environment)
        from sermm.cli import run

        return run(self.arguments)

    def checkpoint(self) -> Any:
        """What is queued again after preemption or at the end of the time: the same command."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def _end_with_parent() -> None:
    """Of a job on this machine: SIGTERM, which submitit ignores, ends it as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if sys.platform == "linux":
        # PR_SET_PDEATHSIG: killed with the process that watches it
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))


def run_jobs(
    jobs: Sequence[Job],
    engine: Engine,
    folder: Path,
    *,
    title: str,
    detail: Callable[[Job], str] | None = None,
    on_poll: Callable[[], None] | None = None,
    aside: Callable[[], str] | None = None,
    packing: Packing | None = None,
) -> JobsOutcome:
    """Run jobs and wait for all of them; a failed one does not stop the others.

    Whatever ends this call early (Ctrl-C above all) cancels the jobs.

    Args:
        jobs: The jobs; names differ.
        engine: Where.
        folder: For logs and what submitit keeps. On SLURM all nodes must see it.
        title: Of the table.
        detail: What a running job has got to, for the table; its last line by default.
        on_poll: Called twice a second.
        aside: Something to tell beside the numbers of jobs.
        packing: On this machine: which GPUs each job gets; none: all that are there.

    Raises:
        ConfigError: An option of the engine is wrong, or there is no SLURM, or it takes no jobs.
    """
    if not jobs:
        return JobsOutcome([], {})
    executor = build_executor(engine, folder, title)
    if engine.kind == "slurm":
        submitted = _submit([Command(job, engine) for job in jobs], executor)
        running = dict(zip((job.name for job in jobs), submitted, strict=True))
        waiting: list[Job] = []
        console.print(f"{len(jobs)} jobs of SLURM: {submitted[0].job_id.partition('_')[0]}")
    else:
        running, waiting = {}, list(jobs)
    outcome = JobsOutcome([], {})
    watch = Queue() if engine.kind == "slurm" else None
    started = time.monotonic()
    by_name = {job.name: job for job in jobs}
    try:
        with Live(console=console, transient=True, auto_refresh=False) as live:
            while waiting or running:
                while waiting and len(running) < (engine.at_once or 1):
                    job = waiting[0]
                    gpus = packing.place(job.name) if packing is not None else []
                    if gpus is None:
                        break
                    waiting.pop(0)
                    seen = {**job.environment, **gpu_environment(gpus)}
                    command = Command(replace(job, environment=seen), engine)
                    running[job.name] = executor.submit(command)
                for name, handle in list(running.items()):
                    if _is_done(handle, watch):
                        del running[name]
                        if packing is not None:
                            packing.leave(name)
                        _settle(name, handle, outcome)
                if console.is_terminal:
                    done = (
                        f"{len(outcome.finished)} finished, {len(outcome.failed)} failed, "
                        f"{len(waiting)} waiting, {time.monotonic() - started:.0f} s"
                    )
                    beside = aside() if aside is not None else ""
                    done += f", {beside}" if beside else ""
                    rows = [
                        _row(by_name[n], handle, watch, detail) for n, handle in running.items()
                    ]
                    live.update(jobs_table(f"{title}: {done}", rows), refresh=True)
                if on_poll is not None:
                    on_poll()
                if waiting or running:
                    time.sleep(_POLL_S)
    finally:
        _cancel(running)
    return outcome


def _submit(commands: Sequence[Command], executor: Any) -> list[Any]:
    """An array of jobs; the error is sbatch's, of no controller or a wrong partition."""
    from submitit.core.utils import FailedJobError

    try:
        return list(executor.submit_array(commands))
    except FailedJobError as error:
        raise ConfigError(
            "--on slurm",
            expected="sbatch to take the jobs",
            got="; ".join(str(error).strip().splitlines()),
            fix="correct what it names, such as --on-option slurm_partition=NAME",
        ) from None


def _row(
    job: Job, handle: Any, watch: Queue | None, detail: Callable[[Job], str] | None
) -> tuple[str, ...]:
    state = "RUNNING" if watch is None else watch.states.get(handle.job_id, "SUBMITTED")
    now = detail(job) if detail is not None else last_line(handle.paths.stdout)
    return job.name, state.lower(), str(handle.job_id), now


def _is_done(handle: Any, watch: Queue | None) -> bool:
    if watch is None:
        return bool(handle.done())
    with suppress(OSError):
        # file systems of clusters show a new file only after a change of the folder
        handle.paths.folder.touch()
    return handle.paths.result_pickle.exists() or watch.has_vanished(handle.job_id)


def _settle(name: str, handle: Any, outcome: JobsOutcome) -> None:
    """Note how a job ended, and say it."""
    reason = "it was killed, or ran out of memory"
    if handle.paths.result_pickle.exists():
        error = handle.exception()
        status = 0 if error is not None else handle.result()
        reason = f"exit status {status}" if status else ""
        if error is not None:
            reason = str(error).strip().splitlines()[-1]
    if not reason:
        outcome.finished.append(name)
        say(f"  {name} finished")
        return
    said = last_line(handle.paths.stdout) or "no output"
    outcome.failed[name] = f"{said} ({reason}; see {handle.paths.stdout})"
    say(f"  {name} failed: {outcome.failed[name]}", style="red")


def _cancel(running: Mapping[str, Any]) -> None:
    """End what still runs: politely, then for good."""
    processes = []
    for handle in running.values():
        process = getattr(handle, "_process", None)
        if process is None:
            with suppress(Exception):  # a job that has ended meanwhile
                handle.cancel(check=False)
        else:
            # not SIGINT, as submitit would, which is ignored below a process in the background
            process.terminate()
            processes.append(process)
    deadline = time.monotonic() + _STOP_S
    for process in processes:
        try:
            process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
