"""Scores by number of training utterances: the picture, and what more of them would buy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sermm.learning_curve import PowerLaw
from sermm.report.cells import number, percent, plural, too_few, with_interval
from sermm.report.plots import title_of
from sermm.report.svg import ACCENT, CLASSES, MUTED, draw_svg
from sermm.run_metrics import size_name
from sermm.scoring import find_scoring

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# diamond, square, triangle, cross: all in one colour, since others measured them
_PUBLISHED_MARKS = "Ds^X"


@dataclass(frozen=True)
class SizeSeries:
    """Scores of one experiment, or of a publication.

    Attributes:
        name: In the legend.
        sizes: K numbers of training utterances, ascending.
        scores: K pooled scores.
        ends: Their intervals; None where there is none.
        fitted: Sizes and scores of the fitted curve, beyond the largest size too; empty if none.
        beyond: Sizes from the largest on with the curve's intervals; empty if there are none.
        published: Whether others measured it.
    """

    name: str
    sizes: tuple[float, ...]
    scores: tuple[float, ...]
    ends: tuple[tuple[float, float] | None, ...]
    fitted: tuple[tuple[float, float], ...] = ()
    beyond: tuple[tuple[float, float, float], ...] = ()
    published: bool = False


def series_of(summary: Mapping[str, Any]) -> SizeSeries:
    """The series of a summary, of its headline score."""
    scoring = find_scoring(summary["kind"], summary["classes"], summary["family"])
    metric = scoring.headline
    info = scoring.metrics[metric]
    sizes = {
        size: float(
            np.mean([r["num_train"] for r in summary["runs"] if size_name(r["size"]) == size])
        )
        for size in summary["by_size"]
    }
    names = sorted(sizes, key=sizes.__getitem__)
    scores = [summary["by_size"][name][metric] for name in names]
    curve = summary["learning_curve"]
    fitted: tuple[tuple[float, float], ...] = ()
    beyond: tuple[tuple[float, float, float], ...] = ()
    if curve:
        beyond = tuple(
            (row["num_train"], *row["ci95"])
            for row in curve["at"]
            if row["num_train"] >= curve["largest"] and row["ci95"]
        )
        law = PowerLaw(curve["floor"], curve["scale"], curve["exponent"])
        sign, offset = (-1, 1) if info.higher_is_better else (1, 0)
        places = np.geomspace(min(sizes.values()), curve["at"][-1]["num_train"], 40)
        fitted = tuple((float(n), offset + sign * law.error(float(n))) for n in places)
    return SizeSeries(
        name=summary["experiment"],
        sizes=tuple(sizes[name] for name in names),
        scores=tuple(
            float("nan") if score["pooled"] is None else score["pooled"] for score in scores
        ),
        ends=tuple(tuple(score["ci95"]) if score["ci95"] else None for score in scores),
        fitted=fitted,
        beyond=beyond,
    )


def curve_text(curve: Mapping[str, Any]) -> str:
    """What more training utterances would buy, by the fitted curve, in two sentences."""
    largest = curve["largest"]
    beyond = [row for row in curve["at"] if row["num_train"] > largest]
    told = "; ".join(
        f"{row['num_train'] / largest:g} times as many ({round(row['num_train']):,}): "
        f"{with_interval(row['score'], row['ci95'])}"
        for row in beyond
    )
    basis = too_few(curve["num_speakers"]) or (
        f"intervals over {plural(curve['num_speakers'], 'speaker')} and "
        f"{plural(curve['num_seeds'], 'seed')}"
    )
    text = (
        f"By the fitted curve {number(curve['floor'])} + {curve['scale']:.3g} n^-"
        f"{curve['exponent']:.2f} of the error, {told} (extrapolated; {basis})."
    )
    wanted = "; ".join(_wanted_text(row) for row in curve["wanted"])
    return f"{text} Utterances in all: {wanted}." if wanted else text


def _wanted_text(row: Mapping[str, Any]) -> str:
    """``2 points more with 926 (713 to over 2,400; within 4 times in 96.0 % of draws)``."""
    size, ends, over = row["num_train"], row["ci95"], f"over {round(row['limit']):,}"
    found = f"with {round(size):,}" if size else "not within 4 times as many"
    between = ""
    if ends and (size or ends[0]):
        low, high = (over if end is None else f"{round(end):,}" for end in ends)
        between = f"{low} to {high}; "
    points = "point" if row["gain"] == 0.01 else "points"
    share = f"{between}within 4 times in {percent(row['reached'])} of draws"
    return f"{100 * row['gain']:g} {points} more {found} ({share})"


def sizes_picture(series: Sequence[SizeSeries], leak: str, *, score: str) -> str:
    """Pooled scores with bands against the number of training utterances.

    Args:
        series: Of one score.
        leak: What leaks; empty if nothing.
        score: Title of the score, with its unit.
    """
    short = score.partition(" (")[0]
    colours = (ACCENT, *CLASSES[1:])
    places = sorted(
        {size for one in series for size in one.sizes}
        | {one.fitted[-1][0] for one in series if one.fitted}
    )
    most = max((one.sizes[-1] for one in series if not one.published), default=0.0)

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import NullFormatter, NullLocator

        axes = figure.add_subplot()
        measured = printed = 0
        for one in series:
            if one.published:
                mark = _PUBLISHED_MARKS[printed % len(_PUBLISHED_MARKS)]
                printed += 1
                axes.plot(one.sizes, one.scores, f"{mark}:", color=MUTED, label=one.name)
                continue
            colour = colours[measured % len(colours)]
            measured += 1
            known = [(n, *pair) for n, pair in zip(one.sizes, one.ends, strict=True) if pair]
            # edges tell bands apart where they lie on each other
            for band, alpha, edge in ((known, 0.12, "-"), (one.beyond, 0.05, ":")):
                if band:
                    where, low, high = zip(*band, strict=True)
                    axes.fill_between(where, low, high, color=colour, alpha=alpha, linewidth=0)
                    for end in (low, high):
                        axes.plot(where, end, edge, color=colour, linewidth=0.7, alpha=0.7)
            axes.plot(one.sizes, one.scores, "o-", color=colour, label=one.name)
            if one.fitted:
                axes.plot(*zip(*one.fitted, strict=True), "--", color=colour, linewidth=1)
        axes.set_xscale("log")
        ticks = _apart(places, first=[most])
        axes.set_xticks(ticks, [f"{round(place):,}" for place in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(axis="y")
        axes.set_xlabel("training utterances (logarithmic)")
        axes.set_ylabel(f"pooled {score}")
        axes.set_title(title_of(f"{short} by training size", leak))
        if len(series) > 1:
            figure.legend(loc="outside lower center", ncols=2, fontsize=8)

    told = " ".join(
        f"{one.name}: "
        + "; ".join(f"{round(n):,}: {v:.3f}" for n, v in zip(one.sizes, one.scores, strict=True))
        + "."
        for one in series
    )
    height = 3.2 if len(series) == 1 else 3.8 + 0.12 * len(series)
    return draw_svg("sizes", f"Pooled {short} by training utterances. {told}", (6.4, height), draw)


def _apart(places: Sequence[float], *, first: Sequence[float]) -> list[float]:
    """Those whose numbers do not run into each other on a logarithmic axis; ``first`` stay."""
    kept = [place for place in first if place in places]
    for place in places:
        if all(not 1 / 1.3 < place / other < 1.3 for other in kept):
            kept.append(place)
    return sorted(kept)
