"""``CORPUS.check.html``: what a prepared corpus is like, as one page that opens from disk.

Everything shown comes from the manifest and the clips behind it. The page holds transcripts and,
unless that is declined, a few clips of the corpus, so it must stay where the corpus may be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_modules.atomic import write_text
from data_modules.check import CheckResult, Survey
from data_modules.check.counts import part_order
from data_modules.check.groups import count_groups, fold_rows
from data_modules.check.leaks import percent
from data_modules.check.media import MAX_DURATION_S, MIN_DURATION_S
from data_modules.check.overlap import Overlap
from data_modules.check.result import Status
from data_modules.errors import first_ids
from data_modules.prepared import manifest_path
from sermm.report.cells import NO_BREAK, Cell, Table, duration, plural
from sermm.report.check_examples import by_kind, choose_examples
from sermm.report.check_plots import MOST_BARS, histogram_picture, stacked_picture
from sermm.report.page import render

_STATUS: dict[Status, str] = {"fail": "failed", "warn": "worth knowing", "pass": "passed"}


def check_page_path(corpus: str, cache: Path) -> Path:
    """Where the page of a corpus is kept, beside its manifest."""
    return manifest_path(corpus, cache).with_suffix(".check.html")


def write_check_page(
    survey: Survey, results: Sequence[CheckResult], *, with_audio: bool = True
) -> Path:
    """Write the page of a prepared corpus.

    Args:
        survey: The corpus.
        results: Of its checks.
        with_audio: Whether a few clips stand in the page.

    Returns:
        The path of the page.
    """
    path = check_page_path(survey.prepared.corpus.name, survey.prepared.cache)
    write_text(path, render("check.html.j2", _context(survey, results, with_audio)))
    return path


def _context(survey: Survey, results: Sequence[CheckResult], with_audio: bool) -> dict[str, Any]:
    prepared = survey.prepared
    examples = choose_examples(survey, with_audio=with_audio)
    counts = Counter(result.status for result in results)
    shown_speakers, num_speakers = _bars(survey)
    return {
        "leak": "",
        "leak_mark": "",
        "corpus": prepared.corpus,
        "root": prepared.root,
        "data_sha256": prepared.data_sha256,
        "facts": _facts(survey),
        "counts": {name: counts[status] for status, name in _STATUS.items() if counts[status]},
        "results": [(r, _told(r)) for status in _STATUS for r in results if r.status == status],
        "tables": _tables(survey),
        "pictures": _pictures(survey, shown_speakers),
        "bars_of": _bar_name(survey),
        "num_bars": len(shown_speakers),
        "num_speakers": num_speakers,
        "counted_by": {
            "classes": "",
            "regression": f" {prepared.corpus.scheme.names[0].capitalize()} is rounded.",
            "multilabel": " An utterance with several labels counts by the first.",
        }[prepared.corpus.scheme.kind],
        "division": survey.division,
        "overlaps": _overlaps(survey),
        "percent": lambda share: percent(share).replace(" ", NO_BREAK),
        "examples": examples,
        "num_clips": sum(bool(example.audio) for example in examples),
        "listed": _listed(survey),
        "seconds": lambda value: f"{value:.1f}{NO_BREAK}s",
    }


def _facts(survey: Survey) -> str:
    utterances = survey.prepared.utterances
    total_s = sum(utterance.duration_s for utterance in utterances)
    facts = [f"{len(utterances):,} utterances"]
    for name in ("speaker", "session", "dialogue"):
        values = {getattr(utterance, name) for utterance in utterances} - {None}
        facts += [plural(len(values), name)] if values else []
    return ", ".join([*facts, duration(total_s)] if total_s else facts)


def _told(result: CheckResult) -> str:
    return first_ids(list(result.ids)) if result.status != "pass" else ""


def _listed(survey: Survey) -> list[tuple[str, str, int, str]]:
    """What is not in the manifest and what has a remark: kind, reason, number, first ids."""
    prepared = survey.prepared
    rows: dict[tuple[str, str], list[str]] = {}
    numbers: Counter[tuple[str, str]] = Counter()
    for exclusion in prepared.exclusions:
        rows.setdefault(("left out", exclusion.reason), []).append(exclusion.id)
        numbers["left out", exclusion.reason] += 1
    for reason, names in prepared.ignored.items():
        rows["passed over", reason] = names
        numbers["passed over", reason] += len(names)
    for note in prepared.notes:
        rows.setdefault(("remark", note.reason), []).append(note.id)
        numbers["remark", note.reason] += note.count
    return [(*key, numbers[key], first_ids(ids, limit=3)) for key, ids in rows.items()]


def _tables(survey: Survey) -> dict[str, Table]:
    tables = []
    *groups, total = count_groups(survey)
    for group in groups:
        # the sum stands below the classes
        rows = tuple(
            (Cell(row.name or "all"), *_figures(row.here, row.published), Cell(row.difference))
            for row in [*group.rows, *(total.rows if group is groups[0] else ())]
        )
        columns = (group.name, "here", "published", "difference")
        tables.append(Table(group.name, f"Utterances {group.title}.", columns, rows))
    division = survey.division
    if division is not None and division.folds:
        parts = tuple(division.folds[0])
        rows = tuple(
            (Cell(str(number)), *map(Cell, row.values()))
            for number, row in enumerate(fold_rows(survey))
        )
        tables.append(Table("folds", f"Folds: {division.title}.", ("fold", *parts), rows))
    return {table.name: table for table in tables}


def _overlaps(survey: Survey) -> tuple[list[str], dict[str, list[Overlap]]]:
    """Pairs of parts as columns, and the overlaps of each kind in their order."""
    rows: dict[str, list[Overlap]] = {}
    for overlap in survey.overlaps:
        rows.setdefault(overlap.kind, []).append(overlap)
    columns = [f"{o.other} in {o.one}" for o in next(iter(rows.values()), [])]
    return columns, {kind: row for kind, row in rows.items() if any(o.num_all for o in row)}


def _figures(*numbers: int | None) -> tuple[Cell, ...]:
    return tuple(Cell("" if number is None else f"{number:,}") for number in numbers)


def _bar_name(survey: Survey) -> str:
    for name in ("speaker", "part"):
        if any(getattr(utterance, name) is not None for utterance in survey.kept):
            return name
    return "corpus"


def _bars(survey: Survey) -> tuple[dict[str, Counter[str]], int]:
    """Classes by speaker (or part), those with the most utterances; and how many there are."""
    name = _bar_name(survey)
    bars: dict[str, Counter[str]] = {}
    kinds = by_kind(survey)
    for kind, members in kinds.items():
        for utterance in members:
            bar = getattr(utterance, name) if name != "corpus" else utterance.corpus
            # all kinds from the start, so that each bar has them in the same order
            bars.setdefault(bar or "not known", Counter(dict.fromkeys(kinds, 0)))[kind] += 1
    if len(bars) > MOST_BARS:
        order = sorted(bars, key=lambda bar: (-bars[bar].total(), bar))[:MOST_BARS]
    else:
        order = sorted(bars, key=part_order if name == "part" else None)
    return {bar: bars[bar] for bar in order}, len(bars)


def _pictures(survey: Survey, bars: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    utterances = survey.prepared.utterances
    pictures = {}
    lengths = np.array([u.duration_s for u in utterances if u.end_s is not None])
    if len(set(lengths.tolist())) > 1:
        limits = (MIN_DURATION_S, MAX_DURATION_S)
        pictures["durations"] = histogram_picture("durations", lengths, "length in s", limits)
    words = np.array([len(u.text.split()) for u in utterances if u.text], dtype=np.float64)
    if len(set(words.tolist())) > 1:
        pictures["words"] = histogram_picture("words", words, "words in a transcript", ())
    if bars:
        pictures["classes"] = stacked_picture("classes", bars, _bar_name(survey))
    return pictures
