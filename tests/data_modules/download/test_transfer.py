"""One file from a server that breaks off, changes, stalls, lies, redirects and refuses."""

from __future__ import annotations

import hashlib
import random
import re
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path

import pytest

from data_modules.download.pace import Pace, Progress, StoppedError
from data_modules.download.sources import RemoteFile
from data_modules.download.transfer import Transfers
from data_modules.errors import DownloadError
from tests.data_modules.download.server import Act, Server

CONTENT = random.Random(0).randbytes(50_000)
OTHER = random.Random(1).randbytes(50_000)
PACE = Pace(attempts=3, first_wait_s=0.01, stall_s=600.0, resume_from=0)


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Place:
    """A folder that files are fetched into, with what was said and counted."""

    folder: Path
    pace: Pace = PACE
    said: list[str] = field(default_factory=list)
    seen: list[tuple[int, int]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def fetch(self, *urls: str, **facts: object) -> bytes:
        file = RemoteFile("a.zip", urls, len(CONTENT), sha256(CONTENT))
        file = replace(file, **facts)  # type: ignore[arg-type]
        self.progress = Progress(file.size, lambda *pair: self.seen.append(pair))
        transfers = Transfers(
            self.pace, self.progress, self.said.append, self.folder / "rejected", self.stop
        )
        return transfers.fetch(file, self.folder).read_bytes()

    @property
    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_file_arrives_whole_and_is_counted(server: Server, place: Place) -> None:
    url = server.put("/a.zip", CONTENT)
    assert place.fetch(url) == CONTENT
    assert place.names == {"a.zip"}
    assert place.said == []
    assert place.seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in place.seen] == sorted(done for done, _ in place.seen)
    # and is not asked for again
    assert place.fetch(url) == CONTENT
    assert len(server.requests) == 1
    assert place.progress.done == len(CONTENT)
    assert server.requests[0].encoding == "identity"


def test_a_broken_connection_is_continued_where_it_broke(server: Server, place: Place) -> None:
    url = server.put("/a.zip", CONTENT, Act(stop_after=20_000), Act(stop_after=10_000))
    assert place.fetch(url) == CONTENT
    etag = f'"{hashlib.md5(CONTENT).hexdigest()}"'
    assert [(r.range, r.if_range) for r in server.requests] == [
        (None, None),
        ("bytes=20000-", etag),
        ("bytes=30000-", etag),
    ]
    assert len(place.said) == 2
    assert ": the connection broke after 20,000 bytes (IncompleteRead" in place.said[0]
    assert ": the connection broke after 30,000 bytes (IncompleteRead" in place.said[1]
    assert place.progress.done == len(CONTENT)


def test_progress_resets_the_count_of_failures(server: Server, place: Place) -> None:
    breaks = [Act(stop_after=4_000)] * 12
    assert place.fetch(server.put("/a.zip", CONTENT, *breaks)) == CONTENT
    assert len(server.requests) == 13


def test_another_call_goes_on_where_the_first_was_left(server: Server, place: Place) -> None:
    url = server.put("/a.zip", CONTENT, Act(stop_after=20_000), *[Act(status=503)] * 2)
    with pytest.raises(DownloadError, match=r"got status 503 .*\(attempt 3\); .*goes on from here"):
        place.fetch(url)
    assert place.names == {"a.zip.part", "a.zip.part.json"}
    assert place.fetch(url) == CONTENT
    assert server.requests[-1].range == "bytes=20000-"
    assert place.seen[-1] == (50_000, 50_000)
    assert place.names == {"a.zip"}


def test_a_part_that_is_whole_already_needs_no_request(server: Server, place: Place) -> None:
    url = server.put("/a.zip", CONTENT, Act(stop_after=20_000), *[Act(status=503)] * 2)
    with pytest.raises(DownloadError):
        place.fetch(url)
    (place.folder / "a.zip.part").write_bytes(CONTENT)
    asked = len(server.requests)
    assert place.fetch(url) == CONTENT
    assert len(server.requests) == asked


