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
from sermm.metrics import CLASS_METRICS
from sermm.report import tables
from sermm.report.alignment import FILE_NAME as ALIGNMENT_FILE
from sermm.report.alignment import AlignmentExample, read_alignment_example
from sermm.report.alignment_plot import alignment_picture
from sermm.report.plots import (
    confusion_picture,
    learning_picture,
    sizes_picture,
    speakers_picture,
)
from sermm.report.terminal import alignment_text
from sermm.results import read_config_text, read_environment, read_history
from sermm.run_metrics import RunKey, size_name
from sermm.summary import read_summary

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
    tables.write_table(folder / TABLE_NAME, summary)
    page = _render(_context(folder, summary))

    def write(stream: IO[str]) -> None:
        stream.write(page)

    write_atomically(folder / FILE_NAME, write)
    return folder / FILE_NAME


def _render(context: Mapping[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sermm.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.j2").render(context)


def _context(folder: Path, summary: Mapping[str, Any]) -> dict[str, Any]:
    headline = [
        folder / RunKey(run["fold"], run["seed"], run["size"]).folder_name
        for run in tables.headline_runs(summary)
    ]
    environment = read_environment(headline[0])
    return {
        "summary": summary,
        "metrics": CLASS_METRICS,
        "leak_mark": tables.LEAK_MARK,
        "leak_advice": tables.LEAK_ADVICE,
        "headline": summary["metrics"]["ua"],
        "tables": {
            table.name: table
            for table in (
                tables.scores_table(summary),
                tables.folds_table(summary),
                tables.classes_table(summary),
                tables.speakers_table(summary),
                tables.sizes_table(summary),
                tables.confusion_table(summary),
                tables.runs_table(summary),
            )
        },
        "pictures": _pictures(headline, summary),
        "example": _example(headline),
        "interval_text": tables.interval_text(summary),
        "excluded_count": tables.plural(summary["excluded"]["count"], "utterance"),
        "alignment_text": alignment_text(summary),
        "total_time": tables.duration(summary["seconds"]),
        "environment": {name: _readable(value) for name, value in environment.items()},
        "config": read_config_text(headline[0]),
        "config_run": headline[0].name,
        "number": tables.number,
    }


def _readable(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_readable(item)}" for key, item in value.items()) or tables.ABSENT
    if isinstance(value, list):
        return ", ".join(_readable(item) for item in value) or "none"
    return value if isinstance(value, str) else json.dumps(value)


def _pictures(headline: list[Path], summary: Mapping[str, Any]) -> dict[str, str]:
    leak = summary["leak"]
    runs = tables.headline_runs(summary)
    pictures = {
        "confusion": confusion_picture(
            np.array(summary["confusion"], dtype=np.float64), summary["classes"], leak
        )
    }
    if len(summary["per_speaker"]) > 1:
        pictures["speakers"] = speakers_picture(
            {name: row["ua"] for name, row in summary["per_speaker"].items()},
            summary["metrics"]["ua"]["pooled"],
            summary["metrics"]["ua"]["ci95"],
            summary["trivial"]["majority"]["ua"]["pooled"],
            leak,
        )
    histories = [
        (f"fold {run['fold']}, seed {run['seed']}", read_history(path), run["best_epoch"])
        for path, run in zip(headline, runs, strict=True)
    ]
    if any(len(history.epochs) for _, history, _ in histories):
        pictures["learning"] = learning_picture(histories, leak)
    if len(summary["by_size"]) > 1:
        num_train = {
            size: float(
                np.mean([r["num_train"] for r in summary["runs"] if size_name(r["size"]) == size])
            )
            for size in summary["by_size"]
        }
        pictures["sizes"] = sizes_picture(summary["by_size"], num_train, leak)
    example = _example(headline)
    if example is not None:
        pictures["alignment"] = alignment_picture(example)
    return pictures


def _example(headline: list[Path]) -> AlignmentExample | None:
    """The first stored alignment example, if a run has one."""
    paths = [path / ALIGNMENT_FILE for path in headline]
    found = [path for path in paths if path.is_file()]
    return read_alignment_example(found[0]) if found else None
