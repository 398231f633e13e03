"""Several experiments on one page: the leaderboard of a folder and the study of protocols.

Here a leak belongs to single rows, so the mark stands in the text of their cells.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from data_modules.atomic import write_json, write_text
from sermm.leaderboard import Group, Leaderboard
from sermm.protocol_study import Study
from sermm.report.cells import (
    ABSENT,
    LEAK_ADVICE,
    LEAK_MARK,
    NO_BREAK,
    Cell,
    Table,
    count,
    duration,
    with_interval,
)
from sermm.report.compare_tables import difference_text
from sermm.report.intervals_plot import Row, intervals_picture
from sermm.report.page import render
from sermm.report.terminal import draw, leak_text
from sermm.scoring import Scoring
from sermm.trivial import TRIVIAL


@dataclass(frozen=True)
class Section:
    """A part of the page: words, a picture and a table."""

    title: str
    text: str
    leak: str
    table: Table
    picture: str
    caption: str


def write_leaderboard(runs: Path, board: Leaderboard) -> Path:
    """Write ``leaderboard.html``, ``.csv`` and ``.json`` into the folder; returns the page."""
    sections, pictures = [], {}
    for number, group in enumerate(board.groups):
        name = f"group{number}"
        pictures[name] = _picture(name, group.scoring, [e.summary for e in group.entries])
        sections.append(_section(group, name))
    page = render(
        "listing.html.j2",
        _common(pictures, sections)
        | {
            "title": "Leaderboard",
            "about": "Only numbers of one corpus, label scheme and protocol stand together. Where "
            "intervals overlap, the order says little, which is what sermm compare is for.",
            "unread": board.unread,
            "unread_title": "Not shown",
        },
    )
    write_text(runs / "leaderboard.html", page)
    rows = [
        {
            "corpus": group.corpus,
            "labels": group.labels,
            "rank": rank,
            "task": entry.task,
            **_flat(entry.summary, group.scoring),
        }
        for group in board.groups
        for rank, entry in enumerate(group.entries, start=1)
    ]
    write_json(runs / "leaderboard.json", {"rows": rows, "unread": dict(board.unread)})
    write_text(runs / "leaderboard.csv", _as_csv(rows))
    return runs / "leaderboard.html"


def print_leaderboard(console: Console, board: Leaderboard) -> None:
    """Print each group."""
    for number, group in enumerate(board.groups):
        section = _section(group, f"group{number}")
        console.print()
        console.print(Text(f"{section.title}: {section.text}", style="bold"))
        if section.leak:
            console.print(leak_text(section.leak))
        console.print(draw(section.table, "", console.width))
    for name, why in board.unread.items():
        console.print(Text(f"Note: {name}: {why}", style="yellow"))


def _section(group: Group, name: str) -> Section:
    told = " ".join(part for part in (group.corpus, group.labels) if part)
    names = group.scoring.brief
    rows = tuple(
        (
            Cell(entry.summary["experiment"]),
            *_marked(entry.summary, names),
            *_circumstances(entry.summary),
        )
        for entry in group.entries
    )
    titles = [group.scoring.metrics[metric].full_title for metric in names]
    columns = ("experiment", f"{titles[0]} (95 % interval)", *titles[1:], "runs", "time")
    info = group.scoring.metrics[group.scoring.headline]
    return Section(
        title=f"{told}, {group.protocol}" if told else group.protocol,
        text=f"{group.description}.",
        leak=group.leak,
        table=Table(name, f"Pooled test scores, {info.title} first.", columns, rows),
        picture=name,
        caption=f"Pooled {info.title} with its 95 % interval; a predictor that hears nothing, "
        "as its training parts make it, is dashed.",
    )


def _marked(summary: Mapping[str, Any], names: Sequence[str]) -> tuple[Cell, ...]:
    first, *others = (summary["metrics"][name] for name in names)
    texts = [
        with_interval(first["pooled"], first["ci95"]),
        *(with_interval(score["pooled"], None) for score in others),
    ]
    mark = f" {LEAK_MARK}" if summary["leak"] else ""
    return tuple(Cell(f"{text}{mark}", is_score=True) for text in texts)


def _circumstances(summary: Mapping[str, Any]) -> tuple[Cell, ...]:
    done, planned = len(summary["runs"]), len(summary["expected"])
    runs = str(done) if done == planned else f"{done} of {planned}"
    return Cell(runs), Cell(duration(summary["seconds"]).replace(" ", NO_BREAK))


def _picture(
    name: str,
    scoring: Scoring,
    summaries: Sequence[Mapping[str, Any]],
    what: str = "experiment",
) -> str:
    headline = scoring.headline
    info = scoring.metrics[headline]
    rows = [
        Row(
            f"{s[what]}{f' [{LEAK_MARK}]' if s['leak'] else ''}",
            s["metrics"][headline]["pooled"],
            s["metrics"][headline]["ci95"],
            is_marked=bool(s["leak"]),
        )
        for s in summaries
    ]
    chance = next(iter(TRIVIAL[scoring.kind]))
    trivial = summaries[0]["trivial"][chance][headline]["pooled"]
    return intervals_picture(
        name,
        rows,
        title=f"pooled {info.title}",
        unit=info.title_with_unit,
        what=what,
        line=trivial,
        line_label="hears nothing" if trivial is not None else "",
    )


def _common(pictures: Mapping[str, str], sections: Sequence[Section]) -> dict[str, Any]:
    return {
        "leak": "",
        "leak_mark": LEAK_MARK,
        "leak_advice": LEAK_ADVICE,
        "pictures": pictures,
        "sections": sections,
    }


def _flat(summary: Mapping[str, Any], scoring: Scoring) -> dict[str, Any]:
    """One experiment as one row of a file."""
    scores: dict[str, Any] = {}
    for name in scoring.brief:
        score = summary["metrics"][name]
        low, high = score["ci95"] or (None, None)
        scores |= {name: score["pooled"], f"{name}_low": low, f"{name}_high": high}
    return {
        "experiment": summary["experiment"],
        "protocol": summary["protocol"],
        "leak": summary["leak"],
        "complete": summary["complete"],
        "num_runs": len(summary["runs"]),
        "seconds": summary["seconds"],
        **scores,
    }


def _as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    stream = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def study_table(study: Study) -> Table:
    """A line for each protocol."""
    names = study.scoring.brief
    headline = study.scoring.headline
    rows = []
    for studied in study.protocols:
        summary = studied.summary
        found = studied.difference.get(headline)
        mark = f" {LEAK_MARK}" if summary["leak"] else ""
        told = f"{difference_text(found)}{mark}" if found else studied.remark or ABSENT
        tested = sum(fold["num_test"] for fold in summary["per_fold"])
        rows.append(
            (
                Cell(summary["protocol"]),
                Cell(count(tested)),
                *_marked(summary, names[:2]),
                Cell(told, is_score=found is not None),
                Cell(f"{summary['runs'][0]['num_train']:,}"),
            )
        )
    title, other = (study.scoring.metrics[name].full_title for name in names[:2])
    first = study.protocols[0].summary["protocol"]
    columns = (
        *("protocol", "tested", f"{title} (95 % interval)", other),
        *(f"{title} less that of {first}", "trained"),
    )
    caption = (
        f"{study.name} under {len(rows)} protocols; pooled test scores, utterances tested, "
        "and those that the first fold trains on."
    )
    return Table("protocols", caption, columns, tuple(rows))


def print_study(console: Console, study: Study) -> None:
    """Print the table, and what leaks."""
    console.print()
    for studied in study.protocols:
        summary = studied.summary
        text = f"{summary['protocol']}: {summary['protocol_description']}"
        console.print(Text(text))
        if summary["leak"]:
            console.print(leak_text(summary["leak"]))
    console.print(draw(study_table(study), "", console.width))
    for name, why in study.left_out.items():
        console.print(Text(f"Note: {name} does not apply: {why}", style="yellow"))


def write_study(folder: Path, study: Study) -> Path:
    """Write ``protocols.html``, ``.csv`` and ``.json``; returns the page."""
    summaries = [studied.summary for studied in study.protocols]
    picture = _picture("protocols", study.scoring, summaries, "protocol")
    info = study.scoring.metrics[study.scoring.headline]
    told = "; ".join(
        f"{s['protocol']}: {s['protocol_description']}"
        + (f" ({LEAK_MARK}: {s['leak']})" if s["leak"] else "")
        for s in summaries
    )
    section = Section(
        "What the protocol alone is worth",
        f"{told}.",
        "",
        study_table(study),
        "protocols",
        f"Pooled {info.title} of the same model with its 95 % interval; leaking protocols in "
        "another colour, a predictor that hears nothing dashed.",
    )
    page = render(
        "listing.html.j2",
        _common({"protocols": picture}, [section])
        | {
            "title": f"{study.name} under {len(summaries)} protocols",
            "about": "The same model, data and settings; only the way to divide the corpus "
            "differs. A difference to the first protocol is taken where both score the same "
            "utterances, the same speakers drawn for both.",
            "unread": study.left_out,
            "unread_title": "Protocols that do not apply",
        },
    )
    rows = []
    for studied in study.protocols:
        found = studied.difference.get(study.scoring.headline)
        known = found is not None and found.is_known
        rows.append(
            {
                **_flat(studied.summary, study.scoring),
                "difference": found.estimate if found else None,
                "difference_low": found.low if found and known else None,
                "difference_high": found.high if found and known else None,
                "remark": studied.remark,
            }
        )
    write_json(folder / "protocols.json", {"rows": rows, "left_out": dict(study.left_out)})
    write_text(folder / "protocols.csv", _as_csv(rows))
    write_text(folder / "protocols.html", page)
    return folder / "protocols.html"
