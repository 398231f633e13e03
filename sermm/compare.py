"""Is A better than B? Their difference on the same test utterances, speakers resampled in pairs.

Two experiments are compared only where their numbers mean the same: one protocol, one set of
targets of one kind, the same test utterances with the same labels. Anything else is refused with
the reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from data_modules.errors import DataError, first_ids
from sermm.metrics import MetricInfo
from sermm.pool import Pool, pool_runs
from sermm.report.cells import ABSENT, Cell, Table, number, plural
from sermm.report.tables import titles_of_names
from sermm.report.terminal import draw, leak_text
from sermm.results import read_run
from sermm.run_metrics import RunKey, size_name
from sermm.scoring import Scoring
from sermm.statistics import Interval, paired_cluster_bootstraps
from sermm.summary import read_summary


@dataclass(frozen=True)
class Difference:
    """One score of both, and A minus B with its interval over speakers."""

    a: float
    b: float
    interval: Interval


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` found.

    Attributes:
        name_a: The first experiment.
        name_b: The second.
        protocol: Their protocol.
        leak: What leaks in it; empty if nothing.
        num_utterances: Test utterances.
        over: What was resampled.
        scoring: What the scores are.
        differences: Pooled scores by metric.
        notes: What a reader must know, such as runs that are missing.
    """

    name_a: str
    name_b: str
    protocol: str
    leak: str
    num_utterances: int
    over: str
    scoring: Scoring
    differences: Mapping[str, Difference]
    notes: tuple[str, ...]


def compare(folder_a: Path, folder_b: Path) -> Comparison:
    """Compare two experiments on the runs that their ``summary.json`` counts.

    Args:
        folder_a: ``runs/A``.
        folder_b: ``runs/B``.

    Raises:
        DataError: A summary or a run is missing or damaged, or the experiments differ in protocol,
            targets, test utterances, their labels or their speakers.
    """
    summary_a, summary_b = read_summary(folder_a), read_summary(folder_b)
    for key in ("protocol", "kind", "family", "classes"):
        if summary_a[key] != summary_b[key]:
            raise _refused(folder_a, folder_b, key, str(summary_a[key]), str(summary_b[key]))
    pool_a, pool_b = _pool(folder_a, summary_a), _pool(folder_b, summary_b)
    _check_same_test(folder_a, folder_b, pool_a, pool_b)
    sums_a, sums_b = pool_a.sums(), pool_b.sums()
    scoring = pool_a.scoring
    functions = {name: info.function for name, info in scoring.metrics.items()}
    intervals = paired_cluster_bootstraps(sums_a, sums_b, functions)
    scores_a, scores_b = (scoring.scores(sums.sum(axis=0)) for sums in (sums_a, sums_b))
    return Comparison(
        name_a=summary_a["experiment"],
        name_b=summary_b["experiment"],
        protocol=summary_a["protocol"],
        leak=_both(summary_a["leak"], summary_b["leak"]),
        num_utterances=len(pool_a.references),
        over=summary_a["interval"]["over"],
        scoring=scoring,
        differences={
            name: Difference(scores_a[name], scores_b[name], interval)
            for name, interval in intervals.items()
        },
        notes=_notes(summary_a, summary_b),
    )


def _both(one: str, other: str) -> str:
    """What leaks in either: features may have seen what the protocol keeps apart."""
    return "; ".join(
        dict.fromkeys(part for text in (one, other) if text for part in text.split("; "))
    )


def _pool(folder: Path, summary: Mapping[str, Any]) -> Pool:
    keys = [RunKey(run["fold"], run["seed"], run["size"]) for run in summary["runs"]]
    own = [key for key in keys if key.size == summary["size"]]
    return pool_runs([read_run(folder / key.folder_name) for key in own])


def _refused(folder_a: Path, folder_b: Path, what: str, one: str, other: str) -> DataError:
    return DataError(
        folder_b,
        expected=f"the {what} of {folder_a.name} ({one})",
        got=other,
        fix="compare experiments that were scored alike, or run one of them again",
    )


