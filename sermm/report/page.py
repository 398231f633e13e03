"""``report.html``: one self-contained page that opens from disk and asks the network for nothing.

Everything shown comes from ``summary.json`` and the run folders behind it. The template
(``page.html.j2``) holds the words and the style; tables and pictures are made beside this file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_modules.atomic import write_json, write_text
from sermm.pool import Pool, pool_runs
from sermm.report import cells, tables
from sermm.report.alignment import FILE_NAME as ALIGNMENT_FILE
from sermm.report.alignment import AlignmentExample, read_alignment_example
from sermm.report.alignment_plot import alignment_picture
from sermm.report.cells import Table
from sermm.report.detail_tables import (
    calibration_meanings,
    calibration_table,
    cost_table,
    group_table,
    over_chance_table,
)
from sermm.report.details import FILE_NAME as DETAILS_FILE
from sermm.report.details import Details, find_details
from sermm.report.intervals_plot import Row, intervals_picture
from sermm.report.plots import (
    confusion_picture,
    learning_picture,
    speakers_picture,
)
from sermm.report.rating_plot import RatingPanel, ratings_picture
from sermm.report.reliability_plot import reliability_picture
from sermm.report.size_plot import curve_text, series_of, sizes_picture
from sermm.report.table_file import write_table
from sermm.report.table_files import write_tables
from sermm.report.terminal import alignment_text
from sermm.results import read_config_text, read_environment, read_history, read_run
from sermm.run_metrics import RunKey
from sermm.scoring import LOSS, Scoring
from sermm.summary import read_summary
from sermm.trivial import TRIVIAL

FILE_NAME = "report.html"
TABLE_NAME = "table.csv"


def write_report(folder: Path, *, with_audio: bool = True) -> Path:
    """Write the page of an experiment, and its numbers as files, from its ``summary.json``.

    Beside ``report.html`` there are ``table.csv`` (every number of the summary), ``report.json``
    (what the page has beyond it) and ``tables/`` (each table as CSV and LaTeX).

    Args:
        folder: ``runs/NAME``.
        with_audio: Whether clips of single utterances stand in the page.

    Returns:
        The path of the page.

    Raises:
        DataError: There is no summary, or a run folder behind it is damaged.
    """
    summary = read_summary(folder)
    write_table(folder / TABLE_NAME, summary)
    headline = [
        folder / RunKey(run["fold"], run["seed"], run["size"]).folder_name
        for run in tables.headline_runs(summary)
    ]
    pool = pool_runs([read_run(path) for path in headline])
    details = find_details(headline, pool, summary, with_audio=with_audio)
    shown = _tables(summary, details)
    write_text(
        folder / FILE_NAME,
        render("page.html.j2", _context(headline, pool, summary, details, shown)),
    )
    write_json(folder / DETAILS_FILE, details.record())
    about = f"{summary['experiment']}, protocol {summary['protocol']}."
    write_tables(folder, list(shown.values()), about=about, leak=summary["leak"])
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


def _tables(summary: Mapping[str, Any], details: Details) -> dict[str, Table]:
    """Every table of the page by name."""
    scoring = tables.scoring_of(summary)
    shown = [
        tables.scores_table(summary),
        over_chance_table(summary),
        tables.folds_table(summary),
        tables.speakers_table(summary),
        tables.runs_table(summary),
        tables.values_table(summary),
        tables.spread_table(summary),
        *tables.names_tables(summary),
        cost_table(details.cost),
    ]
    if len(summary["by_size"]) > 1:
        shown.append(tables.sizes_table(summary))
    if summary["conditions"]:
        shown.append(tables.conditions_table(summary))
    if scoring.kind == "classes":
        shown += [tables.classes_table(summary), tables.confusion_table(summary)]
    if details.calibration:
        is_labels = scoring.kind == "multilabel"
        shown.append(calibration_table(details.calibration, is_labels=is_labels))
    shown += [group_table(factor, rows, scoring) for factor, rows in details.factors]
    return {table.name: table for table in shown}


def _context(
    headline: Sequence[Path],
    pool: Pool,
    summary: Mapping[str, Any],
    details: Details,
    shown: Mapping[str, Table],
) -> dict[str, Any]:
    environment = read_environment(headline[0])
    scoring = tables.scoring_of(summary)
    chance, known = next(iter(TRIVIAL[scoring.kind].items()))
    example = _example(headline)
    return {
        "summary": summary,
        "meanings": _meanings(summary) | _calibration_meanings(details, scoring),
        "leak": summary["leak"],
        "leak_mark": cells.LEAK_MARK,
        "leak_advice": cells.LEAK_ADVICE,
        "headline": summary["metrics"][scoring.headline],
        "headline_info": scoring.metrics[scoring.headline],
        "selecting": scoring.selecting(tables.selected_by(summary)),
        "learning_title": scoring.metrics[_drawn(summary)].full_title,
        "learning_unit": read_history(headline[0]).unit,
        "chance_title": known.title,
        "chance": summary["trivial"][chance][scoring.headline],
        "tables": shown,
        "names_tables": [table for name, table in shown.items() if name.startswith("names-")],
        "group_tables": [table for name, table in shown.items() if name.startswith("by-")],
        "details": details,
        "fit_title": _FITS[scoring.kind],
        "pictures": _pictures(headline, pool, summary, details, example),
        "example": example,
        "interval_text": cells.interval_text(summary),
        "excluded_count": cells.plural(summary["excluded"]["count"], "utterance"),
        "alignment_text": alignment_text(summary),
        "environment": {name: _readable(value) for name, value in environment.items()},
        "config": read_config_text(headline[0]),
        "config_run": headline[0].name,
        "number": cells.number,
        "curve_text": curve_text,
    }


_FITS = {
    "classes": "probability of the true class",
    "multilabel": "mean probability of what is true of each label",
    "regression": "minus the mean absolute error",
    "reconstruction": "minus the mean absolute error of hidden values",
}


def _drawn(summary: Mapping[str, Any]) -> str:
    """The score to draw over epochs beside the loss: the selecting one, if it is a score."""
    selecting = tables.selected_by(summary)
    return tables.scoring_of(summary).headline if selecting == LOSS else selecting


def _meanings(summary: Mapping[str, Any]) -> dict[str, str]:
    """What each score means, those of single names once."""
    scoring = tables.scoring_of(summary)
    noun = "label" if scoring.kind == "multilabel" else "rating"
    meanings = {info.title: info.meaning for info in scoring.overall.values()}
    of_one = {
        f"{info.title} of a {noun}": info.meaning for info in scoring.metrics.values() if info.of
    }
    return meanings | of_one


def _calibration_meanings(details: Details, scoring: Scoring) -> dict[str, str]:
    if not details.calibration:
        return {}
    return calibration_meanings(is_labels=scoring.kind == "multilabel")


def _readable(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_readable(item)}" for key, item in value.items()) or cells.ABSENT
    if isinstance(value, list):
        return ", ".join(_readable(item) for item in value) or "none"
    return value if isinstance(value, str) else json.dumps(value)


def _pictures(
    headline: Sequence[Path],
    pool: Pool,
    summary: Mapping[str, Any],
    details: Details,
    example: AlignmentExample | None,
) -> dict[str, str]:
    leak = summary["leak"]
    scoring = tables.scoring_of(summary)
    info = scoring.metrics[scoring.headline]
    runs = tables.headline_runs(summary)
    pictures = {}
    if scoring.kind == "classes":
        confusion = np.array(summary["confusion"], dtype=np.float64)
        pictures["confusion"] = confusion_picture(confusion, summary["classes"], leak)
    if scoring.kind == "regression":
        pictures["ratings"] = ratings_picture(_rating_panels(pool, summary), leak)
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
        drawn = _drawn(summary)
        pictures["learning"] = learning_picture(
            histories,
            leak,
            column=f"val/{drawn}",
            score=scoring.metrics[drawn].title_with_unit,
            loss="loss (nats)" if scoring.kind in ("classes", "multilabel") else "loss",
        )
    if len(summary["by_size"]) > 1:
        pictures["sizes"] = sizes_picture([series_of(summary)], leak, score=info.title_with_unit)
    if details.calibration:
        scaled = details.calibration["with_temperature"]
        pictures["reliability"] = reliability_picture(
            details.calibration["raw"]["bins"],
            scaled and scaled["bins"],
            leak,
            is_labels=scoring.kind == "multilabel",
        )
    rows = [
        Row(
            f"{factor.title}: {row['group']}" if number == 0 else row["group"],
            _known(row["metrics"][scoring.headline]["value"]),
            row["metrics"][scoring.headline]["ci95"],
        )
        for factor, groups in details.factors
        for number, row in enumerate(groups)
    ]
    if rows:
        pictures["groups"] = intervals_picture(
            "groups",
            rows,
            title=f"{info.title} of groups of utterances",
            unit=info.title_with_unit,
            what="group",
            leak=leak,
            line=pooled["pooled"],
            line_label="all test utterances",
        )
    if example is not None:
        pictures["alignment"] = alignment_picture(example)
    return pictures


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _rating_panels(pool: Pool, summary: Mapping[str, Any]) -> list[RatingPanel]:
    """One for each rating, over all headline runs."""
    weights = np.concatenate(pool.weights())
    true = np.concatenate([run.predictions.references for run in pool.runs])
    predicted = np.concatenate([run.predictions.outcomes for run in pool.runs])
    panels = []
    for index, name in enumerate(pool.scoring.names):
        mae = summary["metrics"]["mae" if len(pool.scoring.names) == 1 else f"mae_{name}"]["pooled"]
        title = f"{name}: MAE {cells.number(mae)}"
        panels.append(RatingPanel(title, true[:, index], predicted[:, index], weights))
    return panels


def _example(headline: Sequence[Path]) -> AlignmentExample | None:
    """The first stored alignment example, if a run has one."""
    paths = [path / ALIGNMENT_FILE for path in headline]
    found = [path for path in paths if path.is_file()]
    return read_alignment_example(found[0]) if found else None
