"""A process that has imported what runs need, and starts each run as a copy of itself.

To import torch and Lightning takes seconds of processor time, as long as a small run takes in all.
Copies are made (forked) before anything was computed, so a run finds what a fresh process finds,
and is as separate from the others: a session, a log and an end of its own. On Linux, without a GPU
and with one process a run: CUDA does not survive a fork, and Lightning starts further processes
of a training by the command line of the first. Imports no torch where it is used.

Each line to the process asks for a run; it answers with the number of the new process, and with a
line for each one that has ended. It ends with the process that started it.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from data_modules.errors import RunFailedError

_MODULES = ("sermm.commands", "sermm.run", "sermm.stages")
_POLL_S = 0.02


class Nursery:
    """Starts runs. Used as a context, which does not wait for them.

    Args:
        environment: Of all runs.
        also: Modules that these runs import beyond what all need.

    Raises:
        RunFailedError: From any use: the process has ended, as when it was killed.
    """

    _command = (sys.executable, "-m", "sermm.nursery")

    def __init__(self, environment: Mapping[str, str], also: Sequence[str] = ()) -> None:
        self._process = subprocess.Popen(
            [*self._command, *also],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the plan, which ends the runs
        )
        self._rest = b""
        # of each number the run that has it now: in a long plan the system gives numbers again
        self._running: dict[int, NurseryRun] = {}
        self._is_owed = False  # a run that was asked for and not yet handed out

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # what it did not read any more
            self._process.stdin.close()
        if self._is_owed:
            self._end_owed()
        self._process.stdout.close()
        self._process.wait()

    def _end_owed(self) -> None:
        """Whoever asked was stopped before the answer came: nobody else knows of that run."""
        with suppress(RunFailedError):  # there are no more answers
            while True:
                if (run := self.note_answers(wait=True)) is not None:
                    run.terminate()

    def start(self, arguments: Sequence[str], log: Path) -> NurseryRun:
        """Start a run.

        Args:
            arguments: Of sermm, without its name.
            log: Where its output is added.
        """
        request = json.dumps({"arguments": list(arguments), "log": str(log)}) + "\n"
        assert self._process.stdin is not None
        self._is_owed = True
        try:
            self._process.stdin.write(request.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._lost() from None
        started = None
        while started is None:
            started = self.note_answers(wait=True)
        self._is_owed = False
        return started

    def note_answers(self, *, wait: bool = False) -> NurseryRun | None:
        """Give runs that have ended their status; returns the one that has started, if one has."""
        assert self._process.stdout is not None
        stream = self._process.stdout.fileno()
        while select.select([stream], [], [], None if wait else 0)[0]:
            block = os.read(stream, 65536)
            if not block:
                raise self._lost()
            self._rest += block
            if self._rest.endswith(b"\n"):
                break
        *lines, self._rest = self._rest.split(b"\n")
        started = None
        for line in lines:
            pid, status = json.loads(line)
            if status is None:
                started = self._running[pid] = NurseryRun(pid, self)
            else:
                self._running.pop(pid).status = status
        return started

    def _lost(self) -> RunFailedError:
        return RunFailedError(
            "the process that starts runs",
            expected="one that goes on until all have ended",
            got=f"its end (exit status {self._process.poll()})",
            fix="run the same command again to go on; look for what killed it, such as too "
            "little memory",
        )


class NurseryRun:
    """A run, by the part of ``subprocess.Popen`` that a plan uses.

    Args:
        pid: Of its process, which leads a session and a group.
        nursery: Where it comes from.

    Attributes:
        status: Its exit status, minus a signal's number if one ended it; None until that is known.
    """

    def __init__(self, pid: int, nursery: Nursery) -> None:
        self.pid = pid
        self.status: int | None = None
        self._nursery = nursery

    def poll(self) -> int | None:
        """As of ``Popen``."""
        if self.status is None:
            self._nursery.note_answers()
        return self.status

    def wait(self, timeout: float | None = None) -> int:
        """As of ``Popen``."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                assert timeout is not None
                raise subprocess.TimeoutExpired("sermm", timeout)
            time.sleep(_POLL_S)
        return status

    def terminate(self) -> None:
        """As of ``Popen``."""
        if self.status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)


def serve(modules: Sequence[str]) -> int:
    """Answer requests from standard input on standard output.

    Args:
        modules: Imported first.

    Returns:
        Exit status of a run, in each copy; 0 in the process itself, when nobody asks any more.
    """
    # what is printed while importing is no answer
    replies = os.dup(1)
    os.dup2(2, 1)
    for name in modules:
        importlib.import_module(name)
    running: set[int] = set()
    while True:
        if select.select([0], [], [], _POLL_S if running else None)[0]:
            line = sys.stdin.buffer.readline()
            if not line:
                return 0
            pid = os.fork()
            if pid == 0:
                os.close(replies)
                return _run(**json.loads(line))
            running.add(pid)
            _answer(replies, pid, None)
        for pid in list(running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                running.remove(pid)
                _answer(replies, pid, os.waitstatus_to_exitcode(status))


def _answer(replies: int, pid: int, status: int | None) -> None:
    with suppress(BrokenPipeError):  # the plan was killed; its runs go on
        os.write(replies, (json.dumps([pid, status]) + "\n").encode())


def _run(arguments: list[str], log: str) -> int:
    """Be a run, in a copy."""
    os.setsid()
    with Path(os.devnull).open("rb") as nothing, Path(log).open("ab") as output:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    sys.argv = ["sermm", *arguments]
    from sermm.__main__ import main

    main()
    return 0


if __name__ == "__main__":
    sys.exit(serve((*_MODULES, *sys.argv[1:])))
