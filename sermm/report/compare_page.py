"""A comparison as a page, a record and a table: ``runs/compare/A_vs_B/``."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from data_modules.atomic import write_json, write_text
from data_modules.protocols import find_protocol
from sermm.compare import Comparison
from sermm.compare_sizes import SizeComparison
from sermm.metrics import MetricInfo
from sermm.report.cells import LEAK_ADVICE, LEAK_MARK, Table
from sermm.report.compare_tables import (
    pairs_table,
    scores_tables,
    size_text,
    sizes_table,
    trend_text,
    what_is_permuted,
)
from sermm.report.intervals_plot import Row, intervals_picture
from sermm.report.page import render
from sermm.report.terminal import draw, leak_text
from sermm.statistics import Interval

FOLDER = "compare"
_LONGEST_NAME = 120


def folder_of(names: Sequence[str], runs: Path) -> Path:
    """Where the comparison of experiments is kept."""
    name = "_vs_".join(names)
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return runs / FOLDER / name


def write_comparison(folder: Path, comparisons: Sequence[Comparison]) -> Path:
    """Write ``compare.html``, ``compare.json`` and ``compare.csv``; returns the page."""
    write_json(folder / "compare.json", {"comparisons": [_record(one) for one in comparisons]})
    write_text(folder / "compare.csv", _rows(comparisons))
    write_text(folder / "compare.html", render("compare.html.j2", _context(comparisons)))
    return folder / "compare.html"


def print_comparisons(console: Console, comparisons: Sequence[Comparison]) -> None:
    """Print scores, differences and what follows."""
    first = comparisons[0]
    console.print()
    console.print(Text(f"Protocol {first.protocol}"))
    leak = _leak(comparisons)
    if leak:
        console.print(leak_text(leak))
    for note in _notes(comparisons):
        console.print(Text(f"Note: {note}", style="yellow"))
    tables = [table for one in comparisons for table in scores_tables(one)]
    if len(comparisons) > 1:
        tables.append(pairs_table(comparisons, first.scoring.headline))
    tables += _sizes_tables(comparisons)
    for table in tables:
        console.print(draw(table, leak, console.width))
    for text in (*_trends(comparisons), *what_is_permuted(first)):
        console.print(Text(text))


def _sizes_tables(comparisons: Sequence[Comparison]) -> list[Table]:
    several = len(comparisons) > 1
    found = (sizes_table(one, place if several else None) for place, one in enumerate(comparisons))
    return [table for table in found if table is not None]


def _trends(comparisons: Sequence[Comparison]) -> list[str]:
    return [text for text in map(trend_text, comparisons) if text]


def _sizes_picture(one: Comparison, name: str, leak: str) -> str:
    """Differences of the headline by training size, from the fewest."""
    assert one.sizes is not None
    info = one.scoring.metrics[one.sizes.metric]
    rows = [
        Row(
            size_text(row.size, row.num_train),
            _known(row.interval.estimate),
            _ends(row.interval),
            is_marked=row.interval.excludes(0),
        )
        for row in one.sizes.rows
    ]
    title = f"{one.name_a} - {one.name_b} by training size"
    return _differences_picture(name, rows, info, title, "training utterances", leak)


def _differences_picture(
    name: str, rows: Sequence[Row], info: MetricInfo, title: str, what: str, leak: str
) -> str:
    """Differences in a score, beside a line where there is none; ``what`` names the rows."""
    return intervals_picture(
        name,
        rows,
        title=title,
        unit=f"A - B, {info.title_with_unit}",
        what=what,
        leak=leak,
        line=0.0,
        line_label="no difference",
    )


def _leak(comparisons: Sequence[Comparison]) -> str:
    parts = (part for one in comparisons if one.leak for part in one.leak.split("; "))
    return "; ".join(dict.fromkeys(parts))


def _notes(comparisons: Sequence[Comparison]) -> list[str]:
    return list(dict.fromkeys(note for one in comparisons for note in one.notes))


def _context(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    first = comparisons[0]
    headline = first.scoring.headline
    info = first.scoring.metrics[headline]
    leak = _leak(comparisons)
    several = len(comparisons) > 1
    rows = [
        Row(
            f"{one.name_a} - {one.name_b}",
            _known(one.differences[headline].interval.estimate),
            _ends(one.differences[headline].interval),
            is_marked=one.verdict(headline).endswith("is better"),
        )
        for one in comparisons
    ]
    names = list(dict.fromkeys(name for one in comparisons for name in (one.name_a, one.name_b)))
    by_size = {
        f"sizes-{number}": one for number, one in enumerate(comparisons) if one.sizes is not None
    }
    return {
        "names": names,
        "protocol": first.protocol,
        "description": find_protocol(first.protocol).description,
        "leak": leak,
        "leak_mark": LEAK_MARK,
        "leak_advice": LEAK_ADVICE,
        "notes": _notes(comparisons),
        "info": info,
        "pairs": pairs_table(comparisons, headline) if several else None,
        "tables": [
            table
            for number, one in enumerate(comparisons)
            for table in scores_tables(one, number if several else None)
        ],
        "sizes": list(by_size),
        "sizes_tables": _sizes_tables(comparisons),
        "trends": _trends(comparisons),
        "permuted": what_is_permuted(first),
        "num_pairs": len(comparisons),
        "meanings": {i.title: i.meaning for i in first.scoring.overall.values()},
        "pictures": {
            "differences": _differences_picture(
                "differences", rows, info, f"difference in {info.full_title}", "pair", leak
            ),
            **{name: _sizes_picture(one, name, leak) for name, one in by_size.items()},
        },
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _ends(interval: Interval) -> list[float] | None:
    return [interval.low, interval.high] if interval.is_known else None


def _record(one: Comparison) -> dict[str, Any]:
    return {
        "a": one.name_a,
        "b": one.name_b,
        "protocol": one.protocol,
        "leak": one.leak,
        "num_utterances": one.num_utterances,
        "over": one.over,
        "num_pairs": one.num_pairs,
        "notes": list(one.notes),
        "differences": {
            metric: {
                "a": _known(found.a),
                "b": _known(found.b),
                "difference": _known(found.interval.estimate),
                "ci95": _ends(found.interval),
                "joint_ci": _ends(found.joint),
                "p_speakers": _test(found.speakers),
                "p_runs": _test(found.runs),
                "p_adjusted": _known(found.adjusted_p),
                "verdict": one.verdict(metric),
            }
            for metric, found in one.differences.items()
        },
        "sizes": _sizes_record(one.sizes),
    }


def _sizes_record(found: SizeComparison | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "metric": found.metric,
        "rows": [
            {
                "size": row.size,
                "num_train": row.num_train,
                "a": _known(row.a),
                "b": _known(row.b),
                "difference": _known(row.interval.estimate),
                "ci95": _ends(row.interval),
                "sd_seeds": row.sd_seeds,
                "p_speakers": _test(row.speakers),
                "p_runs": _test(row.runs),
            }
            for row in found.rows
        ],
        "trend": {
            "by_doubling": _known(found.trend.estimate),
            "ci95": _ends(found.trend),
            "p_speakers": _test(found.trend_speakers),
        },
    }


def _test(test: Any) -> dict[str, Any] | None:
    if test is None:
        return None
    return {**asdict(test), "p": _known(test.p)}


def _rows(comparisons: Sequence[Comparison]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        [
            *("a", "b", "protocol", "leak", "metric", "score_a", "score_b", "difference"),
            *("ci95_low", "ci95_high", "joint_low", "joint_high", "p_speakers", "p_runs"),
            *("p_adjusted", "verdict"),
        ]
    )
    for one in map(_record, comparisons):
        for metric, found in one["differences"].items():
            runs = found["p_runs"]
            writer.writerow(
                [
                    *(one["a"], one["b"], one["protocol"], one["leak"], metric),
                    *(found["a"], found["b"], found["difference"]),
                    *(found["ci95"] or (None, None)),
                    *(found["joint_ci"] or (None, None)),
                    *(found["p_speakers"]["p"], runs and runs["p"]),
                    *(found["p_adjusted"], found["verdict"]),
                ]
            )
    return stream.getvalue()
