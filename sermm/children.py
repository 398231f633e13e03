"""Commands of sermm in processes of their own: started, asked why they failed, ended.

Imports no torch.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sermm.nursery import Nursery, NurseryRun

_STOP_S = 10.0
Process = subprocess.Popen[bytes] | NurseryRun


@dataclass
class Child:
    """A command that runs.

    Attributes:
        process: It leads a group of its own.
        log: Its open log.
        path: Of the log.
        log_start: Where its part of the log begins, in bytes; what stands before is of earlier
            attempts.
    """

    process: Process
    log: IO[bytes]
    path: Path
    log_start: int

    def last_line(self, status: int) -> str:
        """What it said last, and how it ended.

        Args:
            status: Its exit status, or minus the signal that ended it.
        """
        with self.path.open("rb") as stream:
            stream.seek(self.log_start)
            lines = stream.read().decode(errors="replace").splitlines()
        said = next((line for line in reversed(lines) if line.strip()), "")
        reason = f"signal {-status}" if status < 0 else f"exit status {status}"
        return f"{said or 'no output'} ({reason}; see {self.path})"


def child_environment(threads: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Variables of a command: those of this process, numbers of threads, and others."""
    return {
        **os.environ,
        # read when torch is imported: setting it later does not reach every library
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        **environment,
    }


def start_child(
    arguments: Sequence[str],
    log: Path,
    *,
    threads: int,
    environment: Mapping[str, str],
    nursery: Nursery | None = None,
) -> Child:
    """Start a command of sermm.

    Args:
        arguments: Without the program's name.
        log: What it says is added to this file; its folder is made.
        threads: That it computes with.
        environment: Variables beside those of this process.
        nursery: Of which it is a copy, whose environment has these variables; None: a new process.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    stream = log.open("ab")
    start = stream.tell()
    if nursery is not None:
        return Child(nursery.start(arguments, log), stream, log, start)
    process = subprocess.Popen(
        [sys.executable, "-m", "sermm", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stream,
        stderr=subprocess.STDOUT,
        env=child_environment(threads, environment),
        # a group of its own, so that loader workers and ranks end with it
        start_new_session=True,
    )
    return Child(process, stream, log, start)


def end_groups(processes: Sequence[Process]) -> None:
    """End processes and what they started, such as loader workers: politely, then for good."""
    try:
        for process in processes:
            if process.poll() is None:
                # not SIGINT, which a process that was started in the background may ignore
                process.terminate()
        deadline = time.monotonic() + _STOP_S
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
    finally:
        # also when a second Ctrl-C says that this takes too long
        for process in processes:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in processes:
            process.wait()
