"""An HTTP server on loopback that misbehaves as told."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Act:
    """What happens to one request; the default is what it should be.

    Attributes:
        status: Instead of the file.
        headers: In addition.
        stop_after: Bytes of the body after which the connection is closed.
        stall_after: Bytes of the body after which nothing more comes, until the server closes.
        ranges: Whether ``Range`` is honoured.
        conditions: Whether ``If-Range`` is honoured.
        length: What ``Content-Length`` says; None to send none.
        chunked: Whether the body comes in chunks, without a length.
        shift: Added to where a range begins.
        slow_s: Wait before each 1,000 bytes.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    stop_after: int | None = None
    stall_after: int | None = None
    ranges: bool = True
    conditions: bool = True
    length: int | None = -1
    chunked: bool = False
    shift: int = 0
    slow_s: float = 0.0


@dataclass
class Resource:
    """A file on the server."""

    content: bytes
    acts: list[Act] = field(default_factory=list)
    always: Act = Act()
    etag: str | None = "by content"
    modified: str | None = None

    def headers(self) -> dict[str, str]:
        found = {}
        if self.etag is not None:
            by_content = f'"{hashlib.md5(self.content).hexdigest()}"'
            found["ETag"] = by_content if self.etag == "by content" else self.etag
        if self.modified is not None:
            found["Last-Modified"] = self.modified
        return found


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    path: str
    range: str | None
    if_range: str | None
    encoding: str | None


class Server:
    """Files by path, and what was asked of them."""

    def __init__(self) -> None:
        self.files: dict[str, Resource] = {}
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self.asked = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        # a client that hangs up is part of the game
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def put(self, path: str, content: bytes, *acts: Act, **more: Any) -> str:
        """Serve a file; returns its address."""
        self.files[path] = Resource(content, list(acts), **more)
        return self.url + path

    def asked_for(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]

    @contextmanager
    def running(self) -> Iterator[Server]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            self._server.shutdown()
            self._server.server_close()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            names = ("Range", "If-Range", "Accept-Encoding")
            asked = Request(self.path, *(self.headers[name] for name in names))
            with server.asked:
                server.requests.append(asked)
                server.asked.notify_all()
            resource = server.files.get(self.path)
            if resource is None:
                self._answer(404, {}, b"none", Act())
                return
            act = resource.acts.pop(0) if resource.acts else resource.always
            if act.status is not None:
                self._answer(act.status, dict(act.headers), b"an error page", act)
                return
            headers = {**resource.headers(), **act.headers}
            status, body = self._select(resource, act, asked, headers)
            self._answer(status, headers, body, act)

        def _select(
            self, resource: Resource, act: Act, asked: Request, headers: dict[str, str]
        ) -> tuple[int, bytes]:
            content = resource.content
            match = re.fullmatch(r"bytes=(\d+)-", asked.range or "")
            current = {headers.get("ETag"), headers.get("Last-Modified")}
            stale = asked.if_range is not None and asked.if_range not in current
            if not match or not act.ranges or (stale and act.conditions):
                return 200, content
            start = int(match[1]) + act.shift
            if start >= len(content):
                headers["Content-Range"] = f"bytes */{len(content)}"
                return 416, b""
            headers.setdefault("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            return 206, content[start:]

        def _answer(self, status: int, headers: dict[str, str], body: bytes, act: Act) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if act.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            elif act.length is not None:
                self.send_header(
                    "Content-Length", str(act.length if act.length >= 0 else len(body))
                )
            else:
                self.close_connection = True
            self.end_headers()
            ends = [end for end in (act.stop_after, act.stall_after) if end is not None]
            for piece in _pieces(body[: min(ends)] if ends else body):
                if act.slow_s:
                    server.closing.wait(act.slow_s)
                try:
                    self.wfile.write(
                        b"%x\r\n%b\r\n" % (len(piece), piece) if act.chunked else piece
                    )
                except OSError:
                    self.close_connection = True
                    return
            self.wfile.flush()
            if act.stall_after is not None:
                server.closing.wait()
            if ends:
                self.close_connection = True
            elif act.chunked:
                self.wfile.write(b"0\r\n\r\n")
            elif act.length not in (None, -1) and act.length != len(body):
                self.close_connection = True

    return Handler


def _pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]
