"""What a check says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from data_modules.prepared import Prepared

Status = Literal["pass", "warn", "fail"]
Needs = Literal["", "audio", "text", "labels", "words"]


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Attributes:
        name: What was looked at.
        status: ``fail`` if an experiment that needs this must not run, ``warn`` if its reader
            should know.
        detail: One sentence with numbers.
        ids: Utterances or files concerned, all of them.
        needs: What an experiment must use to be concerned; empty if every one is.
        fix: What to do, for a failure.
    """

    name: str
    status: Status
    detail: str
    ids: tuple[str, ...] = ()
    needs: Needs = ""
    fix: str = ""


Check = Callable[[Prepared], CheckResult | None]
"""A check; None where it does not apply to the corpus."""


def plural(count: int, singular: str) -> str:
    """``1 clip``, ``2 clips``."""
    return f"{count} {singular}" + ("" if count == 1 else "s")
