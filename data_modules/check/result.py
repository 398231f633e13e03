"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["pass", "warn", "fail"]
Needs = Literal["", "audio", "text", "labels", "words", "folds"]


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Attributes:
        name: What was looked at.
        status: ``fail`` if an experiment that needs this must not run, ``warn`` if its reader
            should know.
        detail: One sentence with numbers.
        ids: Utterances or files concerned, all of them.
        needs: What an experiment must use to be concerned; empty if every one is. Nobody uses
            ``folds``, which are those of the usual protocol: an experiment proves its own.
        fix: What to do, for a failure.
    """

    name: str
    status: Status
    detail: str
    ids: tuple[str, ...] = ()
    needs: Needs = ""
    fix: str = ""


def plural(count: int, singular: str) -> str:
    """``1 clip``, ``2 clips``."""
    return f"{count} {singular}" + ("" if count == 1 else "s")
