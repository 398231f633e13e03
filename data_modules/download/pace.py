"""How patient a download is, and what it tells while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

Say = Callable[[str], None]


@dataclass(frozen=True)
class Pace:
    """How patient and how busy a download is.

    Attributes:
        attempts: Failures in a row, without a byte gained, before an address is given up.
        first_wait_s: Wait after the first of them; doubles each time.
        longest_wait_s: A server that asks for more is not waited for.
        stall_s: Silence that counts as a broken connection.
        workers: Files at a time.
        resume_from: Smaller files are not continued by another call.
    """

    attempts: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 120.0
    stall_s: float = 30.0
    workers: int = 8
    resume_from: int = 1 << 20


class StoppedError(Exception):
    """Another part of the download failed, or the user pressed Ctrl-C."""


class Progress:
    """Bytes that several threads got."""

    def __init__(self, total: int, on_progress: Callable[[int, int], None] | None) -> None:
        self.total = total
        self.done = 0
        self._on_progress = on_progress
        self._lock = threading.Lock()

    def add(self, num_bytes: int) -> None:
        """Count bytes; less than zero where some are thrown away."""
        with self._lock:
            self.done += num_bytes
            if self._on_progress is not None:
                # sizes of archives that are made on demand are estimates
                self._on_progress(self.done, max(self.total, self.done))
