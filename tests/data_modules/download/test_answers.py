"""Headers of any kind: read, or refused in words."""

from __future__ import annotations

import contextlib
import ssl
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data_modules.download.answers import (
    BrokenError,
    Content,
    RefusedError,
    explain,
    read_answer,
    read_wait,
)
from data_modules.download.parallel import in_parallel
from data_modules.download.pointers import Pointer, read_pointer


def test_a_whole_file_and_a_part_of_one() -> None:
    facts = {"ETag": '"a"', "Last-Modified": "yesterday", "Content-Length": "100"}
    content = Content("url", '"a"', "yesterday", 100)
    assert read_answer(200, "OK", facts, "url", 0) == (content, 0)
    part = {**facts, "Content-Length": "60", "Content-Range": "bytes 40-99/100"}
    assert read_answer(206, "Partial Content", part, "url", 40) == (content, 40)
    unknown = {"Content-Range": "bytes 40-99/*"}
    assert read_answer(206, "", unknown, "url", 40) == (Content("url", None, None, None), 40)


def test_conditions_need_a_strong_validator() -> None:
    assert Content("", '"a"', "yesterday", 1).validator == '"a"'
    assert Content("", 'W/"a"', "yesterday", 1).validator == "yesterday"
    assert Content("", 'W/"a"', None, 1).validator is None


def test_contents_differ_where_both_say_something() -> None:
    some = Content("", '"a"', None, 1)
    assert not some.differs_from(Content("", None, "yesterday", None))
    assert some.differs_from(Content("", '"b"', None, 1))
    assert some.differs_from(Content("", '"a"', None, 2))
    assert Content("", None, "now", 1).differs_from(Content("", None, "then", 1))


def test_times_to_wait() -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    assert read_wait(None) is None
    assert read_wait("7") == 7.0
    assert 3000 < (read_wait(format_datetime(soon, usegmt=True)) or 0) <= 3600
    assert read_wait("Fri, 31 Dec 1999 23:59:59 GMT") == 0.0
    assert [read_wait(text) for text in ("", "-1", "1.5", "soon", "²", "9" * 5000)] == [None] * 6


HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "ETag",
            "Last-Modified",
            "Content-Length",
            "Content-Range",
            "Retry-After",
            "Content-Encoding",
        ]
    ),
    st.one_of(
        st.text(max_size=30),
        st.from_regex(r"bytes [0-9]{0,4}-[0-9]{0,4}/[0-9*]{0,4}"),
        st.from_regex(r"\A[0-9]{1,25}\Z"),
    ),
)


@given(status=st.integers(100, 599), headers=HEADERS, start=st.integers(0, 9999))
@example(status=200, headers={"Content-Length": "٣"}, start=0)
@example(status=503, headers={"Retry-After": "Mon, 99 Foo 20255 99:99:99 +9999"}, start=0)
def test_any_answer_is_read_or_refused(status: int, headers: dict[str, str], start: int) -> None:
    with contextlib.suppress(BrokenError, RefusedError):
        content, first = read_answer(status, "Reason", headers, "url", start)
        assert status in (200, 206)
        assert first >= 0
        assert content.size is None or content.size >= 0


def test_errors_are_told_by_their_cause() -> None:
    requests = pytest.importorskip("requests")
    urllib3 = pytest.importorskip("urllib3")
    lost = urllib3.exceptions.ProtocolError("Connection broken", ConnectionResetError(104, "reset"))
    assert explain(requests.exceptions.ConnectionError(lost)) == "[Errno 104] reset"
    late = urllib3.exceptions.ReadTimeoutError(None, "http://a", "http://a: Read timed out.")
    assert explain(late).endswith("Read timed out.")
    certificate = ssl.SSLCertVerificationError(1, "certificate verify failed: expired")
    wrapped = urllib3.exceptions.MaxRetryError(None, "/", urllib3.exceptions.SSLError(certificate))
    assert "certificate verify failed: expired" in explain(requests.exceptions.SSLError(wrapped))
    assert explain(ValueError()) == "ValueError"


# pointers

WHOLE = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 12\n"


def test_a_pointer_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(WHOLE)
    assert read_pointer(path) == Pointer("ab" * 32, 12)
    for other in (b"", b"RIFF" + bytes(100), WHOLE + b"x", WHOLE[:-1], WHOLE.replace(b"ab", b"AB")):
        path.write_bytes(other)
        assert read_pointer(path) is None


@given(place=st.integers(0, len(WHOLE) - 1), value=st.integers(0, 255))
@settings(max_examples=200)
def test_what_is_nearly_a_pointer_is_none_or_another(
    tmp_path: Path, place: int, value: int
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(WHOLE[:place] + bytes([value]) + WHOLE[place + 1 :])
    pointer = read_pointer(path)
    assert pointer is None or (len(pointer.sha256) == 64 and 0 <= pointer.size < 100)


# threads


def test_all_jobs_are_done() -> None:
    done: list[int] = []
    in_parallel([lambda n=n: done.append(n) for n in range(100)], 8, threading.Event())  # type: ignore[misc]
    assert sorted(done) == list(range(100))
    in_parallel([], 8, threading.Event())


def test_the_first_error_ends_the_others() -> None:
    stop = threading.Event()
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 3:
            raise KeyError(number)
        stop.wait(600)

    with pytest.raises(KeyError):
        in_parallel([lambda n=n: work(n) for n in range(100)], 4, stop)  # type: ignore[misc]
    assert len(begun) <= 8
