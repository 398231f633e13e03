"""The tables of a report as rows of text, drawn alike in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sermm.report.cells import (
    ABSENT,
    Cell,
    Table,
    count,
    duration,
    number,
    percent,
    plural,
    with_interval,
    with_spread,
)
from sermm.run_metrics import size_name
from sermm.scoring import Scoring, find_scoring
from sermm.trivial import TRIVIAL

# scores of single names that the terminal has room for
_MOST_OF_NAMES = 24
# letters in a list of speakers
_MOST_OF_SPEAKERS = 40


def scoring_of(summary: Mapping[str, Any]) -> Scoring:
    """The scores that a summary is made of."""
    return find_scoring(summary["kind"], summary["classes"], summary["family"])


def headline_runs(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The runs behind the headline: those of the largest training size."""
    return [run for run in summary["runs"] if run["size"] == summary["size"]]


def selected_by(summary: Mapping[str, Any]) -> str:
    """The score that chose the epochs, or the loss."""
    return next(iter(summary["runs"][0]["val"]), scoring_of(summary).headline)


def titles_of_names(scoring: Scoring, *, brief: bool = False) -> list[str]:
    """Titles of the scores of single names: all, or as many as the terminal has room for."""
    titles = list(dict.fromkeys(info.title for info in scoring.metrics.values() if info.of))
    if not brief or len(titles) * len(scoring.names) <= _MOST_OF_NAMES:
        return titles
    return titles[:1]


def _scores(texts: Sequence[str], is_score: bool = True) -> tuple[Cell, ...]:
    return tuple(Cell(text, is_score) for text in texts)


