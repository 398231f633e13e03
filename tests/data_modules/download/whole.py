"""Fetching whole corpora from loopback, and what is in the folder then."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from data_modules.download import Pace, Record, Source, download
from tests.data_modules.download import releases

PACE = Pace(attempts=3, first_wait_s=0.01, stall_s=600.0, resume_from=0)
OWN = {"SHA256SUMS", "download.json"}


class Fetched(NamedTuple):
    record: Record
    said: list[str]


def fetch(source: Source, root: Path) -> Fetched:
    said: list[str] = []
    return Fetched(download(source, root, say=said.append, pace=PACE), said)


def data_in(root: Path) -> dict[str, bytes]:
    """Everything but the two files that `sermm download` adds."""
    found = releases.contents(root)
    assert set(found) >= OWN
    return {path: content for path, content in found.items() if path not in OWN}


def stop_after(monkeypatch: pytest.MonkeyPatch, method: str, suffix: str, count: int) -> None:
    """Ctrl-C at a call of a method of Path whose target ends so."""
    done: list[Path] = []
    original = getattr(Path, method)

    def stopped(self: Path, target: Path) -> Path:
        if str(target).endswith(suffix):
            done.append(target)
            if len(done) > count:
                raise KeyboardInterrupt
        moved: Path = original(self, target)
        return moved

    monkeypatch.setattr(Path, method, stopped)