@pytest.mark.parametrize("spoil", ["", "{", "[]", '{"url": 1}', '{"url": "elsewhere"}'])
def test_a_part_of_unknown_content_is_not_continued(
    server: Server, place: Place, spoil: str
) -> None:
    (place.folder / "a.zip.part").write_bytes(OTHER[:20_000])
    (place.folder / "a.zip.part.json").write_text(spoil)
    assert place.fetch(server.put("/a.zip", CONTENT)) == CONTENT
    assert server.requests[0].range is None
    assert place.said == []


def test_a_small_file_keeps_no_notes_for_another_call(server: Server, place: Place) -> None:
    place.pace = replace(PACE, resume_from=len(CONTENT) + 1)
    url = server.put("/a.zip", CONTENT, Act(stop_after=20_000), *[Act(status=503)] * 2)
    with pytest.raises(DownloadError):
        place.fetch(url)
    assert place.names == {"a.zip.part"}
    assert place.fetch(url) == CONTENT
    # within one call it is continued all the same
    continued = "bytes=20000-"
    assert [r.range for r in server.requests] == [None, continued, continued, None]


def test_a_server_without_ranges_starts_again_and_that_is_said(
    server: Server, place: Place
) -> None:
    url = server.put("/a.zip", CONTENT, Act(stop_after=20_000), always=Act(ranges=False))
    assert place.fetch(url) == CONTENT
    assert place.said[-1] == "a.zip: the server cannot continue, so from the start"
    assert place.progress.done == len(CONTENT)


def test_a_server_without_ranges_that_always_breaks_is_given_up(
    server: Server, place: Place
) -> None:
    url = server.put("/a.zip", CONTENT, always=Act(ranges=False, stop_after=20_000))
    with pytest.raises(DownloadError, match=r"IncompleteRead.*\(attempt 3\)"):
        place.fetch(url)
    # a little further each time would take for ever
    acts = [Act(ranges=False, stop_after=1_000 * n) for n in range(1, 9)]
    with pytest.raises(DownloadError, match=r"after 3,000 bytes .*\(attempt 3\)"):
        place.fetch(server.put("/b.zip", CONTENT, *acts))


@pytest.mark.parametrize("conditions", [True, False])
@pytest.mark.parametrize("by", ["etag", "date", "size"])
def test_content_that_changed_is_never_glued(
    server: Server, place: Place, by: str, conditions: bool
) -> None:
    date = "Fri, 21 Nov 2025 05:00:00 GMT"
    facts = {"etag": None if by != "etag" else "by content", "modified": date}
    if by == "size":
        facts["modified"] = None
    url = server.put("/a.zip", OTHER[:49_000], Act(stop_after=20_000), **facts)
    # the checksum is not known in advance here, so that nothing else tells
    known = {"checksum": None, "exact": False}
    place.pace = replace(PACE, attempts=1)
    with pytest.raises(DownloadError):
        place.fetch(url, **known)
    if by == "date":
        facts["modified"] = "Fri, 21 Nov 2025 06:00:00 GMT"
    always = Act(conditions=conditions)
    server.put("/a.zip", CONTENT, always=always, **facts)
    place.pace = PACE
    assert place.fetch(url, **known) == CONTENT
    assert any("changed on the server, so from the start" in line for line in place.said)


def test_a_weak_etag_is_no_condition(server: Server, place: Place) -> None:
    url = server.put("/a.zip", CONTENT, Act(stop_after=20_000), etag='W/"1"')
    assert place.fetch(url) == CONTENT
    assert [(r.range, r.if_range) for r in server.requests] == [
        (None, None),
        ("bytes=20000-", None),
    ]


