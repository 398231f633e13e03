"""Files over HTTP that survive broken connections, stalls, changes on the way and a killed process.

A file grows as ``NAME.part``; ``NAME.part.json`` holds what identifies the content it is a part of.
It gets its name when its size and checksum are right. A part is continued with ``Range`` and
``If-Range``, and only where the answer shows that it is the same content; otherwise the file starts
again, and that is said.
"""

from __future__ import annotations

import math
import os
import random
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from data_modules.atomic import write_json
from data_modules.download.answers import (
    BrokenError,
    Content,
    RefusedError,
    explain,
    read_answer,
)
from data_modules.download.pace import Pace, Progress, Say, StoppedError
from data_modules.download.record import hash_file
from data_modules.download.sources import RemoteFile
from data_modules.errors import DownloadError
from data_modules.plain_json import parse_json

if TYPE_CHECKING:
    import requests

_CHUNK = 1 << 16
_SAME_S = 5.0


class Transfers:
    """Fetches files; one object serves all threads of a download.

    Args:
        pace: How patient and how busy.
        progress: Where bytes are counted.
        say: Tells the user what happens, in a line.
        aside: Folder for files with a wrong checksum.
        stop: Set when all threads should end.
    """

    def __init__(
        self, pace: Pace, progress: Progress, say: Say, aside: Path, stop: threading.Event
    ) -> None:
        self.pace = pace
        self.progress = progress
        self.say = say
        self.aside = aside
        self.stop = stop
        self._local = threading.local()
        self._lock = threading.Lock()
        self._refusing: set[str] = set()
        self._complaints: dict[tuple[str, str, int], float] = {}

    def fetch(self, file: RemoteFile, folder: Path) -> Path:
        """Fetch a file into a folder, unless it is there.

        Returns:
            Its path. Size and checksum are as stated.

        Raises:
            DownloadError: No address gave it.
            StoppedError: It was told to end.
        """
        target = folder / file.path
        if target.is_file():
            self.progress.add(target.stat().st_size)
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        urls = sorted(file.urls, key=lambda url: _host(url) in self._refusing)
        for url, following in zip(urls, [*urls[1:], None], strict=True):
            download = _Download(self, file, url, target)
            try:
                download.run()
                return target
            except RefusedError as refused:
                if following is None:
                    raise DownloadError(
                        url,
                        expected=f"{file.path} ({file.size:,} bytes)",
                        got=str(refused),
                        fix="try the address in a browser; the same command goes on from here",
                    ) from None
                download.forget()
                with self._lock:
                    first = _host(url) not in self._refusing
                    self._refusing.add(_host(url))
                if first:
                    self.say(f"{url}: {refused}; from now on {_host(following)} is asked first")
        raise ValueError(f"no address for {file.path}")

    def session(self) -> requests.Session:
        """The connections of this thread; proxies are those of the environment."""
        # a tenth of a second to import, and needed only where something is fetched
        import requests

        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            # bytes as they lie on the server, or sizes and ranges would be those of something else
            self._local.session.headers["Accept-Encoding"] = "identity"
            # some servers turn away the names of libraries
            self._local.session.headers["User-Agent"] = "sermm"
            self._local.session.max_redirects = 10
        session: requests.Session = self._local.session
        return session

    def complain(self, url: str, reason: str, failures: int, wait_s: float) -> None:
        """Say that an attempt failed; once where all threads suffer from the same."""
        key, now = (_host(url), reason, failures), time.monotonic()
        with self._lock:
            soon = now - self._complaints.get(key, -math.inf) < _SAME_S
            self._complaints[key] = now
        if not soon:
            self.say(f"{url}: {reason}; again in {wait_s:.0f} s")

    def check(self) -> None:
        """Raise StoppedError if it is time to end."""
        if self.stop.is_set():
            raise StoppedError


