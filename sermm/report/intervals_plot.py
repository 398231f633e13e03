"""Values with their intervals, one row each: groups, gaps, differences, experiments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sermm.report.plots import title_of
from sermm.report.svg import ACCENT, GRID, MUTED, SECOND, draw_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH = 6.4
"""Of the picture, in inches."""


@dataclass(frozen=True)
class Row:
    """A value with its interval.

    Attributes:
        label: What it is of.
        value: None where it is undefined.
        ends: None where there is no interval.
        is_marked: Whether it stands out.
    """

    label: str
    value: float | None
    ends: Sequence[float] | None
    is_marked: bool = False


def intervals_picture(
    name: str,
    rows: Sequence[Row],
    *,
    title: str,
    unit: str,
    what: str,
    leak: str = "",
    line: float | None = None,
    line_label: str = "",
) -> str:
    """Points with intervals.

    Args:
        name: Of the picture, unique on the page.
        rows: From the top.
        title: Above it.
        unit: Of the values: label of the axis.
        what: What a row is: label of the other axis.
        leak: What leaks; empty if nothing.
        line: A value to compare with.
        line_label: What that is.
    """
    known = [row for row in rows if row.value is not None]

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = figure.add_subplot()
        places = np.arange(len(rows))
        if line is not None:
            axes.axvline(line, color=MUTED, linestyle="--", linewidth=1, label=line_label)
        for place, row in zip(places, rows, strict=True):
            colour = SECOND if row.is_marked else ACCENT
            if row.ends is not None:
                axes.plot(row.ends, [place, place], color=colour, linewidth=2, alpha=0.6)
            if row.value is not None:
                axes.plot([row.value], [place], "o", color=colour, markersize=6)
        axes.set_yticks(places, [row.label for row in rows])
        # long labels leave little room, in which numbers with three decimals would run together
        room = _WIDTH - 0.8 - 0.08 * max(len(row.label) for row in rows)
        axes.xaxis.set_major_locator(
            MaxNLocator(nbins=int(np.clip(room / 0.65, 2, 8)), steps=[1, 2, 5, 10])
        )
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="x", color=GRID)
        axes.set_axisbelow(True)
        axes.set_xlabel(unit)
        axes.set_ylabel(what)
        axes.set_title(title_of(title, leak))
        if line_label:
            figure.legend(loc="outside lower center", fontsize=8)

    told = "; ".join(
        f"{row.label} {row.value:.3f}"
        + (f" ({row.ends[0]:.3f} to {row.ends[1]:.3f})" if row.ends is not None else "")
        for row in known
        if row.value is not None
    )
    height = 1.3 + 0.28 * len(rows) + (0.2 if line_label else 0)
    return draw_svg(name, f"{title}. {told or 'Nothing is known'}.", (_WIDTH, height), draw)
