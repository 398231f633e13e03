"""The summary of an experiment in the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from sermm.report.cells import (
    LEAK_ADVICE,
    LEAK_MARK,
    Cell,
    Table,
    interval_text,
    percent,
    plural,
)
from sermm.report.size_plot import curve_text
from sermm.report.tables import (
    classes_table,
    conditions_table,
    folds_table,
    names_tables,
    scores_table,
    sizes_table,
)

_LEAST_TITLE = 10


def leak_text(leak: str) -> Text:
    """What leaks, as the terminal shows it."""
    return Text(f"{LEAK_MARK}: {leak}. {LEAK_ADVICE}", style="bold red")


def draw(table: Table, leak: str, width: int) -> RichTable:
    """A table for a terminal of a width, with the leak mark beside every score.

    A title gives way before the numbers under it would, and a number is broken last of all.
    """
    rows = [[_text(cell, leak) for cell in row] for row in table.rows]
    titles, wanted, least = [], [], []
    for index, title in enumerate(table.columns):
        cells = [row[index] for row in rows]
        room = max([_LEAST_TITLE, *(cell.cell_len for cell in cells)])
        lines = textwrap.fill(title, room, break_long_words=False)
        words = [word for text in (title, *(cell.plain for cell in cells)) for word in text.split()]
        titles.append(Text(lines))
        wanted.append(max([*map(cell_len, lines.split("\n")), *(cell.cell_len for cell in cells)]))
        least.append(max(map(cell_len, words), default=0))
    widths = _shrink(wanted, least, width - 3 * len(wanted) - 1)
    drawn = RichTable(title=Text(table.caption), title_justify="left", title_style="italic")
    for index, (text, wide) in enumerate(zip(titles, widths, strict=True)):
        is_text = index < table.num_text_columns
        justify: Literal["left", "right"] = "left" if is_text else "right"
        drawn.add_column(text, justify=justify, overflow="fold", width=wide)
    for row in rows:
        drawn.add_row(*row)
    return drawn


def _shrink(wanted: Sequence[int], least: Sequence[int], room: int) -> Sequence[int | None]:
    """Widths of columns that fit, the widest made narrower first; None where words must break."""
    if sum(least) > room:
        return [None] * len(wanted)
    widths = list(wanted)
    while sum(widths) > room:
        able = [index for index in range(len(widths)) if widths[index] > least[index]]
        widths[max(able, key=widths.__getitem__)] -= 1
    return widths


def _text(cell: Cell, leak: str) -> Text:
    text = Text(cell.text)
    if cell.is_score and leak:
        text.append(f" {LEAK_MARK}", style="bold red")
    return text


def print_summary(console: Console, summary: Mapping[str, Any]) -> None:
    """Print what ``summary.json`` holds.

    Args:
        console: Where to.
        summary: From ``sermm.summary.summarise`` or ``read_summary``.
    """
    leak = summary["leak"]
    console.print()
    console.print(Text(summary["experiment"], style="bold"))
    console.print(Text(f"Protocol {summary['protocol']}: {summary['protocol_description']}"))
    if leak:
        console.print(leak_text(leak))
    if not summary["complete"]:
        missing = summary["missing"]
        text = f"Incomplete: {plural(len(missing), 'run')} missing ({_some(missing)})"
        console.print(Text(text, style="bold yellow"))
    for note in summary["notes"]:
        console.print(Text(f"Note: {note}", style="yellow"))
    if summary["other_runs"]:
        text = f"Note: not counted, since outside the plan: {_some(summary['other_runs'])}"
        console.print(Text(text, style="yellow"))
    tables = [scores_table(summary)]
    if summary["conditions"]:
        tables.append(conditions_table(summary))
    tables.append(folds_table(summary))
    if summary["per_class"]:
        tables.append(classes_table(summary))
    tables.extend(names_tables(summary, brief=True))
    if len(summary["by_size"]) > 1:
        tables.append(sizes_table(summary))
    for table in tables:
        console.print(draw(table, leak, console.width))
    if summary["learning_curve"]:
        console.print(Text(curve_text(summary["learning_curve"])))
    console.print(Text(interval_text(summary)))
    console.print(Text(excluded_text(summary)))
    if summary["alignment"]:
        console.print(Text(f"Word times: {alignment_text(summary)}."))


def _some(names: list[str], limit: int = 3) -> str:
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def excluded_text(summary: Mapping[str, Any]) -> str:
    """How many utterances take no part, and why."""
    excluded = summary["excluded"]
    if not excluded["count"]:
        return "No utterance is left out."
    reasons = "; ".join(f"{reason}: {number}" for reason, number in excluded["reasons"].items())
    return f"{plural(excluded['count'], 'utterance')} left out ({reasons})."


def alignment_text(summary: Mapping[str, Any]) -> str:
    """Which share of the words got its times from which source."""
    return ", ".join(f"{source} {percent(share)}" for source, share in summary["alignment"].items())
