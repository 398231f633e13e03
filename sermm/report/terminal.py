"""The summary of an experiment in the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

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


def draw(table: Table, leak: str) -> RichTable:
    """A table for the terminal, with the leak mark beside every score."""
    drawn = RichTable(title=Text(table.caption), title_justify="left", title_style="italic")
    rows = [[_text(cell, leak) for cell in row] for row in table.rows]
    for index, title in enumerate(table.columns):
        is_text = index < table.num_text_columns
        # a title gives way before the numbers under it would
        room = max([_LEAST_TITLE, *(row[index].cell_len for row in rows)])
        lines = textwrap.fill(title, room, break_long_words=False)
        drawn.add_column(Text(lines), justify="left" if is_text else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    return drawn


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
    tables.extend(names_tables(summary, all_of_them=False))
    if len(summary["by_size"]) > 1:
        tables.append(sizes_table(summary))
    for table in tables:
        console.print(draw(table, leak))
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
