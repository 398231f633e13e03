"""What tables are made of, and how numbers are written in them.

A cell that holds a score of the model is marked as such: where the protocol leaks, both renderers
put the mark beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sermm.statistics import LEAST_CLUSTERS

LEAK_MARK = "LEAK"
LEAK_ADVICE = "Do not compare these numbers with those of an honest protocol."
NO_BREAK = "\N{NO-BREAK SPACE}"
ABSENT = "\N{EN DASH}"
FEW_CLUSTERS = 5


@dataclass(frozen=True)
class Cell:
    """Text, and whether it is a score of the model on utterances it did not train on."""

    text: str
    is_score: bool = False


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows.

    Attributes:
        name: Its anchor on the page.
        caption: What it shows, in one sentence.
        columns: Titles.
        rows: One cell a column.
        num_text_columns: How many columns, from the first, hold text; the others hold numbers.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    num_text_columns: int = 1


def number(value: float | None, digits: int = 3) -> str:
    """``0.712``; a dash where there is none."""
    # rounded first and then added to 0, which has no sign
    return ABSENT if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def with_spread(mean: float | None, sd: float | None) -> str:
    """``0.712 ± 0.021``, or the mean alone."""
    return number(mean) if sd is None else f"{number(mean)} ±{NO_BREAK}{number(sd)}"


def with_interval(value: float | None, ends: Sequence[float] | None) -> str:
    """``0.712 (0.655–0.771)``, ``0.012 (-0.194 to 0.115)``, or the value alone."""
    if ends is None:
        return number(value)
    low, high = map(number, ends)
    between = " to " if low.startswith("-") else "\N{EN DASH}"
    return f"{number(value)} ({low}{between}{high})"


def known(value: float | None) -> float | None:
    """The value, None where it is not a number."""
    return None if value is None or value != value else value


def signed_interval(value: float | None, ends: Sequence[float] | None) -> str:
    """``+0.012 (-0.031 to +0.055)``."""
    value = known(value)
    if value is None:
        return ABSENT
    text = _with_sign(value)
    return text if ends is None else f"{text} ({_with_sign(ends[0])} to {_with_sign(ends[1])})"


def _with_sign(value: float) -> str:
    # rounded first and then added to 0, which has no sign of its own
    return f"{round(value, 3) + 0.0:+.3f}"


def count(value: float) -> str:
    """A number of utterances; with a decimal only where seeds that differ were averaged."""
    return f"{round(value):,}" if abs(value - round(value)) < 1e-6 else f"{value:,.1f}"


def percent(share: float) -> str:
    """``97.0 %``."""
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """``1 h 02 min``, ``3 min 20 s`` or ``12 s``."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


def plural(number_of: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number_of} {noun}" if number_of == 1 else f"{number_of} {noun}s"


def notes_of(summary: Mapping[str, Any]) -> list[str]:
    """What a reader of several experiments has to know of this one."""
    name = summary["experiment"]
    notes = [f"{name}: {note}" for note in summary["notes"]]
    if summary["complete"]:
        return notes
    return [f"{name} is incomplete: {plural(len(summary['missing']), 'run')} missing", *notes]


def too_few(clusters: int, over: str = "speakers") -> str:
    """``2 speakers: too few for an interval``; empty where they are enough."""
    if clusters >= LEAST_CLUSTERS:
        return ""
    return (
        f"{clusters} {over.removesuffix('s') if clusters == 1 else over}: too few for an interval"
    )


def interval_text(summary: Mapping[str, Any]) -> str:
    """What the intervals are over, in one sentence."""
    interval = summary["interval"]
    few = too_few(interval["count"], interval["over"])
    if few:
        return f"{few}."
    text = (
        f"{100 * interval['level']:.0f} % intervals are over {interval['count']} {interval['over']}"
    )
    if interval["over"] != "speakers":
        return f"{text}: not every speaker is known, so they are likely too narrow."
    if interval["count"] < FEW_CLUSTERS:
        return f"{text}: so few that intervals are wide and rough."
    return f"{text}."
