"""The tables of a report as rows of text, drawn alike in the terminal and on the page.

A cell that holds a score of the model is marked as such: where the protocol leaks, both renderers
put the mark beside it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from data_modules.atomic import write_atomically
from sermm.metrics import CLASS_METRICS
from sermm.run_metrics import size_name

LEAK_MARK = "LEAK"
LEAK_ADVICE = "Do not compare these numbers with those of an honest protocol."
NO_BREAK = "\N{NO-BREAK SPACE}"
ABSENT = "\N{EN DASH}"
FEW_CLUSTERS = 5
TRIVIAL_TITLES = {
    "majority": "trivial: majority class",
    "prior": "trivial: drawn by prior",
}


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
    return ABSENT if value is None else f"{value:.{digits}f}"


def with_spread(mean: float | None, sd: float | None) -> str:
    """``0.712 ± 0.021``, or the mean alone."""
    return number(mean) if sd is None else f"{number(mean)} ±{NO_BREAK}{number(sd)}"


def with_interval(value: float | None, ends: Sequence[float] | None) -> str:
    """``0.712 (0.655–0.771)``, or the value alone."""
    if ends is None:
        return number(value)
    return f"{number(value)} ({number(ends[0])}\N{EN DASH}{number(ends[1])})"


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


def interval_text(summary: Mapping[str, Any]) -> str:
    """What the intervals are over, in one sentence."""
    interval = summary["interval"]
    if interval["count"] == 1:
        return "No interval: all test utterances are of one speaker."
    text = (
        f"{100 * interval['level']:.0f} % intervals are over {interval['count']} {interval['over']}"
    )
    if interval["over"] != "speakers":
        return f"{text}: not every speaker is known, so they are likely too narrow."
    if interval["count"] < FEW_CLUSTERS:
        return f"{text}: too few to trust them, they are likely too narrow."
    return f"{text}."


def headline_runs(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The runs behind the headline: those of the largest training size."""
    return [run for run in summary["runs"] if run["size"] == summary["size"]]


def _scores(texts: Sequence[str], is_score: bool = True) -> tuple[Cell, ...]:
    return tuple(Cell(text, is_score) for text in texts)


_TITLES = tuple(info.title for info in CLASS_METRICS.values())


def scores_table(summary: Mapping[str, Any]) -> Table:
    """Mean over runs, pooled with interval, and the trivial predictors."""
    metrics = [summary["metrics"][name] for name in CLASS_METRICS]
    runs = plural(len(headline_runs(summary)), "run")
    rows = [
        (
            Cell("pooled (95 % interval)"),
            *_scores([with_interval(m["pooled"], m["ci95"]) for m in metrics]),
        ),
        (
            Cell(f"mean ± sd of {runs}"),
            *_scores([with_spread(m["mean"], m["sd"]) for m in metrics]),
        ),
    ]
    if metrics[0]["sd_seeds"] is not None:
        rows.append(
            (
                Cell("sd over seeds, pooled"),
                *_scores([number(m["sd_seeds"]) for m in metrics]),
            )
        )
    for name, title in TRIVIAL_TITLES.items():
        trivial = [summary["trivial"][name][metric]["pooled"] for metric in CLASS_METRICS]
        rows.append((Cell(title), *_scores([number(value) for value in trivial], is_score=False)))
    return Table("scores", "Test scores and what chance alone gives.", ("", *_TITLES), tuple(rows))


def folds_table(summary: Mapping[str, Any]) -> Table:
    """Scores of each fold, mean over its runs."""
    rows = tuple(
        (
            Cell(str(fold["fold"])),
            Cell(_names(fold["speakers"])),
            Cell(count(fold["num_test"])),
            *_scores(
                [
                    with_spread(fold["metrics"][name]["mean"], fold["metrics"][name]["sd"])
                    for name in CLASS_METRICS
                ]
            ),
        )
        for fold in summary["per_fold"]
    )
    several = any(fold["num_runs"] > 1 for fold in summary["per_fold"])
    caption = f"Test part of each fold{', mean ± sd over seeds' if several else ''}."
    columns = ("fold", "test speakers", "utterances", *_TITLES)
    return Table("folds", caption, columns, rows, num_text_columns=2)


def _names(names: Sequence[str], limit: int = 4) -> str:
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown or ABSENT


