"""Every table of a page as files: ``tables/NAME.csv`` and ``tables/NAME.tex``."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from pathlib import Path

from data_modules.atomic import write_text
from sermm.report.cells import LEAK_MARK, NO_BREAK, Cell, Table

FOLDER = "tables"
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{EN DASH}": "--",
    NO_BREAK: "~",
}


def write_tables(folder: Path, tables: Sequence[Table], *, about: str, leak: str) -> None:
    """Write tables that are not empty; those of an earlier report are removed.

    Args:
        folder: Of the experiment.
        tables: Of the page.
        about: Experiment and protocol, for the caption.
        leak: What leaks; empty if nothing.
    """
    place = folder / FOLDER
    if place.is_dir():
        shutil.rmtree(place)
    for table in tables:
        if table.rows:
            write_text(place / f"{table.name}.csv", as_csv(table, leak))
            write_text(place / f"{table.name}.tex", as_latex(table, about, leak))


def as_csv(table: Table, leak: str) -> str:
    """A table as it stands on the page; ``table.csv`` has every number for itself."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_text(cell, leak) for cell in row] for row in table.rows)
    return stream.getvalue()


def as_latex(table: Table, about: str, leak: str) -> str:
    """A ``table`` environment that needs no package."""
    left = table.num_text_columns
    places = "l" * left + "r" * (len(table.columns) - left)
    lines = [
        r"\begin{table}",
        rf"\caption{{{escape(f'{table.caption} {about}')}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{places}}}",
        r"\hline",
        _row(table.columns),
        r"\hline",
        *(_row([_text(cell, leak) for cell in row]) for row in table.rows),
        r"\hline",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _row(texts: Sequence[str]) -> str:
    return " & ".join(map(escape, texts)) + r" \\"


def _text(cell: Cell, leak: str) -> str:
    return f"{cell.text} {LEAK_MARK}" if cell.is_score and leak else cell.text


def escape(text: str) -> str:
    """Text for LaTeX."""
    return "".join(_LATEX.get(letter, letter) for letter in text)