def _brief(summary: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and titles of the scores for tables with many rows."""
    scoring = scoring_of(summary)
    return scoring.brief, tuple(scoring.metrics[name].full_title for name in scoring.brief)


def _columns_of_scores(summary: Mapping[str, Any], *, brief: bool = False) -> tuple[str, ...]:
    """Titles of what :func:`_row_of_scores` tells."""
    runs = plural(len(headline_runs(summary)), "run")
    trivial = (f"trivial: {known.title}" for known in TRIVIAL[scoring_of(summary).kind].values())
    spread = [f"mean ± sd of {runs}", "sd over seeds, pooled"]
    shown = 0 if brief else 2 if _has_seeds(summary) else 1
    return ("pooled (95 % interval)", *spread[:shown], *trivial)


def _row_of_scores(
    summary: Mapping[str, Any], name: str, *, brief: bool = False
) -> tuple[Cell, ...]:
    score = summary["metrics"][name]
    spread = [with_spread(score["mean"], score["sd"]), number(score["sd_seeds"])]
    shown = 0 if brief else 2 if _has_seeds(summary) else 1
    texts = [with_interval(score["pooled"], score["ci95"]), *spread[:shown]]
    trivial = [
        number(summary["trivial"][key][name]["pooled"]) for key in TRIVIAL[scoring_of(summary).kind]
    ]
    return (*_scores(texts), *_scores(trivial, is_score=False))


def _has_seeds(summary: Mapping[str, Any]) -> bool:
    return any(score["sd_seeds"] is not None for score in summary["metrics"].values())


def scores_table(summary: Mapping[str, Any]) -> Table:
    """Pooled with interval, mean over runs, and the trivial predictors."""
    rows = tuple(
        (Cell(info.title), *_row_of_scores(summary, name))
        for name, info in scoring_of(summary).overall.items()
    )
    columns = ("", *_columns_of_scores(summary))
    return Table("scores", "Test scores and what chance alone gives.", columns, rows)


def names_tables(summary: Mapping[str, Any], *, brief: bool = False) -> list[Table]:
    """The scores of single ratings or labels, a table a score; brief for the terminal."""
    scoring = scoring_of(summary)
    noun = "label" if scoring.kind == "multilabel" else "rating"
    return [
        _names_table(summary, title, noun, brief=brief)
        for title in titles_of_names(scoring, brief=brief)
    ]


def _names_table(summary: Mapping[str, Any], title: str, noun: str, *, brief: bool) -> Table:
    metrics = [(k, i) for k, i in scoring_of(summary).metrics.items() if i.of and i.title == title]
    # of a label it matters how often it is there; what ratings are like has a table of its own
    often = ("true", "predicted") if noun == "label" else ()
    rows = tuple(
        (
            Cell(info.of),
            *(Cell(count(summary["per_name"][info.of][key])) for key in often),
            *_row_of_scores(summary, name, brief=brief),
        )
        for name, info in metrics
    )
    return Table(
        f"names-{metrics[0][0].partition('_')[0]}",
        f"{title} of each {noun}: {metrics[0][1].meaning}.",
        (noun, *often, *_columns_of_scores(summary, brief=brief)),
        rows,
    )


def spread_table(summary: Mapping[str, Any]) -> Table:
    """Whether predictions of ratings lie where the ratings lie."""
    rows = tuple(
        (
            Cell(name),
            Cell(with_spread(row["true_mean"], row["true_sd"])),
            *_scores([with_spread(row["predicted_mean"], row["predicted_sd"])]),
        )
        for name, row in summary["per_name"].items()
        if summary["kind"] == "regression"
    )
    caption = "Mean ± sd of each rating and of what was predicted."
    return Table("spread", caption, ("rating", "true", "predicted"), rows)


def folds_table(summary: Mapping[str, Any]) -> Table:
    """Scores of each fold, mean over its runs."""
    names, titles = _brief(summary)
    rows = tuple(
        (
            Cell(str(fold["fold"])),
            Cell(_names(fold["speakers"])),
            Cell(count(fold["num_test"])),
            *_scores(
                [
                    with_spread(fold["metrics"][name]["mean"], fold["metrics"][name]["sd"])
                    for name in names
                ]
            ),
        )
        for fold in summary["per_fold"]
    )
    several = any(fold["num_runs"] > 1 for fold in summary["per_fold"])
    caption = f"Test part of each fold{', mean ± sd over seeds' if several else ''}."
    columns = ("fold", "test speakers", "utterances", *titles)
    return Table("folds", caption, columns, rows, num_text_columns=2)


def _names(names: Sequence[str]) -> str:
    """Names of speakers where there is room for all of them, else how many there are."""
    shown = ", ".join(names) or ABSENT
    return shown if len(shown) <= _MOST_OF_SPEAKERS else plural(len(names), "speaker")


def conditions_table(summary: Mapping[str, Any]) -> Table:
    """Pooled scores of the same models where a modality is missing."""
    names, titles = _brief(summary)
    parts = {"all there": summary["metrics"], **summary["conditions"]}
    rows = tuple(
        (
            Cell(condition.replace("-", " ")),
            *_scores([with_interval(scores[n]["pooled"], scores[n]["ci95"]) for n in names]),
        )
        for condition, scores in parts.items()
    )
    caption = "The same models with a modality missing at test time."
    return Table("conditions", caption, ("modalities", *titles), rows)


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


def values_table(summary: Mapping[str, Any]) -> Table:
    """Error of ratings by their true value."""
    rows = tuple(
        (
            Cell(name),
            Cell(value_text(row["low"], row["high"])),
            Cell(count(row["count"])),
            *_scores([number(row["mae"]), f"{row['bias']:+.3f}"]),
        )
        for name, table in summary["per_value"].items()
        for row in table
    )
    caption = "Error by true value; bias is the mean of prediction less truth."
    columns = ("rating", "true value", "utterances", "MAE", "bias")
    return Table("errors", caption, columns, rows, num_text_columns=2)


def value_text(low: float, high: float) -> str:
    """A step of a rating: the whole number in its middle, or both of its ends."""
    middle = (low + high) / 2
    if high - low == 1 and middle == round(middle):
        return f"{middle:g}"
    return f"{low:.3g} to {high:.3g}"


def speakers_table(summary: Mapping[str, Any]) -> Table:
    """Scores of each test speaker, pooled over seeds."""
    names, titles = _brief(summary)
    rows = tuple(
        (
            Cell(name),
            Cell(count(row["num_test"])),
            *_scores([number(row[metric]) for metric in names]),
        )
        for name, row in summary["per_speaker"].items()
    )
    return Table("speakers", "Each test speaker.", ("speaker", "utterances", *titles), rows)


def sizes_table(summary: Mapping[str, Any]) -> Table:
    """Pooled scores for each training size."""
    names, titles = _brief(summary)
    rows = tuple(
        (
            Cell(size),
            *_scores([with_interval(scores[n]["pooled"], scores[n]["ci95"]) for n in names]),
        )
        for size, scores in summary["by_size"].items()
    )
    columns = ("training utterances", *titles)
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
    names, titles = _brief(summary)
    select = selected_by(summary)
    rows = tuple(
        (
            Cell(str(run["fold"])),
            Cell(str(run["seed"])),
            Cell(size_name(run["size"])),
            Cell(f"{run['num_train']:,} / {run['num_val']:,} / {run['num_test']:,}"),
            Cell(ABSENT if run["best_epoch"] is None else str(run["best_epoch"])),
            *_scores([number(run["val"].get(select))]),
            *_scores([number(run["metrics"][name]) for name in names]),
            Cell(duration(run["seconds"])),
        )
        for run in summary["runs"]
    )
    validation = f"validation {scoring_of(summary).selecting(select).title}"
    columns = ("fold", "seed", "size", "train / validation / test", "chosen epoch", validation)
    return Table("runs", "Every finished run.", (*columns, *titles, "time"), rows)
