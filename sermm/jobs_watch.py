"""What is seen of jobs while they run: SLURM's queue, the ends of logs, a table."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from sermm.terminal import console

# a job that SLURM does not list and that has no result is given this long to appear or to be seen
_VANISHED_S = 30.0
_SQUEUE_S = 5.0


class Queue:
    """What SLURM's queue holds; unlike accounting, every cluster has one."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self._asked = -_SQUEUE_S
        self._missing: dict[str, float] = {}

    def has_vanished(self, job_id: str) -> bool:
        """Whether a job has not been in the queue for a while."""
        now = time.monotonic()
        if now - self._asked > _SQUEUE_S:
            self._asked = now
            said = subprocess.run(
                ["squeue", "--noheader", "--array", "--me", "--format=%i %T"],
                capture_output=True,
                text=True,
                check=False,
            )
            if said.returncode == 0:
                self.states = dict(line.split()[:2] for line in said.stdout.splitlines() if line)
            else:
                self._missing.clear()  # a controller that does not answer says nothing of jobs
                return False
        if job_id in self.states:
            self._missing.pop(job_id, None)
            return False
        return now - self._missing.setdefault(job_id, now) > _VANISHED_S


def last_line(log: Path) -> str:
    """The last line of a job's own output."""
    try:
        lines = log.read_bytes()[-20_000:].decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    said = (line for line in reversed(lines) if line.strip() and not line.startswith("submitit "))
    return next(said, "")


def jobs_table(title: str, rows: Sequence[tuple[str, ...]]) -> Table:
    """Jobs that run: name, state, id, and what they say; as many as the terminal has room for."""
    table = Table(title=title, title_justify="left")
    for column in ("job", "state", "id", "now"):
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    for row in rows[: max(4, console.height - 8)]:
        table.add_row(*map(escape, row))
    return table
