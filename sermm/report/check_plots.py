"""The pictures of a check page: how long utterances are, and which classes speakers have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from sermm.metrics import FloatArray
from sermm.report.svg import ACCENT, CLASSES, MUTED, draw_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_BARS = 40
OTHERS = "others"


def histogram_picture(name: str, values: FloatArray, what: str, limits: tuple[float, ...]) -> str:
    """How often which length occurs.

    Args:
        name: Of the picture.
        values: (N,), at least one, none negative.
        what: What they are, with the unit.
        limits: Lines to draw where they are within the values, such as what a check warns of.
    """
    low, median, high = (float(np.quantile(values, q)) for q in (0, 0.5, 1))
    whole = bool(np.all(values == np.round(values)))
    # a few clips of minutes would press all others into one bar
    logarithmic = not whole and low > 0 and high > 8 * median

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        if logarithmic:
            bins = np.geomspace(low, high, 50)
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        elif whole:
            bins = np.arange(low - 0.5, high + 1, 1 + (high - low) // 80)
        else:
            bins = np.linspace(low, high, 50) if high > low else np.array([low - 0.5, low + 0.5])
        axes.hist(values, bins=bins.tolist(), color=ACCENT, alpha=0.75)
        axes.axvline(median, color=MUTED, linestyle="--", label=f"median {median:.3g}")
        for limit in limits:
            if low < limit < high:
                axes.axvline(limit, color=MUTED, linestyle=":", label=f"limit {limit:g}")
        axes.set_xlabel(what + (" (logarithmic)" if logarithmic else ""))
        axes.set_ylabel("utterances")
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.legend(fontsize=8)

    told = f"{what}: {len(values)} utterances from {low:.3g} to {high:.3g}, median {median:.3g}."
    return draw_svg(name, f"Histogram of {told}", (6.4, 2.8), draw)


def stacked_picture(name: str, bars: Mapping[str, Mapping[str, int]], what: str) -> str:
    """Counts of classes, one bar for each speaker or the like.

    Args:
        name: Of the picture.
        bars: Counts by class, by name of the bar; at most ``MOST_BARS``.
        what: What a bar stands for.
    """
    totals: Counter[str] = Counter()
    for counts in bars.values():
        totals.update(counts)
    kinds = [kind for kind, number in totals.items() if number]
    if len(kinds) > len(CLASSES):
        frequent = {kind for kind, _ in totals.most_common(len(CLASSES) - 1)}
        kinds = [*(kind for kind in kinds if kind in frequent), OTHERS]

    def number_of(counts: Mapping[str, int], kind: str) -> int:
        if kind != OTHERS:
            return counts.get(kind, 0)
        return sum(number for one, number in counts.items() if one not in kinds)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        places = np.arange(len(bars))
        left = np.zeros(len(bars))
        for kind, colour in zip(kinds, CLASSES, strict=False):
            widths = np.array([number_of(counts, kind) for counts in bars.values()], dtype=float)
            axes.barh(places, widths, left=left, color=colour, height=0.8, label=kind)
            left += widths
        axes.set_yticks(places, list(bars))
        axes.set(ylim=(len(bars) - 0.4, -0.6))
        axes.set_xlabel("utterances")
        axes.set_ylabel(what)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=4, fontsize=8)

    told = ", ".join(f"{kind} {sum(number_of(c, kind) for c in bars.values())}" for kind in kinds)
    height = 1.5 + 0.22 * len(bars) + 0.2 * (len(kinds) // 4)
    return draw_svg(name, f"Classes by {what}. Altogether: {told}.", (6.4, height), draw)
