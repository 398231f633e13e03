"""Commands of sermm as jobs, by submitit: processes on this machine, or an array on SLURM.

A job is one command line. It runs as the user could type it, in the same folder and the same
Python; what it has done, it finds again, so a job that is preempted or runs out of time is queued
again and goes on (SLURM). Logs lie in the folder of the jobs. Imports no torch.
"""

from __future__ import annotations

import ctypes
import difflib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from rich.live import Live

from data_modules.errors import ConfigError
from sermm.gpus import Packing, gpu_environment
from sermm.jobs_watch import Queue, jobs_table, last_line
from sermm.rundir import COMMAND_VARIABLE, user_command
from sermm.terminal import console, say

_POLL_S = 0.5
# what a cancelled job on this machine has to end by itself
_STOP_S = 10.0
# submitit lets a job end after minutes by default; one on SLURM that runs out of time goes on
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "local": {"timeout_min": 60 * 24 * 365},
    "slurm": {"timeout_min": 60 * 24},
}
OPTIONS = (
    *("timeout_min", "mem_gb", "cpus_per_task", "gpus_per_node", "nodes", "tasks_per_node"),
    *("slurm_partition", "slurm_time", "slurm_account", "slurm_qos", "slurm_constraint"),
    *("slurm_gres", "slurm_mem", "slurm_array_parallelism", "slurm_setup", "slurm_exclude"),
    *("slurm_additional_parameters", "slurm_mail_user", "slurm_mail_type", "slurm_use_srun"),
)
"""Options that a misspelt one is compared with; all of submitit's are taken."""


@dataclass(frozen=True)
class Engine:
    """Where jobs run.

    Attributes:
        kind: ``local`` or ``slurm``.
        at_once: How many run at a time; None on SLURM: as many as it gives.
        options: Of submitit (``update_parameters``), by its names.
    """

    kind: Literal["local", "slurm"]
    at_once: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


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


def parse_engine(on: str, options: Sequence[str] = ()) -> Engine:
    """What ``--on`` and ``--on-option`` say.

    Args:
        on: ``local:N``, ``slurm``, or ``slurm:N``; N jobs at a time.
        options: ``key=value`` each, such as ``slurm_partition=gpu`` or ``timeout_min=600``.

    Raises:
        ConfigError: It is none of these.
    """
    matched = re.fullmatch(r"(local):([1-9]\d*)|(slurm)(?::([1-9]\d*))?", on)
    if matched is None:
        raise ConfigError(
            "--on", expected="local:N, slurm or slurm:N", got=repr(on), fix="choose one of these"
        )
    given: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not (equals and key.isidentifier()):
            raise ConfigError(
                "--on-option", expected="key=value", got=repr(option), fix="write it so"
            )
        given[key] = yaml.safe_load(value)
    if matched[1]:
        return Engine("local", int(matched[2]), given)
    return Engine("slurm", int(matched[4]) if matched[4] else None, given)


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
        ConfigError: An option of the engine is wrong, or there is no SLURM.
    """
    if not jobs:
        return JobsOutcome([], {})
    executor = _executor(engine, folder, title)
    if engine.kind == "slurm":
        submitted = executor.submit_array([Command(job, engine) for job in jobs])
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


def _row(
    job: Job, handle: Any, watch: Queue | None, detail: Callable[[Job], str] | None
) -> tuple[str, ...]:
    state = "RUNNING" if watch is None else watch.states.get(handle.job_id, "SUBMITTED")
    now = detail(job) if detail is not None else last_line(handle.paths.stdout)
    return job.name, state.lower(), str(handle.job_id), now


def _executor(engine: Engine, folder: Path, title: str) -> Any:
    import submitit

    options = {**_DEFAULTS[engine.kind], **engine.options}
    if engine.kind == "slurm" and engine.at_once is not None:
        options["slurm_array_parallelism"] = engine.at_once
    name = re.sub(r"\W+", "_", f"sermm_{title}")
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=engine.kind)
    except RuntimeError as error:
        raise ConfigError(
            "--on", expected="a machine with SLURM's commands", got=str(error), fix="use local:N"
        ) from None
    try:
        executor.update_parameters(**{"name": name, "stderr_to_stdout": True, **options})
    except (NameError, AssertionError, ValueError, TypeError) as error:
        near = [
            f"did you mean {match[0]}?"
            for key in engine.options
            if key not in OPTIONS and (match := difflib.get_close_matches(key, OPTIONS, n=1))
        ]
        raise ConfigError(
            "--on-option",
            expected=f"options as submitit names them, such as {', '.join(OPTIONS[:4])}",
            got=str(error).splitlines()[0],
            fix=near[0] if near else "correct it",
        ) from None
    return executor


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
