"""Processes that lead a group of their own: ended with all they started, asked why they failed."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

_STOP_S = 10.0


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it started, such as loader workers: politely, then for good."""
    try:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_STOP_S)
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def last_line(log: Path, start: int, status: int) -> str:
    """What a process said last, and how it ended.

    Args:
        log: Where its output went.
        start: Where its part of the file begins, in bytes.
        status: Its exit status, or minus the signal that ended it.
    """
    with log.open("rb") as stream:
        stream.seek(start)
        lines = stream.read().decode(errors="replace").splitlines()
    said = next((line for line in reversed(lines) if line.strip()), "")
    reason = f"signal {-status}" if status < 0 else f"exit status {status}"
    return f"{said or 'no output'} ({reason}; see {log})"
