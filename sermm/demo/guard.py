"""What reaches the page at all, in front of gradio and independent of its settings.

- Requests under another host name, or from a page of another host, are refused: no page elsewhere
  can ask under a name that leads here (DNS rebinding), nor have a browser send forms here.
- Only the routes that the page needs exist; a file is served only out of the folder of uploads.
- Bodies beyond the limit are refused before they are read.
- The answers let a browser fetch nothing from outside.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect

from sermm.demo.uploads import Uploads

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]

_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
)
_API = "/gradio_api"
_UPLOAD = f"{_API}/upload"
_FILE = f"{_API}/file="
_EXACT = {
    *("/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt", _UPLOAD),
    *(f"{_API}/{name}" for name in ("upload_progress", "startup-events", "theme.css", "info")),
    *(f"{_API}/{name}" for name in ("queue/join", "queue/data", "cancel", "reset", "app_id")),
}
_MAX_QUESTION_BYTES = 200_000  # of all but uploads; the longest text fits
_UNDER = ("/assets/", "/static/", "/svelte/", f"{_API}/heartbeat/", f"{_API}/call/")


class Guard:
    """ASGI middleware: known hosts, known routes, bounded bodies, nothing from outside.

    Args:
        app: What it guards.
        hosts: Names under which the page may be asked for; empty for all.
        max_bytes: Of an upload's body.
        uploads: Where the files lie that may be served.
        public_url: Under which a proxy passes the page on; empty without one.
    """

    def __init__(
        self,
        app: Any,
        hosts: tuple[str, ...],
        max_bytes: int,
        uploads: Uploads,
        public_url: str = "",
    ) -> None:
        self.app, self.max_bytes, self.uploads = app, max_bytes, uploads
        public = urlsplit(public_url)
        self.hosts = (*hosts, public.hostname) if hosts and public.hostname else hosts
        self.origin = f"{public.scheme}://{public.netloc}".lower() if public_url else ""

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer, or pass on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        refusal = self._refusal(scope["path"], headers)
        if refusal is not None:
            await _refuse(send, *refusal)
            return
        if scope["path"] == _UPLOAD and scope["method"] == "POST":
            await self._take(scope, receive, send)
        else:
            await self.app(scope, self._bounded(scope["path"], receive), _guarded(send))

    def _refusal(self, path: str, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if self.hosts and _name(host) not in self.hosts:
            return 403, "unknown host"
        origin = headers.get("origin", "")
        # a proxy may name the page's own address as the host, but the browser named the public one
        if origin and origin.partition("://")[2] != host and origin.lower() != self.origin:
            return 403, "from another page"
        if not self._is_known(path):
            return 404, "no such page"
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length) > self._limit(path):
            return 413, "too large"
        return None

    def _is_known(self, path: str) -> bool:
        if ".." in PurePosixPath(path).parts:
            return False
        if path.startswith(_FILE):
            asked = PurePosixPath(path.removeprefix(_FILE))
            return asked.is_relative_to(self.uploads.folder)
        return path in _EXACT or path.startswith(_UNDER)

    def _limit(self, path: str) -> int:
        return self.max_bytes if path == _UPLOAD else _MAX_QUESTION_BYTES

    def _bounded(self, path: str, receive: _Receive) -> _Receive:
        taken, limit = 0, self._limit(path)

        async def bounded() -> _Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            # a body that came in pieces without a length
            return {"type": "http.disconnect"} if taken > limit else message

        return bounded

    async def _take(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Pass an upload on, and note the files that it became."""
        status, body = 500, b""

        async def noted(message: _Message) -> None:
            nonlocal status, body
            status = message.get("status", status)
            body += message.get("body", b"")
            if message["type"] == "http.response.body" and not message.get("more_body"):
                names = json.loads(body) if status == 200 else []
                self.uploads.end(names)
                # before the sender hears of it, who may ask at once
                status = 0
            await send(message)

        self.uploads.begin()
        try:
            await self.app(scope, self._bounded(_UPLOAD, receive), _guarded(noted))
        except ClientDisconnect:
            # too large, or the sender has gone and hears nothing; what came goes first
            self.uploads.end([])
            status = 0
            await _refuse(send, 413, "too large")
        finally:
            if status:
                self.uploads.end([])


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _guarded(send: _Send) -> _Send:
    async def guarded(message: _Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                *message["headers"],
                (b"content-security-policy", _POLICY.encode()),
                (b"x-content-type-options", b"nosniff"),
                (b"referrer-policy", b"no-referrer"),
            ]
        await send(message)

    return guarded


async def _refuse(send: _Send, status: int, reason: str) -> None:
    body = reason.encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
