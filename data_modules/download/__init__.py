"""Openly licensed corpora, fetched whole or not at all: ``sermm download``.

Work goes on in ``ROOT/.download`` and survives being killed. Order: files and archive, unpacking,
the files that pointers stand for, the digest of everything, then each top-level name moves into
``ROOT``, ``download.json`` last.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from data_modules.atomic import write_json
from data_modules.download.pace import Pace, Progress, Say
from data_modules.download.parallel import in_parallel
from data_modules.download.pointers import find_pointers, media_files, put_in_place
from data_modules.download.record import (
    RECORD,
    Record,
    find_whole,
    list_sums,
    read_record,
    write_record,
)
from data_modules.download.sources import SOURCES, Archive, Media, RemoteFile, Source, find_source
from data_modules.download.transfer import Transfers
from data_modules.download.unpack import unpack
from data_modules.errors import CorpusNotFoundError, DownloadError

__all__ = [
    "SOURCES",
    "Pace",
    "Record",
    "Source",
    "download",
    "expect_room",
    "find_source",
    "find_whole",
]

WORKSHOP = ".download"
"""Folder below the root for what is not whole yet."""

# what stands in the root of a file system of its own
_NOBODYS = {"lost+found"}


def download(
    source: Source,
    root: Path,
    *,
    say: Say,
    on_progress: Callable[[int, int], None] | None = None,
    pace: Pace | None = None,
) -> Record:
    """Fetch a corpus, unless it is there; its licence has been accepted.

    Args:
        source: What to fetch.
        root: Folder for it, which is made. What an earlier call left there is continued.
        say: Tells the user what happens, in a line.
        on_progress: Called with bytes done and bytes in all, from several threads.
        pace: How patient and how busy.

    Returns:
        What stands in ``download.json``.

    Raises:
        DownloadError: It cannot be fetched, or is not what was published.
        CorpusNotFoundError: The folder holds something else.
    """
    workshop = root / WORKSHOP
    record = find_whole(source, root)
    if record is not None:
        # left where a call was stopped after its last move
        shutil.rmtree(workshop, ignore_errors=True)
        return record
    expect_room(source, root)
    try:
        workshop.mkdir(parents=True, exist_ok=True)
        with _alone_in(workshop):
            work = _Work(source, workshop, say, on_progress, pace or Pace())
            if read_record(work.tree) is None:
                work.fill_tree()
                work.check_tree()
            record = _publish(work.tree, root)
            shutil.rmtree(workshop)
    except OSError as error:
        raise DownloadError(
            root,
            expected="a folder that can be written",
            got=str(error),
            fix="mend the cause; the same command goes on from here",
        ) from error
    return record


def expect_room(source: Source, root: Path) -> None:
    """See that a folder can take a corpus.

    Raises:
        CorpusNotFoundError: It holds something else.
        DownloadError: The disk is too small, or another corpus was begun there.
    """
    if root.exists() and not root.is_dir():
        raise CorpusNotFoundError(
            root, expected="a folder", got="a file", fix="give another one with --root"
        )
    workshop = root / WORKSHOP
    begun = (workshop / "source.json").is_file()
    if (workshop / "tree" / RECORD).is_file():
        # whole, and being moved
        return
    if root.is_dir():
        found = sorted(
            path.name
            for path in root.iterdir()
            if not path.name.startswith(".") and path.name not in _NOBODYS
        )
        if found:
            raise CorpusNotFoundError(
                root,
                expected="an empty folder, or one that `sermm download` filled",
                got=f"{found[0]} and {len(found) - 1} more" if found[1:] else found[0],
                fix=f"name a folder of its own: --root {root / source.corpus}",
            )
    needed = source.num_bytes + (source.archive.num_bytes if source.archive else 0)
    if source.archive and (workshop / "tree").is_dir():
        needed -= source.archive.file.size
    needed -= sum(path.stat().st_size for path in workshop.rglob("*") if path.is_file())
    above = next(path for path in (root, *root.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(above).free
    if needed > free:
        raise DownloadError(
            root,
            expected=f"{needed / 1e9:.1f} GB of free disk for {source.title}",
            got=f"{free / 1e9:.1f} GB",
            fix="make room" + ("; what is there is kept" if begun else ", or give another --root"),
        )


@contextmanager
def _alone_in(workshop: Path) -> Iterator[None]:
    # no such module on Windows, where nothing holds the folder
    import fcntl

    with (workshop / "lock").open("a", encoding="ascii") as stream:
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DownloadError(
                workshop.parent,
                expected="a folder that no other process downloads into",
                got="one at work on it",
                fix="wait until it has ended, or stop it",
            ) from None
        yield


class _Work:
    """A corpus on its way."""

    def __init__(
        self,
        source: Source,
        workshop: Path,
        say: Say,
        on_progress: Callable[[int, int], None] | None,
        pace: Pace,
    ) -> None:
        self.source = source
        self.workshop = workshop
        self.tree = workshop / "tree"
        # what turned out to be wrong; kept for a look until the next call
        self.aside = workshop / "rejected"
        self.say = say
        self.pace = pace
        self.progress = Progress(source.num_bytes, on_progress)
        self._sign()
        shutil.rmtree(self.aside, ignore_errors=True)

    def _sign(self) -> None:
        """Mark the folder as that of this source, and refuse that of another."""
        path = self.workshop / "source.json"
        sign = {"corpus": self.source.corpus, "version": self.source.version}
        if not path.is_file():
            write_json(path, sign)
            return
        text = path.read_text(encoding="utf-8")
        if text != json.dumps(sign, indent=2, ensure_ascii=False) + "\n":
            raise DownloadError(
                self.workshop,
                expected=f"what a call for {self.source.title}, {self.source.version}, left",
                got=" ".join(text.split()),
                fix="remove this folder, or give another --root",
            )

    def fill_tree(self) -> None:
        """Fetch, unpack and put together."""
        archive, media = self.source.archive, self.source.media
        if not self.tree.is_dir():
            files = [*self.source.files, *([archive.file] if archive else [])]
            self._fetch_all(files, self.workshop / "files")
            self._lay_out(archive)
        else:
            self.progress.add(self.source.num_bytes - self.source.media_bytes)
        if media is not None:
            self._fetch_media(media)

    def _fetch_all(self, files: Sequence[RemoteFile], folder: Path) -> None:
        stop = threading.Event()
        transfers = Transfers(self.pace, self.progress, self.say, self.aside, stop)
        jobs = [partial(transfers.fetch, file, folder) for file in files]
        in_parallel(jobs, self.pace.workers, stop)

    def _lay_out(self, archive: Archive | None) -> None:
        files = self.workshop / "files"
        if archive is None:
            files.rename(self.tree)
            return
        path = files / archive.file.path
        self.say(f"unpacking {archive.file.path}")
        try:
            left_out = unpack(archive, path, self.tree)
        except DownloadError as error:
            self.aside.mkdir(exist_ok=True)
            moved = path.rename(self.aside / path.name)
            raise DownloadError(
                moved, expected=error.expected, got=error.got, fix=error.fix
            ) from None
        if left_out:
            self.say(f"{left_out} files of {archive.file.path} are not needed and were left out")
        path.unlink()

    def _fetch_media(self, media: Media) -> None:
        folder, objects = self.tree / media.folder, self.workshop / "objects"
        pointers = find_pointers(folder)
        num_bytes = sum(pointer.size for pointer in pointers)
        # those that have their place already
        self.progress.add(max(0, media.num_bytes - num_bytes))
        if num_bytes > media.num_bytes:
            raise DownloadError(
                folder,
                expected=f"pointers to at most {media.num_bytes:,} bytes",
                got=f"{num_bytes:,}",
                fix=f"remove {self.workshop} and download again",
            )
        self._fetch_all(media_files(media, pointers), objects)
        put_in_place(pointers, objects, folder)

    def check_tree(self) -> None:
        """Compare everything as it lies on the disk with what is known, and record it."""
        self.say("checking all files")
        sums = list_sums(self.tree)
        digest = hashlib.sha256(sums.encode()).hexdigest()
        if self.source.digest not in (None, digest):
            self.aside.mkdir(exist_ok=True)
            aside = self.tree.rename(self.aside / "tree")
            raise DownloadError(
                aside,
                expected=f"files with the digest {self.source.digest}",
                got=f"{len(sums.splitlines())} files with {digest}",
                fix="download again; if it stays so, the release was changed after its publication",
            )
        write_record(self.tree, self.source, sums, datetime.now(UTC).isoformat(timespec="seconds"))


def _publish(tree: Path, root: Path) -> Record:
    """Move everything into the root, the record last; may be stopped anywhere and called again."""
    for path in sorted(tree.iterdir(), key=lambda path: path.name == RECORD):
        if (root / path.name).exists():
            raise DownloadError(
                root / path.name,
                expected="no such name before the download",
                got="one",
                fix="move it away and run the same command again",
            )
        path.rename(root / path.name)
    record = read_record(root)
    assert record is not None
    return record