class _Download:
    """One file from one address."""

    def __init__(self, transfers: Transfers, file: RemoteFile, url: str, target: Path) -> None:
        self.transfers = transfers
        self.file = file
        self.url = url
        self.target = target
        self.part = target.with_name(target.name + ".part")
        self.notes = target.with_name(target.name + ".part.json")
        self.content = self._read_notes()
        if self.content is None:
            # nobody can tell what it is a part of
            self.part.unlink(missing_ok=True)
        self.glued = self._size() > 0
        self.restarted = False
        self.counted = 0
        self._count()

    def run(self) -> None:
        """Try until the file is there."""
        pace = self.transfers.pace
        failures, reached = 0, self.counted
        while True:
            self.transfers.check()
            self.restarted = False
            try:
                if self.content is None or self._size() != self.content.size:
                    self._attempt()
                self._check_content()
                break
            except BrokenError as broken:
                gained = self._size() > reached and not self.restarted
                failures, reached = 1 if gained else failures + 1, self._size()
                if failures >= pace.attempts:
                    raise RefusedError(f"{broken} (attempt {failures})") from None
                wait_s = broken.wait_s
                if wait_s is None:
                    # not all threads at once
                    wait_s = pace.first_wait_s * 2 ** (failures - 1) * random.uniform(0.75, 1.25)
                elif wait_s > pace.longest_wait_s:
                    raise RefusedError(f"{broken}, and to wait for {wait_s:.0f} s") from None
                self.transfers.complain(self.url, str(broken), failures, wait_s)
                self.transfers.stop.wait(wait_s)
        with self.part.open("rb") as stream:
            os.fsync(stream.fileno())
        self.part.rename(self.target)
        self.notes.unlink(missing_ok=True)

    def forget(self) -> None:
        """Drop what is there: another address gives all of it."""
        self.part.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)
        self.content = None
        self.glued = False
        self.restarted = True
        self._count()

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _count(self) -> None:
        """Bring the progress to what the part holds."""
        size = self._size()
        self.transfers.progress.add(size - self.counted)
        self.counted = size

    def _read_notes(self) -> Content | None:
        try:
            content = Content(**parse_json(self.notes.read_bytes()))
        except (OSError, ValueError, TypeError):
            # none, or of a version that noted other things
            return None
        said = (content.etag, content.modified)
        good = type(content.size) in (int, type(None)) and all(
            isinstance(text, str | None) for text in said
        )
        return content if good and content.url == self.url else None

    def _attempt(self) -> None:
        import requests
        from urllib3.exceptions import HTTPError

        start, headers = self._size(), {}
        if start and self.content is not None:
            headers["Range"] = f"bytes={start}-"
            if self.content.validator:
                headers["If-Range"] = self.content.validator
        stall_s = self.transfers.pace.stall_s
        try:
            with self.transfers.session().get(
                self.url, headers=headers, stream=True, timeout=(stall_s, stall_s)
            ) as response:
                self._receive(response, start)
        except requests.exceptions.SSLError as error:
            raise RefusedError(
                f"{explain(error)} (REQUESTS_CA_BUNDLE may name certificates)"
            ) from None
        except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
            raise BrokenError(explain(error)) from None
        except requests.exceptions.RequestException as error:
            raise RefusedError(explain(error)) from None
        except HTTPError as error:
            # while the body was read
            raise BrokenError(
                f"the connection broke after {self.counted:,} bytes ({explain(error)})"
            ) from None

    def _receive(self, response: requests.Response, start: int) -> None:
        if response.status_code == 416 and start:
            self.forget()
            raise BrokenError("the server has no such rest of the file, so from the start")
        content, first = read_answer(
            response.status_code, response.reason, response.headers, self.url, start
        )
        self._check_size(content.size)
        same = self.content is not None and not self.content.differs_from(content)
        if response.status_code == 206:
            if not same or first != start:
                self.forget()
                raise BrokenError("the file changed on the server, so from the start")
            self.glued = True
        else:
            if start:
                why = "the server cannot continue" if same else "the file changed on the server"
                self.transfers.say(f"{self.file.path}: {why}, so from the start")
                self.forget()
            if self.file.size >= self.transfers.pace.resume_from:
                write_json(self.notes, asdict(content))
            self.content = content
        self._write(response)
        if content.size is not None and self.counted != content.size:
            raise BrokenError(_cut_short(self.counted, content.size))

    def _check_size(self, size: int | None) -> None:
        """Error pages and log-in pages are told by their size, before anything is written."""
        if size is None:
            return
        if (self.file.exact and size != self.file.size) or size > self._most:
            raise RefusedError(f"a file of {size:,} bytes")

    @property
    def _most(self) -> int:
        return self.file.size if self.file.exact else 2 * self.file.size

    def _write(self, response: requests.Response) -> None:
        with self.part.open("ab") as out:
            # what has come, and not a chunk filled up: a stall would take its beginning with it
            while chunk := response.raw.read1(_CHUNK, decode_content=False):
                self.transfers.check()
                out.write(chunk)
                self.counted += len(chunk)
                self.transfers.progress.add(len(chunk))
                if self.counted > self._most:
                    raise RefusedError(f"more than {self._most:,} bytes")

    def _check_content(self) -> None:
        size = self._size()
        if self.file.exact and size != self.file.size:
            raise BrokenError(_cut_short(size, self.file.size))
        if self.file.checksum is None:
            return
        algorithm, _, expected = self.file.checksum.partition(":")
        found = hash_file(self.part, algorithm)
        if found == expected:
            return
        if self.glued:
            self.forget()
            raise BrokenError(f"put together of parts, with a wrong {algorithm}, so from the start")
        self.transfers.aside.mkdir(exist_ok=True)
        aside = self.transfers.aside / self.target.name
        self.part.replace(aside)
        self.forget()
        raise RefusedError(f"a file with {algorithm} {found} instead of {expected}, now {aside}")


def _cut_short(size: int, whole: int) -> str:
    return f"the connection ended after {size:,} of {whole:,} bytes"


def _host(url: str) -> str:
    return urlsplit(url).netloc
