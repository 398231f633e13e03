"""Counts beside published ones, row by row, for the terminal and the page."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from data_modules.check.division import IntArray
from data_modules.check.survey import Survey
from data_modules.labels import Kind

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
        return f"{self.here - self.published:+,d}"


@dataclass(frozen=True)
class CountGroup:
    """Counts of one kind: ``class``, ``part``, ``session``, ``speaker``, ``all``.

    Attributes:
        name: Which kind.
        rows: The counts.
        title: What the counts are of, behind "Utterances".
    """

    name: str
    rows: list[CountRow]
    title: str


_CLASS_TITLES: dict[Kind, str] = {
    "classes": "by class",
    "regression": "whose rating is not zero",
    "multilabel": "by label, several of which an utterance may have",
}


def count_groups(survey: Survey) -> list[CountGroup]:
    """Utterances that the usual label scheme keeps, by everything that is known of them."""
    counts, published = survey.counts, survey.prepared.corpus.published
    kinds: tuple[tuple[str, Mapping[str, int], Mapping[str, int]], ...] = (
        ("class", counts.classes, published.classes if published else {}),
        ("part", counts.parts, published.parts if published else {}),
        ("session", counts.sessions, published.sessions if published else {}),
        ("speaker", counts.speakers, published.speakers if published else {}),
    )
    by_class = _CLASS_TITLES[survey.prepared.corpus.scheme.kind]
    groups = [
        CountGroup(name, _rows(here, there), by_class if name == "class" else f"by {name}")
        for name, here, there in kinds
        if here or there
    ]
    total = CountRow("", counts.total, published.total if published else None)
    return [*groups, CountGroup("all", [total], "altogether")]


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


def fold_rows(survey: Survey) -> list[dict[str, str]]:
    """Utterances of each part of each fold: ``180``, or ``170 of 180`` where 180 are published."""
    division = survey.division
    if division is None:
        return []
    rows = []
    for fold in division.folds:
        there = _published_fold(survey, fold)
        rows.append(
            {
                part: f"{len(places):,}"
                + (f" of {there[part]:,}" if there.get(part, len(places)) != len(places) else "")
                for part, places in fold.items()
            }
        )
    return rows


def _published_fold(survey: Survey, fold: Mapping[str, IntArray]) -> dict[str, int]:
    """What the parts of a fold have in the whole release, where that follows from what is known."""
    published = survey.prepared.corpus.published
    if published is None:
        return {}
    parts = {part: {survey.kept[k].part for k in places.tolist()} for part, places in fold.items()}
    if published.parts and all(found == {part} for part, found in parts.items()):
        return {part: published.parts[part] for part in fold if part in published.parts}
    if not published.speakers:
        return {}
    speakers = {
        part: {survey.kept[k].speaker or "" for k in places.tolist()}
        for part, places in fold.items()
    }
    everyone = set().union(*speakers.values())
    # parts that share a speaker hold a share of him that nobody published
    apart = len(everyone) == sum(map(len, speakers.values()))
    if not apart or not everyone <= published.speakers.keys():
        return {}
    return {part: sum(published.speakers[s] for s in found) for part, found in speakers.items()}
