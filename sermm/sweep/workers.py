"""Who works on a local sweep: processes, perhaps on several machines, that share its folder.

Each holds the lock of a file of its own for as long as it lives. Trials whose worker is gone are
found by taking that lock, which the system gives up when a process ends, however it ends.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_FOLDER = "workers"


@contextmanager
def work_on(folder: Path) -> Iterator[int]:
    """Register as a worker of a sweep.

    Args:
        folder: Of the sweep.

    Yields:
        A number that no other worker of this sweep has or had, from 1.
    """
    places = folder / _FOLDER
    places.mkdir(parents=True, exist_ok=True)
    number = 1 + max((int(path.stem) for path in places.glob("*.lock")), default=0)
    while True:
        try:
            stream = (places / f"{number}.lock").open("x+", encoding="ascii")
            break
        except FileExistsError:  # another one was faster
            number += 1
    with stream:
        lock(stream, wait=True)  # another one may just now try whether it is free
        stream.write(f"{socket.gethostname()} {os.getpid()}\n")
        stream.flush()
        yield number


def is_alive(folder: Path, number: int) -> bool:
    """Whether a worker still runs. Must not be asked of oneself: asking would drop the lock."""
    path = folder / _FOLDER / f"{number}.lock"
    if not path.is_file():
        return False
    with path.open("r+", encoding="ascii") as stream:
        return not lock(stream)


def others_live(folder: Path, number: int) -> bool:
    """Whether any worker but this one still runs."""
    numbers = (int(path.stem) for path in (folder / _FOLDER).glob("*.lock"))
    return any(is_alive(folder, other) for other in numbers if other != number)


def lock(stream: IO[str], *, wait: bool = False) -> bool:
    """Take a file's lock; False if another process holds it, unless that is waited for."""
    import fcntl  # no such module on Windows

    try:
        fcntl.lockf(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True