def test_a_changed_file_behind_a_weak_etag_is_told_by_its_checksum(
    server: Server, place: Place
) -> None:
    url = server.put("/a.zip", OTHER, Act(stop_after=20_000), *[Act(status=503)] * 2, etag='W/"1"')
    with pytest.raises(DownloadError):
        place.fetch(url)
    server.put("/a.zip", CONTENT, etag='W/"1"')
    assert place.fetch(url) == CONTENT
    assert "put together of parts, with a wrong sha256, so from the start" in place.said[-1]


def test_a_range_that_begins_elsewhere_is_not_glued(server: Server, place: Place) -> None:
    url = server.put("/a.zip", CONTENT, Act(stop_after=20_000), Act(shift=7))
    assert place.fetch(url) == CONTENT
    assert [r.range for r in server.requests] == [None, "bytes=20000-", None]


def test_a_range_that_does_not_say_which_is_refused(server: Server, place: Place) -> None:
    wrong = Act(headers={"Content-Range": "bytes 20000-"})
    url = server.put("/a.zip", CONTENT, Act(stop_after=20_000), wrong)
    with pytest.raises(DownloadError, match="got a part of the file, without saying which"):
        place.fetch(url)


def test_416_starts_again(server: Server, place: Place) -> None:
    url = server.put("/a.zip", CONTENT, Act(stop_after=20_000), Act(status=416))
    assert place.fetch(url) == CONTENT
    assert [r.range for r in server.requests] == [None, "bytes=20000-", None]


def test_a_stall_is_a_broken_connection(server: Server, place: Place) -> None:
    place.pace = replace(PACE, stall_s=0.2, attempts=20)
    url = server.put("/a.zip", CONTENT, Act(stall_after=20_000))
    assert place.fetch(url) == CONTENT
    assert "Read timed out" in place.said[0]
    # where it stalled: earlier if this machine stood still before
    came = re.search("broke after ([0-9,]+) bytes", place.said[0])
    start = int(came[1].replace(",", "")) if came else 0
    assert server.requests[1].range == (f"bytes={start}-" if start else None)


