"""The files that the page was sent: who still needs one, and when it goes.

The same recording under the same name is one file, whoever sends it, so it goes with the last
answer that needs it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from threading import Lock


class Uploads:
    """A private folder in which no file outlives its answer.

    Args:
        folder: Where uploads lie. Nothing else may.
        keep_s: Age in seconds at which a file goes that nobody asked about.
    """

    def __init__(self, folder: Path, keep_s: float) -> None:
        self.folder = folder.resolve()
        self.keep_s = keep_s
        self._lock = Lock()
        self._needed: Counter[Path] = Counter()
        self._arriving = 0

    def begin(self) -> None:
        """A file is being sent; until it has a name none is removed that it could be."""
        with self._lock:
            self._arriving += 1

    def end(self, names: Iterable[str]) -> None:
        """It lies there under these names; none if it was refused."""
        with self._lock:
            self._arriving -= 1
            for path in map(Path, names):
                # gradio judges no file with a dot in front: it goes at once
                self._needed[path] += 0 if path.name.startswith(".") else 1
            self._sweep()

    def answered(self, path: Path) -> None:
        """An answer has been given that needed the file."""
        with self._lock:
            self._needed[path] -= 1
            self._sweep()

    def sweep(self) -> None:
        """Remove what has been answered, and what has grown old without a question."""
        with self._lock:
            self._sweep()

    def _sweep(self) -> None:
        if not self._arriving:
            for path in [path for path, count in self._needed.items() if count <= 0]:
                del self._needed[path]
                self._remove(path)
            # what was sent in part: whole files lie in folders of their own
            for path in list(self.folder.iterdir()):
                if path.is_file():
                    self._remove(path)
        oldest = time.time() - self.keep_s
        for path in list(self.folder.rglob("*")):
            # ctime: the time at which it came here, which no sender can set
            if path.is_file() and path.lstat().st_ctime < oldest:
                self._needed.pop(path, None)
                self._remove(path)

    def _remove(self, path: Path) -> None:
        if not path.is_relative_to(self.folder):
            raise ValueError(f"expected a file in {self.folder}, got {path}")
        path.unlink(missing_ok=True)
        hollow = path.parent != self.folder and path.parent.is_dir()
        if hollow and not self._arriving and not any(path.parent.iterdir()):
            path.parent.rmdir()
