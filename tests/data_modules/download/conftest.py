"""A server for each test, and no way past it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.data_modules.download.server import Server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with Server().running() as running:
        yield running
