"""``table.csv``: every number of a summary as one row."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from data_modules.atomic import write_atomically
from sermm.run_metrics import size_name


def _rows(summary: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """(scope, name, size, metric, value, sd, low, high) of every number."""
    for size, scores in summary["by_size"].items():
        for metric, score in scores.items():
            low, high = score["ci95"] or (None, None)
            yield "pooled", "", size, metric, score["pooled"], None, low, high
            yield "mean", "", size, metric, score["mean"], score["sd"], None, None
    size = size_name(summary["size"])
    for scope, key in (("trivial", "trivial"), ("condition", "conditions")):
        for name, scores in summary[key].items():
            for metric, score in scores.items():
                low, high = score["ci95"] or (None, None)
                yield scope, name, size, metric, score["pooled"], None, low, high
                if "difference" in score:
                    low, high = score["difference_ci95"] or (None, None)
                    yield "over trivial", name, size, metric, score["difference"], None, low, high
    for fold in summary["per_fold"]:
        for metric, score in fold["metrics"].items():
            yield "fold", fold["fold"], size, metric, score["mean"], score["sd"], None, None
    for name, row in summary["per_class"].items():
        low, high = row["recall_ci95"] or (None, None)
        yield "class", name, size, "recall", row["recall"], None, low, high
        for metric in ("precision", "f1", "support"):
            yield "class", name, size, metric, row[metric], None, None, None
    for scope, key in (("name", "per_name"), ("speaker", "per_speaker")):
        for name, row in summary[key].items():
            for metric, value in row.items():
                yield scope, name, size, metric, value, None, None, None
    for name, table in summary["per_value"].items():
        for row in table:
            step = f"{name} from {row['low']:g} to {row['high']:g}"
            for metric in ("count", "mae", "bias"):
                yield "value", step, size, metric, row[metric], None, None, None
    for run in summary["runs"]:
        name = f"fold={run['fold']},seed={run['seed']}"
        for metric, value in run["metrics"].items():
            yield "run", name, size_name(run["size"]), metric, value, None, None, None


def write_table(path: Path, summary: Mapping[str, Any]) -> None:
    """Write every number of a summary as one row of a CSV file, whole or not at all."""

    def write(stream: IO[str]) -> None:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            [
                *("experiment", "protocol", "leak", "complete", "scope", "name", "size"),
                *("metric", "value", "sd", "ci95_low", "ci95_high"),
            ]
        )
        fixed = [summary[key] for key in ("experiment", "protocol", "leak", "complete")]
        for row in _rows(summary):
            writer.writerow([*fixed, *row])

    write_atomically(path, write)
