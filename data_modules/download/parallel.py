"""Jobs in threads that end together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

_LAST_WORDS_S = 1.0


def in_parallel(jobs: Sequence[Callable[[], object]], workers: int, stop: threading.Event) -> None:
    """Do jobs in threads; the first error, or Ctrl-C, ends all of them and is raised.

    Args:
        jobs: Called once each.
        workers: Threads, at most.
        stop: Set at the end; jobs look at it and give up.
    """
    waiting: SimpleQueue[Callable[[], object]] = SimpleQueue()
    results: SimpleQueue[BaseException | None] = SimpleQueue()
    for job in jobs:
        waiting.put(job)

    def work() -> None:
        while not stop.is_set():
            try:
                job = waiting.get_nowait()
            except Empty:
                return
            try:
                job()
                results.put(None)
            except BaseException as error:
                results.put(error)

    # one may hang in a read for a while after Ctrl-C: the process does not wait for it
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(workers, len(jobs)))]
    for thread in threads:
        thread.start()
    try:
        for _ in jobs:
            error = results.get()
            if error is not None:
                raise error
    finally:
        stop.set()
        deadline = time.monotonic() + _LAST_WORDS_S
        for thread in threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
