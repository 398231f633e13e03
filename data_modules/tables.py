"""What `sermm prepare` and `sermm check` print, as rich tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.table import Table
from rich.text import Text

from data_modules.check.counts import count
from data_modules.check.result import CheckResult
from data_modules.corpora.release import count_notes
from data_modules.errors import first_ids
from data_modules.prepared import Prepared

MOST_ROWS = 100
"""Names of one kind that are listed, where there are no published figures to compare."""

_COLOURS = {"pass": "green", "warn": "yellow", "fail": "bold red"}


def counts_table(prepared: Prepared) -> Table:
    """Utterances by class, session and speaker beside the published figures."""
    counts, published = count(prepared), prepared.corpus.published
    title = f"{prepared.corpus.title}, labels {prepared.corpus.scheme.name}"
    table = Table("", "", title=title, title_justify="left")
    for heading in ("here", "published", "difference"):
        table.add_column(heading, justify="right")
    groups: tuple[tuple[str, Mapping[str, int], Mapping[str, int]], ...] = (
        ("class", counts.classes, published.classes if published else {}),
        ("session", counts.sessions, published.sessions if published else {}),
        ("speaker", counts.speakers, published.speakers if published else {}),
    )
    for group, here, there in groups:
        if len(here) > MOST_ROWS and not there:
            low, high = min(here.values()), max(here.values())
            table.add_row(group, f"{len(here)} of them, each {low} to {high}")
            table.add_section()
            continue
        for index, name in enumerate([*here, *(name for name in there if name not in here)]):
            table.add_row(
                group if index == 0 else "",
                name,
                *_figures(here.get(name, 0), there.get(name) if there else None),
            )
        table.add_section()
    total = published.total if published else None
    table.add_row("all", "", *_figures(counts.total, total), style="bold")
    return table


def _figures(here: int, there: int | None) -> tuple[str, str, str]:
    if there is None:
        return str(here), "", ""
    return str(here), str(there), "" if here == there else f"{here - there:+d}"


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