def _check_same_test(folder_a: Path, folder_b: Path, a: Pool, b: Pool) -> None:
    extra, lacking = (
        sorted(set(b.references) - set(a.references)),
        sorted(set(a.references) - set(b.references)),
    )
    if extra or lacking:
        parts = [
            f"{len(ids)} {word}: {first_ids(ids)}"
            for word, ids in (("more", extra), ("fewer", lacking))
            if ids
        ]
        raise _refused(
            folder_a, folder_b, "test utterances", str(len(a.references)), "; ".join(parts)
        )
    for what, one, other in (
        ("labels", a.references, b.references),
        ("speakers", a.speakers, b.speakers),
    ):
        changed = sorted(name for name in one if one[name] != other[name])
        if changed:
            raise _refused(
                folder_a,
                folder_b,
                what,
                f"{len(one)} utterances",
                f"others for {first_ids(changed)}",
            )


def _notes(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[str, ...]:
    notes = []
    for summary in (a, b):
        name = summary["experiment"]
        if not summary["complete"]:
            missing = plural(len(summary["missing"]), "run")
            notes.append(f"{name} is incomplete: {missing} missing")
        notes.extend(f"{name}: {note}" for note in summary["notes"])
    if a["data_sha256"] != b["data_sha256"]:
        notes.append("the data behind them differ (texts, word times, audio or training parts)")
    if a["size"] != b["size"]:
        sizes = f"{size_name(a['size'])} and {size_name(b['size'])}"
        notes.append(f"their training sizes differ: {sizes} utterances")
    return tuple(notes)


def _signed(value: float) -> str:
    return ABSENT if math.isnan(value) else f"{value:+.3f}"


def _plain(value: float) -> str:
    return number(None if math.isnan(value) else value)


def _verdict(interval: Interval, *, higher_is_better: bool) -> str:
    if not interval.is_known:
        return "no interval"
    if not interval.excludes(0):
        return "no difference shown"
    return "A is better" if (interval.estimate > 0) == higher_is_better else "B is better"


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print both scores, their difference and what follows."""
    console.print()
    console.print(Text(f"A = {comparison.name_a}", style="bold"))
    console.print(Text(f"B = {comparison.name_b}", style="bold"))
    console.print(Text(f"Protocol {comparison.protocol}"))
    if comparison.leak:
        console.print(leak_text(comparison.leak))
    for note in comparison.notes:
        console.print(Text(f"Note: {note}", style="yellow"))
    scoring = comparison.scoring
    clusters = next(iter(comparison.differences.values())).interval.num_clusters
    caption = (
        f"The same {comparison.num_utterances:,} test utterances, pooled; paired bootstrap over "
        f"{clusters} {comparison.over}."
    )
    tables = [_table(comparison, "comparison", caption, scoring.overall)]
    for title in titles_of_names(scoring, brief=True):
        own = {n: i for n, i in scoring.metrics.items() if i.of and i.title == title}
        tables.append(_table(comparison, "names", f"{title} alone.", own))
    for table in tables:
        console.print(draw(table, comparison.leak, console.width))


def _table(
    comparison: Comparison, name: str, caption: str, metrics: Mapping[str, MetricInfo]
) -> Table:
    rows = []
    for metric, info in metrics.items():
        difference = comparison.differences[metric]
        interval = difference.interval
        text = _signed(interval.estimate)
        if interval.is_known:
            text += f" ({_signed(interval.low)} to {_signed(interval.high)})"
        rows.append(
            (
                Cell(info.of or info.title),
                Cell(_plain(difference.a), is_score=True),
                Cell(_plain(difference.b), is_score=True),
                Cell(text, is_score=True),
                Cell(_verdict(interval, higher_is_better=info.higher_is_better)),
            )
        )
    return Table(name, caption, ("", "A", "B", "A - B (95 % interval)", ""), tuple(rows))
