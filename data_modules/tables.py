"""What `sermm prepare` and `sermm check` print, as rich tables."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from data_modules.check.groups import count_groups, fold_rows
from data_modules.check.leaks import percent
from data_modules.check.result import CheckResult
from data_modules.check.survey import Survey
from data_modules.corpora.release import count_notes
from data_modules.errors import first_ids
from data_modules.prepared import Prepared

_COLOURS = {"pass": "green", "warn": "yellow", "fail": "bold red"}


def counts_table(survey: Survey) -> Table:
    """Utterances by class, part, session and speaker beside the published figures."""
    corpus = survey.prepared.corpus
    title = f"{corpus.title}, labels {corpus.scheme.name}"
    table = Table("", "", title=title, title_justify="left")
    for heading in ("here", "published", "difference"):
        table.add_column(heading, justify="right")
    for group in count_groups(survey):
        for index, row in enumerate(group.rows):
            table.add_row(
                group.name if index == 0 else "",
                Text(row.name),
                *map(_cell, (row.here, row.published)),
                row.difference,
                style="bold" if group.name == "all" else None,
            )
        table.add_section()
    return table


def _cell(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def folds_table(survey: Survey) -> Table | None:
    """Utterances in each part of each fold of the usual protocol; None if there is none."""
    division = survey.division
    if division is None or not division.folds:
        return None
    table = Table("fold", title=f"Folds: {division.title}", title_justify="left")
    for part in division.folds[0]:
        table.add_column(part, justify="right")
    for number, row in enumerate(fold_rows(survey)):
        table.add_row(str(number), *row.values())
    return table


def overlaps_table(survey: Survey) -> Table | None:
    """What stands in two parts at once; None if nothing does."""
    found = [overlap for overlap in survey.overlaps if overlap.num_shared]
    if not found or survey.division is None:
        return None
    title = f"In two parts: {survey.division.title}"
    table = Table("what", "of", "occurs in", title=title, title_justify="left")
    for heading in ("different", "utterances", "share"):
        table.add_column(heading, justify="right")
    for overlap in found:
        table.add_row(
            overlap.kind,
            overlap.other,
            overlap.one,
            str(overlap.num_values),
            f"{overlap.num_shared} of {overlap.num_all}",
            percent(overlap.share),
        )
    return table


def exclusions_table(prepared: Prepared) -> Table | None:
    """What is not in the manifest, and what in it has a remark; None if there is nothing."""
    table = Table("", "reason", title="Listed", title_justify="left")
    table.add_column("number", justify="right")
    table.add_column("which", overflow="fold")
    rows: dict[tuple[str, str], list[str]] = {}
    for exclusion in prepared.exclusions:
        rows.setdefault(("left out", exclusion.reason), []).append(exclusion.id)
    for reason, names in prepared.ignored.items():
        rows.setdefault(("passed over", reason), []).extend(names)
    for note in prepared.notes:
        rows.setdefault(("remark", note.reason), []).append(note.id)
    if not rows:
        return None
    noted = count_notes(prepared.notes)
    for (kind, reason), ids in rows.items():
        number = noted[reason] if kind == "remark" else len(ids)
        table.add_row(kind, Text(reason), str(number), Text(first_ids(ids, limit=3)))
    return table


def checks_table(results: Iterable[CheckResult]) -> Table:
    """One line for each check; the first ids stand under a warning or failure."""
    table = Table("check", "", title="Checks", title_justify="left")
    table.add_column("finding", overflow="fold")
    for result in results:
        # Text, since a detail may hold brackets that rich would take for markup
        finding = Text(result.detail)
        if result.ids and result.status != "pass":
            finding.append(f"\n{first_ids(list(result.ids))}", style="dim")
        if result.status == "fail" and result.fix:
            finding.append(f"\n{result.fix}", style="italic")
        status = Text(result.status, style=_COLOURS[result.status])
        table.add_row(result.name, status, finding)
    return table