def classes_table(summary: Mapping[str, Any]) -> Table:
    """Recall, precision and F1 of each class, pooled."""
    rows = tuple(
        (
            Cell(name),
            *_scores(
                [
                    with_interval(row["recall"], row["recall_ci95"]),
                    number(row["precision"]),
                    number(row["f1"]),
                ]
            ),
            Cell(count(row["support"])),
        )
        for name, row in summary["per_class"].items()
    )
    columns = ("class", "recall (95 % interval)", "precision", "F1", "utterances")
    return Table("classes", "Each class, over all test utterances.", columns, rows)


def speakers_table(summary: Mapping[str, Any]) -> Table:
    """Scores of each test speaker, pooled over seeds."""
    rows = tuple(
        (
            Cell(name),
            Cell(count(row["num_test"])),
            *_scores([number(row[metric]) for metric in CLASS_METRICS]),
        )
        for name, row in summary["per_speaker"].items()
    )
    return Table("speakers", "Each test speaker.", ("speaker", "utterances", *_TITLES), rows)


def sizes_table(summary: Mapping[str, Any]) -> Table:
    """Pooled scores for each training size."""
    rows = tuple(
        (
            Cell(size),
            *_scores([with_interval(m[name]["pooled"], m[name]["ci95"]) for name in CLASS_METRICS]),
        )
        for size, m in summary["by_size"].items()
    )
    columns = ("training utterances", *_TITLES)
    return Table("sizes", "Pooled scores by size of the training part.", columns, rows)


def confusion_table(summary: Mapping[str, Any]) -> Table:
    """The confusion matrix in numbers."""
    rows = []
    for name, counts in zip(summary["classes"], summary["confusion"], strict=True):
        total = sum(counts)
        texts = [f"{count(n)} ({percent(n / total) if total else ABSENT})" for n in counts]
        rows.append((Cell(name), *_scores(texts)))
    return Table(
        "confusion",
        "Rows are the reference, columns what was predicted; shares are of the row.",
        ("reference", *summary["classes"]),
        tuple(rows),
    )


def runs_table(summary: Mapping[str, Any]) -> Table:
    """Every finished run."""
    rows = tuple(
        (
            Cell(str(run["fold"])),
            Cell(str(run["seed"])),
            Cell(size_name(run["size"])),
            Cell(f"{run['num_train']:,} / {run['num_val']:,} / {run['num_test']:,}"),
            Cell(ABSENT if run["best_epoch"] is None else str(run["best_epoch"])),
            *_scores([number(run["val"].get("ua"))]),
            *_scores([number(run["metrics"][name]) for name in CLASS_METRICS]),
            Cell(duration(run["seconds"])),
        )
        for run in summary["runs"]
    )
    columns = ("fold", "seed", "size", "train / validation / test", "chosen epoch", "validation UA")
    return Table("runs", "Every finished run.", (*columns, *_TITLES, "time"), rows)


def _tidy_rows(summary: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """(scope, name, size, metric, value, sd, low, high) of every number."""
    for size, scores in summary["by_size"].items():
        for metric, score in scores.items():
            low, high = score["ci95"] or (None, None)
            yield "pooled", "", size, metric, score["pooled"], None, low, high
            yield "mean", "", size, metric, score["mean"], score["sd"], None, None
    size = size_name(summary["size"])
    for name, scores in summary["trivial"].items():
        for metric, score in scores.items():
            low, high = score["ci95"] or (None, None)
            yield "trivial", name, size, metric, score["pooled"], None, low, high
    for fold in summary["per_fold"]:
        for metric, score in fold["metrics"].items():
            yield "fold", fold["fold"], size, metric, score["mean"], score["sd"], None, None
    for name, row in summary["per_class"].items():
        low, high = row["recall_ci95"] or (None, None)
        yield "class", name, size, "recall", row["recall"], None, low, high
        for metric in ("precision", "f1", "support"):
            yield "class", name, size, metric, row[metric], None, None, None
    for name, row in summary["per_speaker"].items():
        for metric in (*CLASS_METRICS, "num_test"):
            yield "speaker", name, size, metric, row[metric], None, None, None
    for run in summary["runs"]:
        name = f"fold={run['fold']},seed={run['seed']}"
        for metric in CLASS_METRICS:
            value = run["metrics"][metric]
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
        for row in _tidy_rows(summary):
            writer.writerow([*fixed, *row])

    write_atomically(path, write)
