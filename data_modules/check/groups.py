"""Counts beside published ones, row by row, for the terminal and the page."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from data_modules.check.survey import Survey

MOST_ROWS = 40
"""A group with more names than this is summed up: a corpus may have a thousand speakers."""


@dataclass(frozen=True)
class CountRow:
    """One count.

    Attributes:
        name: What is counted; empty for all of it.
        here: Utterances in the manifest; None where the row is a remark.
        published: In the whole release; None where nothing is published.
    """

    name: str
    here: int | None
    published: int | None = None

    @property
    def difference(self) -> str:
        """``+3`` or ``-12``; empty if there is none, or nothing to compare with."""
        if self.here is None or self.published in (None, self.here):
            return ""
        assert self.published is not None
        return f"{self.here - self.published:+d}"


@dataclass(frozen=True)
class CountGroup:
    """Counts of one kind: ``class``, ``part``, ``session``, ``speaker``, ``all``."""

    name: str
    rows: list[CountRow]


def count_groups(survey: Survey) -> list[CountGroup]:
    """Utterances that the usual label scheme keeps, by everything that is known of them."""
    counts, published = survey.counts, survey.prepared.corpus.published
    kinds: tuple[tuple[str, Mapping[str, int], Mapping[str, int]], ...] = (
        ("class", counts.classes, published.classes if published else {}),
        ("part", counts.parts, published.parts if published else {}),
        ("session", counts.sessions, published.sessions if published else {}),
        ("speaker", counts.speakers, published.speakers if published else {}),
    )
    groups = [CountGroup(name, _rows(here, there)) for name, here, there in kinds if here or there]
    total = CountRow("", counts.total, published.total if published else None)
    return [*groups, CountGroup("all", [total])]


def _rows(here: Mapping[str, int], there: Mapping[str, int]) -> list[CountRow]:
    names = [*here, *(name for name in there if name not in here)]
    rows = [CountRow(name, here.get(name, 0), there.get(name) if there else None) for name in names]
    if len(rows) <= MOST_ROWS:
        return rows
    numbers = sorted(here.values()) or [0]
    told = f"{len(names)} names, {numbers[0]} to {numbers[-1]} utterances each, "
    summed = CountRow(f"{told}median {statistics.median(numbers):g}", None)
    different = [row for row in rows if row.difference]
    rest = len(different) - MOST_ROWS
    more = [CountRow(f"and {rest} more that differ", None)] if rest > 0 else []
    return [summed, *different[:MOST_ROWS], *more]
