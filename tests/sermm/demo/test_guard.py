"""Who may ask the page behind a proxy. The rest of the guard is tested over HTTP with the page."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sermm.demo.guard import Guard
from sermm.demo.uploads import Uploads
from tests.sermm.workplace import Workplace

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def status_of(guard: Guard, **headers: str) -> int:
    """What a request for the page's configuration gets."""
    found: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": "/config", "headers": pairs}
    asyncio.run(guard(scope, receive, send))  # type: ignore[arg-type]
    return found[0]


async def answers(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    uploads = Uploads(tmp_path, 600)
    return Guard(answers, LOOPBACK, 1000, uploads, "https://Voices.example.org/emotion")


def test_a_proxy_may_name_either_host(guard: Guard) -> None:
    public = "https://voices.example.org"
    assert status_of(guard, host="voices.example.org", origin=public) == 200
    assert status_of(guard, host="127.0.0.1:7860", origin=public) == 200
    assert status_of(guard, host="127.0.0.1:7860") == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://voices.example.org", "https://voices.example.org.x"]
)
def test_another_page_may_not(guard: Guard, origin: str) -> None:
    assert status_of(guard, host="127.0.0.1:7860", origin=origin) == 403
    assert status_of(guard, host="evil.example", origin="https://voices.example.org") == 403


def test_without_a_public_address_only_loopback_answers(tmp_path: Path) -> None:
    guard = Guard(answers, LOOPBACK, 1000, Uploads(tmp_path, 600))
    assert status_of(guard, host="voices.example.org") == 403
    assert status_of(guard, host="127.0.0.1:7860", origin="") == 200
    assert status_of(guard, host="127.0.0.1:7860", origin="null") == 403


@pytest.mark.parametrize(
    "address", ["voices.example.org", "ftp://x", "https://", "https://[x", "a"]
)
def test_a_public_address_is_whole(place: Workplace, address: str) -> None:
    place.fit("linear", "name=base", "optim.epochs=1")
    said = place.sermm("demo", "base", "--public-url", address)
    assert said.status == 2
    assert "--public-url: expected the address" in said.err
