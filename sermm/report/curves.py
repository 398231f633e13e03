"""Several experiments by training size on one picture: ``sermm curves``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.text import Text

from data_modules.atomic import write_text
from data_modules.errors import DataError
from sermm.config import ALL
from sermm.published import PublishedCurve
from sermm.report.cells import ABSENT, LEAK_MARK, Cell, Table, notes_of, with_interval
from sermm.report.page import render
from sermm.report.size_plot import SizeSeries, curve_text, series_of, sizes_picture
from sermm.report.tables import scoring_of
from sermm.report.terminal import draw, leak_text
from sermm.run_metrics import size_name
from sermm.summary import read_summary


def write_curves(
    folders: Sequence[Path],
    published: Sequence[PublishedCurve],
    path: Path,
    console: Console,
) -> None:
    """Draw experiments on one picture, print them as a table and write both as a page.

    Args:
        folders: ``runs/NAME`` each, summed up before.
        published: Points to lay beside them.
        path: The page.
        console: Where the table goes.

    Raises:
        DataError: A summary is missing, or experiments differ in protocol or kind of score.
    """
    summaries = [read_summary(folder) for folder in folders]
    first = summaries[0]
    for folder, summary in zip(folders[1:], summaries[1:], strict=True):
        for key in ("protocol", "kind", "family", "classes"):
            if summary[key] != first[key]:
                raise DataError(
                    folder,
                    expected=f"the {key} of {first['experiment']} ({first[key]})",
                    got=str(summary[key]),
                    fix="draw experiments that were scored alike",
                )
    info = scoring_of(first).metrics[scoring_of(first).headline]
    leak = "; ".join(dict.fromkeys(s["leak"] for s in summaries if s["leak"]))
    beside = [one for one in published if one.metric == scoring_of(first).headline]
    series = [*map(series_of, summaries), *map(_series, beside)]
    table = _table(summaries)
    told = {
        s["experiment"]: curve_text(s["learning_curve"]) for s in summaries if s["learning_curve"]
    }
    notes = [note for summary in summaries for note in notes_of(summary)]
    if leak:
        console.print(leak_text(leak))
    for note in notes:
        console.print(Text(f"Note: {note}"))
    console.print(draw(table, leak, console.width))
    for name, text in told.items():
        console.print(Text(f"{name}: {text}"))
    page = render(
        "curves.html.j2",
        {
            "score": info.title,
            "pictures": {"sizes": sizes_picture(series, leak, score=info.title_with_unit)},
            "table": table,
            "told": told,
            "notes": notes,
            "leak": leak,
            "leak_mark": LEAK_MARK,
            "sources": list(dict.fromkeys(one.source for one in beside)),
        },
    )
    write_text(path, page)


def _series(curve: PublishedCurve) -> SizeSeries:
    sizes, scores = zip(*curve.points, strict=True)
    return SizeSeries(curve.name, sizes, scores, (None,) * len(sizes), published=True)


def _size_text(summaries: Sequence[Mapping[str, Any]], size: str) -> str:
    """The size, and how many utterances ``all`` are in the mean of the folds."""
    if size != ALL:
        return size
    counts = {
        round(fmean(run["num_train"] for run in runs))
        for summary in summaries
        if (runs := [run for run in summary["runs"] if size_name(run["size"]) == ALL])
    }
    return f"{ALL} ({', '.join(f'{count:,}' for count in sorted(counts))})"


def _table(summaries: Sequence[Mapping[str, Any]]) -> Table:
    metric = scoring_of(summaries[0]).headline
    sizes = list(dict.fromkeys(size for summary in summaries for size in summary["by_size"]))
    sizes.sort(key=lambda size: float("inf") if size == "all" else int(size))
    rows = tuple(
        (
            Cell(_size_text(summaries, size)),
            *(
                Cell(
                    with_interval(
                        summary["by_size"][size][metric]["pooled"],
                        summary["by_size"][size][metric]["ci95"],
                    )
                    if size in summary["by_size"]
                    else ABSENT,
                    is_score=True,
                )
                for summary in summaries
            ),
        )
        for size in sizes
    )
    title = scoring_of(summaries[0]).metrics[metric].title
    columns = ("training utterances", *(summary["experiment"] for summary in summaries))
    return Table("sizes", f"Pooled {title} (95 % interval) by training size.", columns, rows)
