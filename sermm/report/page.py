"""``report.html``: one self-contained page that opens from disk and asks the network for nothing.

Everything shown comes from ``summary.json`` and the run folders behind it. The template
(``page.html.j2``) holds the words and the style; tables and pictures are made beside this file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from data_modules.atomic import write_atomically
from sermm.pool import pool_runs
from sermm.report import cells, tables
from sermm.report.alignment import FILE_NAME as ALIGNMENT_FILE
from sermm.report.alignment import AlignmentExample, read_alignment_example
from sermm.report.alignment_plot import alignment_picture
from sermm.report.plots import (
    confusion_picture,
    learning_picture,
    sizes_picture,
    speakers_picture,
)
from sermm.report.rating_plot import RatingPanel, ratings_picture
from sermm.report.table_file import write_table
from sermm.report.terminal import alignment_text
from sermm.results import read_config_text, read_environment, read_history, read_run
from sermm.run_metrics import RunKey, size_name
from sermm.summary import read_summary
from sermm.trivial import TRIVIAL

FILE_NAME = "report.html"
TABLE_NAME = "table.csv"


def write_report(folder: Path) -> Path:
    """Write ``report.html`` and ``table.csv`` of an experiment from its ``summary.json``.

    Args:
        folder: ``runs/NAME``.

    Returns:
        The path of the page.

    Raises:
        DataError: There is no summary, or a run folder behind it is damaged.
    """
    summary = read_summary(folder)
    write_table(folder / TABLE_NAME, summary)
    page = render("page.html.j2", _context(folder, summary))

    def write(stream: IO[str]) -> None:
        stream.write(page)

    write_atomically(folder / FILE_NAME, write)
    return folder / FILE_NAME


def render(template: str, context: Mapping[str, Any]) -> str:
    """A page from its template."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sermm.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(context)


def _context(folder: Path, summary: Mapping[str, Any]) -> dict[str, Any]:
    headline = [
        folder / RunKey(run["fold"], run["seed"], run["size"]).folder_name
        for run in tables.headline_runs(summary)
    ]
    environment = read_environment(headline[0])
    scoring = tables.scoring_of(summary)
    shown = [
        tables.scores_table(summary),
        tables.folds_table(summary),
        tables.speakers_table(summary),
        tables.sizes_table(summary),
        tables.runs_table(summary),
        tables.conditions_table(summary),
        tables.values_table(summary),
        tables.spread_table(summary),
    ]
    if scoring.kind == "classes":
        shown += [tables.classes_table(summary), tables.confusion_table(summary)]
    chance, known = next(iter(TRIVIAL[scoring.kind].items()))
    return {
        "summary": summary,
        "meanings": _meanings(summary),
        "leak": summary["leak"],
        "leak_mark": cells.LEAK_MARK,
        "leak_advice": cells.LEAK_ADVICE,
        "headline": summary["metrics"][scoring.headline],
        "headline_info": scoring.metrics[scoring.headline],
        "select_info": scoring.metrics[tables.selected_by(summary)],
        "chance_title": known.title,
        "chance": summary["trivial"][chance][scoring.headline],
        "tables": {table.name: table for table in shown},
        "names_tables": tables.names_tables(summary),
        "pictures": _pictures(headline, summary),
        "example": _example(headline),
        "interval_text": cells.interval_text(summary),
        "excluded_count": cells.plural(summary["excluded"]["count"], "utterance"),
        "alignment_text": alignment_text(summary),
        "total_time": cells.duration(summary["seconds"]),
        "environment": {name: _readable(value) for name, value in environment.items()},
        "config": read_config_text(headline[0]),
        "config_run": headline[0].name,
        "number": cells.number,
    }


def _meanings(summary: Mapping[str, Any]) -> dict[str, str]:
    """What each score means, those of single names once."""
    scoring = tables.scoring_of(summary)
    noun = "label" if scoring.kind == "multilabel" else "rating"
    meanings = {info.title: info.meaning for info in scoring.overall.values()}
    of_one = {
        f"{info.title} of a {noun}": info.meaning for info in scoring.metrics.values() if info.of
    }
    return meanings | of_one


def _readable(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_readable(item)}" for key, item in value.items()) or cells.ABSENT
    if isinstance(value, list):
        return ", ".join(_readable(item) for item in value) or "none"
    return value if isinstance(value, str) else json.dumps(value)


def _pictures(headline: list[Path], summary: Mapping[str, Any]) -> dict[str, str]:
    leak = summary["leak"]
    scoring = tables.scoring_of(summary)
    info = scoring.metrics[scoring.headline]
    runs = tables.headline_runs(summary)
    pictures = {}
    if scoring.kind == "classes":
        confusion = np.array(summary["confusion"], dtype=np.float64)
        pictures["confusion"] = confusion_picture(confusion, summary["classes"], leak)
    if scoring.kind == "regression":
        pictures["ratings"] = ratings_picture(_rating_panels(headline, summary), leak)
    by_speaker = {name: row[scoring.headline] for name, row in summary["per_speaker"].items()}
    pooled = summary["metrics"][scoring.headline]
    known_scores = [score for score in by_speaker.values() if score is not None]
    if len(known_scores) > 1 and pooled["pooled"] is not None:
        chance, known = next(iter(TRIVIAL[scoring.kind].items()))
        pictures["speakers"] = speakers_picture(
            by_speaker,
            pooled["pooled"],
            pooled["ci95"],
            (known.title, summary["trivial"][chance][scoring.headline]["pooled"]),
            leak,
            score=info.title,
            is_share=info.is_share,
        )
    histories = [
        (f"fold {run['fold']}, seed {run['seed']}", read_history(path), run["best_epoch"])
        for path, run in zip(headline, runs, strict=True)
    ]
    if any(len(history.epochs) for _, history, _ in histories):
        select = tables.selected_by(summary)
        pictures["learning"] = learning_picture(
            histories,
            leak,
            column=f"val/{select}",
            score=scoring.metrics[select].title_with_unit,
            loss="loss (nats)" if scoring.kind in ("classes", "multilabel") else "loss",
        )
    if len(summary["by_size"]) > 1:
        num_train = {
            size: float(
                np.mean([r["num_train"] for r in summary["runs"] if size_name(r["size"]) == size])
            )
            for size in summary["by_size"]
        }
        pictures["sizes"] = sizes_picture(
            summary["by_size"],
            num_train,
            leak,
            metric=scoring.headline,
            score=info.title_with_unit,
        )
    example = _example(headline)
    if example is not None:
        pictures["alignment"] = alignment_picture(example)
    return pictures


def _rating_panels(headline: list[Path], summary: Mapping[str, Any]) -> list[RatingPanel]:
    """One for each rating, over all headline runs."""
    pool = pool_runs([read_run(folder) for folder in headline])
    weights = np.concatenate(pool.weights())
    true = np.concatenate([run.predictions.references for run in pool.runs])
    predicted = np.concatenate([run.predictions.outcomes for run in pool.runs])
    panels = []
    for index, name in enumerate(pool.scoring.names):
        mae = summary["metrics"]["mae" if len(pool.scoring.names) == 1 else f"mae_{name}"]["pooled"]
        title = f"{name}: MAE {cells.number(mae)}"
        panels.append(RatingPanel(title, true[:, index], predicted[:, index], weights))
    return panels


def _example(headline: list[Path]) -> AlignmentExample | None:
    """The first stored alignment example, if a run has one."""
    paths = [path / ALIGNMENT_FILE for path in headline]
    found = [path for path in paths if path.is_file()]
    return read_alignment_example(found[0]) if found else None
