"""What a server's answer says of a file: which content it is, which part of it, when to ask again.

Statuses and headers are those of RFC 9110, sections 8.8, 13 to 15.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class BrokenError(Exception):
    """This attempt failed; the next one may not.

    Attributes:
        wait_s: Seconds that the server asks to wait, if it does.
    """

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class RefusedError(Exception):
    """This address will not do."""


@dataclass(frozen=True)
class Content:
    """What identifies the content of a file on its server.

    Attributes:
        url: Its address.
        etag: ``ETag``, as it was sent.
        modified: ``Last-Modified``, as it was sent.
        size: Bytes of the whole file.
    """

    url: str
    etag: str | None
    modified: str | None
    size: int | None

    @property
    def validator(self) -> str | None:
        """For ``If-Range``, which takes no weak ``ETag``."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.modified

    def differs_from(self, other: Content) -> bool:
        """Whether something that both state is not the same."""
        pairs = (
            (self.etag, other.etag),
            (self.modified, other.modified),
            (self.size, other.size),
        )
        return any(None not in pair and pair[0] != pair[1] for pair in pairs)


def read_answer(
    status: int, reason: str, headers: Mapping[str, str], url: str, start: int
) -> tuple[Content, int]:
    """Read status line and headers.

    Args:
        status: Of the answer.
        reason: The words after it.
        headers: By name, in any case.
        url: What was asked for.
        start: First byte that was asked for; 0 if all of the file was.

    Returns:
        The content, and where in it the body begins.

    Raises:
        BrokenError: Not now.
        RefusedError: Not so.
    """
    said = f"status {status} ({reason})"
    wait_s = read_wait(headers.get("Retry-After"))
    # GitHub says 403 for too many requests
    if status in _AGAIN or (status == 403 and wait_s is not None):
        raise BrokenError(said, wait_s)
    if status not in (200, 206) or (status == 206 and not start):
        raise RefusedError(said)
    encoding = headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise RefusedError(f"content encoded as {encoding}")
    length = headers.get("Content-Length", "")
    first, size = 0, int(length) if re.fullmatch("[0-9]{1,18}", length) else None
    if status == 206:
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if match is None:
            raise RefusedError("a part of the file, without saying which")
        first, size = int(match[1]), None if match[3] == "*" else int(match[3])
    return Content(url, headers.get("ETag"), headers.get("Last-Modified"), size), first


def read_wait(text: str | None) -> float | None:
    """Seconds that ``Retry-After`` asks for: a number or a date; None if it says nothing."""
    if text is None:
        return None
    if re.fullmatch("[0-9]{1,9}", text):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (when - datetime.now(UTC)).total_seconds()) if when.tzinfo else None


def explain(error: BaseException) -> str:
    """The innermost message: what libraries wrap around it tells the user nothing."""
    inner: object = error
    while isinstance(inner, BaseException):
        inside = getattr(inner, "reason", None) or next(
            (one for one in inner.args if isinstance(one, BaseException)), None
        )
        if not isinstance(inside, BaseException) or inside is inner:
            break
        inner = inside
    text = str(inner).rpartition(">: ")[2].rpartition("): ")[2]
    return text or type(inner).__name__