def test_a_slow_server_is_waited_for(
    server: Server, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is on each silence, not on the whole, which takes longer."""
    place.pace = replace(PACE, stall_s=0.4, attempts=20)
    url = server.put("/a.zip", CONTENT, Act(slow_s=0.01))
    heard = [time.monotonic()]
    monkeypatch.setattr(Progress, "add", lambda *_: heard.append(time.monotonic()))
    assert place.fetch(url) == CONTENT
    silence = max(later - earlier for earlier, later in pairwise(heard))
    assert place.said == [] or silence > 0.4  # this machine stood still


def test_a_length_that_is_too_long_breaks_and_too_short_is_refused(
    server: Server, place: Place
) -> None:
    known = {"checksum": None, "exact": False}
    url = server.put("/a.zip", CONTENT, always=Act(length=50_100, ranges=False))
    with pytest.raises(DownloadError, match="IncompleteRead"):
        place.fetch(url, **known)
    url = server.put("/b.zip", CONTENT, always=Act(length=40_000))
    with pytest.raises(
        DownloadError, match=r"expected a\.zip \(50,000 bytes\), got a file of 40,0"
    ):
        place.fetch(url)


def test_a_page_instead_of_the_file_is_refused_by_its_size(server: Server, place: Place) -> None:
    url = server.put("/a.zip", b"<html>please log in</html>")
    with pytest.raises(DownloadError, match="got a file of 26 bytes"):
        place.fetch(url)
    assert place.names == set()


@pytest.mark.parametrize("act", [Act(chunked=True), Act(length=None)])
def test_a_body_without_a_length(server: Server, place: Place, act: Act) -> None:
    assert place.fetch(server.put("/a.zip", CONTENT, act)) == CONTENT


@pytest.mark.parametrize("act", [Act(chunked=True), Act(length=None)])
def test_a_body_without_a_length_that_breaks_off(server: Server, place: Place, act: Act) -> None:
    url = server.put("/a.zip", CONTENT, replace(act, stop_after=20_000))
    assert place.fetch(url) == CONTENT
    assert [r.range for r in server.requests] == [None, "bytes=20000-"]


@pytest.mark.parametrize("act", [Act(chunked=True), Act(length=None)])
def test_a_body_without_an_end_is_cut_off(server: Server, place: Place, act: Act) -> None:
    url = server.put("/a.zip", CONTENT * 5, always=act)
    with pytest.raises(DownloadError, match="got more than 50,000 bytes"):
        place.fetch(url)
    assert (place.folder / "a.zip.part").stat().st_size <= len(CONTENT) + (1 << 16)  # a chunk
    url = server.put("/b.zip", CONTENT * 5, always=act)
    with pytest.raises(DownloadError, match="got more than 100,000 bytes"):
        place.fetch(url, exact=False)


def test_an_estimated_size_need_not_be_right(server: Server, place: Place) -> None:
    url = server.put("/a.zip", CONTENT)
    assert place.fetch(url, size=30_000, exact=False) == CONTENT
    assert place.seen[-1] == (50_000, 50_000)
    server.put("/b.zip", CONTENT)
    (place.folder / "a.zip").unlink()
    with pytest.raises(DownloadError, match="got a file of 50,000 bytes"):
        place.fetch(server.url + "/b.zip", size=20_000, exact=False)


def test_a_wrong_checksum_never_gets_the_name(server: Server, place: Place) -> None:
    url = server.put("/a.zip", OTHER)
    with pytest.raises(DownloadError, match=r"got a file with sha256 .* instead of") as caught:
        place.fetch(url)
    assert place.names == {"rejected"}
    kept = place.folder / "rejected" / "a.zip"
    assert kept.read_bytes() == OTHER
    assert str(kept) in str(caught.value)
    assert len(server.requests) == 1


def test_md5_is_a_checksum_too(server: Server, place: Place) -> None:
    checksum = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    assert place.fetch(server.put("/a.zip", CONTENT), checksum=checksum) == CONTENT


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_final(server: Server, place: Place, status: int) -> None:
    url = server.put("/a.zip", CONTENT, always=Act(status=status))
    with pytest.raises(DownloadError, match=f"{url}: expected a.zip .*, got status {status} "):
        place.fetch(url)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(server: Server, place: Place, status: int) -> None:
    url = server.put("/a.zip", CONTENT, *[Act(status=status)] * 2)
    assert place.fetch(url) == CONTENT
    assert [f"status {status}" in line for line in place.said] == [True, True]


@pytest.mark.parametrize("status", [403, 429, 503])
def test_a_server_that_names_a_time_is_obeyed(server: Server, place: Place, status: int) -> None:
    place.pace = replace(PACE, first_wait_s=60.0)
    url = server.put("/a.zip", CONTENT, Act(status=status, headers={"Retry-After": "0"}))
    assert place.fetch(url) == CONTENT
    assert place.said[0].endswith("; again in 0 s")


def test_a_server_that_names_too_long_a_time_is_not(server: Server, place: Place) -> None:
    url = server.put("/a.zip", CONTENT, Act(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(DownloadError, match=r"status 429 .*, and to wait for 3600 s"):
        place.fetch(url)
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    url = server.put("/a.zip", CONTENT, Act(status=503, headers={"Retry-After": later}))
    with pytest.raises(DownloadError, match=r"and to wait for 3[56]\d\d s"):
        place.fetch(url)


def test_redirects_are_followed_with_their_range(server: Server, place: Place) -> None:
    server.put("/there", CONTENT, Act(stop_after=20_000))
    moved = Act(status=302, headers={"Location": "/there"})
    assert place.fetch(server.put("/a.zip", b"", always=moved)) == CONTENT
    assert [r.range for r in server.asked_for("/there")] == [None, "bytes=20000-"]


def test_redirects_without_end_are_refused(server: Server, place: Place) -> None:
    moved = Act(status=302, headers={"Location": "/a.zip"})
    with pytest.raises(DownloadError, match="Exceeded 10 redirects"):
        place.fetch(server.put("/a.zip", b"", always=moved))


def test_encoded_content_is_refused(server: Server, place: Place) -> None:
    url = server.put("/a.zip", CONTENT, Act(headers={"Content-Encoding": "gzip"}))
    with pytest.raises(DownloadError, match="got content encoded as gzip"):
        place.fetch(url)


def test_nobody_at_home(server: Server, place: Place) -> None:
    with pytest.raises(DownloadError, match=r"got .*Connection refused \(attempt 3\)"):
        place.fetch("http://127.0.0.1:9/a.zip")
    assert place.said[0].startswith("http://127.0.0.1:9/a.zip: ")
    assert "HTTPConnection" not in place.said[0]


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/a.zip", "http://", "a.zip"])
def test_an_address_that_is_none(server: Server, place: Place, url: str) -> None:
    with pytest.raises(DownloadError):
        place.fetch(url)


def test_a_proxy_of_the_environment_is_used(
    server: Server, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    server.put("http://corpus.invalid/a.zip", CONTENT)
    assert place.fetch("http://corpus.invalid/a.zip") == CONTENT
    monkeypatch.setenv("no_proxy", "corpus.invalid")
    (place.folder / "a.zip").unlink()
    with pytest.raises(DownloadError, match="Failed to resolve"):
        place.fetch("http://corpus.invalid/a.zip")


def test_the_next_address_is_asked_when_one_refuses(server: Server, place: Place) -> None:
    with Server().running() as mirror:
        first = server.put("/a.zip", CONTENT, Act(stop_after=20_000), always=Act(status=404))
        second = mirror.put("/a.zip", CONTENT)
        assert place.fetch(first, second) == CONTENT
        assert "404" in place.said[-1]
        assert f"from now on {mirror.url[7:]} is asked first" in place.said[-1]
        assert mirror.requests[0].range is None
        assert place.progress.done == len(CONTENT)
        # each gives its reason, the last one aloud
        (place.folder / "a.zip").unlink()
        mirror.put("/a.zip", OTHER)
        with pytest.raises(DownloadError, match="instead of"):
            place.fetch(first, second)


def test_a_host_that_refused_is_asked_last_and_complained_of_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_modules.download.transfer._SAME_S", 600.0)
    said: list[str] = []
    transfers = Transfers(PACE, Progress(0, None), said.append, tmp_path, threading.Event())
    with Server().running() as mirror:
        for name in ("a", "b", "c"):
            urls = (
                server.put(f"/{name}", b"", always=Act(status=403)),
                mirror.put(f"/{name}", CONTENT, Act(status=503)),
            )
            transfers.fetch(RemoteFile(name, urls, len(CONTENT), sha256(CONTENT)), tmp_path)
        assert len(server.requests) == 1
        assert len(mirror.requests) == 6
    assert [line.rpartition("; ")[2][:5] for line in said] == ["from ", "again"]


def test_it_ends_when_told_to(
    server: Server, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.put("/a.zip", CONTENT, always=Act(stall_after=20_000))
    place.pace = replace(PACE, stall_s=0.2, attempts=20)

    def stop_after_some(progress: Progress, num_bytes: int) -> None:
        if num_bytes:
            place.stop.set()

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "add", stop_after_some)
        with pytest.raises(StoppedError):
            place.fetch(url)
    # what came is kept
    server.put("/a.zip", CONTENT)
    size = (place.folder / "a.zip.part").stat().st_size
    place.stop.clear()
    assert place.fetch(url) == CONTENT
    assert server.requests[-1].range == f"bytes={size}-"


def test_a_disk_that_refuses_is_no_broken_connection(server: Server, place: Place) -> None:
    (place.folder / "a.zip.part").mkdir()
    with pytest.raises(OSError, match="directory"):
        place.fetch(server.put("/a.zip", CONTENT))
