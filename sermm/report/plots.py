"""The pictures of a report. Each takes plain data and returns an ``<svg>`` element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sermm.metrics import FloatArray
from sermm.report.cells import LEAK_MARK, count
from sermm.report.svg import ACCENT, GRID, MUTED, SECOND, THIRD, draw_svg
from sermm.results import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def title_of(text: str, leak: str) -> str:
    """The title of a picture of scores, marked where the protocol leaks."""
    return f"{text}  [{LEAK_MARK}]" if leak else text


def confusion_picture(confusion: FloatArray, classes: Sequence[str], leak: str) -> str:
    """Counts and row shares.

    Args:
        confusion: (C, C), rows are the reference.
        classes: C names.
        leak: What leaks; empty if nothing.
    """
    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.zeros_like(confusion), where=totals > 0)
    num_classes = len(classes)
    side = max(3.2, 0.78 * num_classes)

    def draw(figure: Figure) -> None:
        from matplotlib.patches import Rectangle

        axes = figure.add_subplot()
        for row, column in np.ndindex(num_classes, num_classes):
            share = float(shares[row, column])
            # no stronger than this, or ink would not stand out from it on the light and dark page
            depth = 0.55 * share
            axes.add_patch(
                Rectangle((column, row), 1, 1, facecolor=ACCENT, alpha=depth, linewidth=0)
            )
            axes.text(
                column + 0.5,
                row + 0.42,
                count(float(confusion[row, column])),
                ha="center",
                va="center",
            )
            axes.text(
                column + 0.5,
                row + 0.68,
                f"{100 * share:.0f} %",
                ha="center",
                va="center",
                fontsize=8,
            )
        for line in range(num_classes + 1):
            axes.plot([0, num_classes], [line, line], color=GRID, linewidth=0.8)
            axes.plot([line, line], [0, num_classes], color=GRID, linewidth=0.8)
        centres = np.arange(num_classes) + 0.5
        axes.set_xticks(centres, classes, rotation=0 if num_classes < 5 else 40)
        if num_classes >= 5:
            for label in axes.get_xticklabels():
                label.set_horizontalalignment("right")
                label.set_rotation_mode("anchor")
        axes.set_yticks(centres, classes)
        axes.set(xlim=(0, num_classes), ylim=(num_classes, 0), aspect="equal")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("reference class")
        axes.set_title(title_of("utterances, and share of the row", leak))

    recalls = ", ".join(
        f"{name} {100 * float(shares[k, k]):.0f} %" for k, name in enumerate(classes)
    )
    alternative = f"Confusion matrix. Share recognised of each class: {recalls}."
    return draw_svg("confusion", alternative, (side + 1.3, side + 0.9), draw)


def speakers_picture(
    scores: Mapping[str, float | None],
    pooled: float,
    ends: Sequence[float] | None,
    chance: tuple[str, float | None],
    leak: str,
    *,
    score: str,
    is_share: bool,
) -> str:
    """A score of each speaker beside the pooled score, its interval and a trivial predictor.

    Args:
        scores: Speaker to score.
        pooled: That of all test utterances.
        ends: Its interval, or None.
        chance: Name and score of a trivial predictor.
        leak: What leaks; empty if nothing.
        score: Title of the score.
        is_share: Whether it lies between 0 and 1.
    """
    known = {name: value for name, value in scores.items() if value is not None}
    chance_name, chance_score = chance

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        if ends is not None:
            axes.axvspan(
                ends[0], ends[1], color=ACCENT, alpha=0.15, linewidth=0, label="95 % interval"
            )
        axes.axvline(pooled, color=ACCENT, label="pooled")
        if chance_score is not None:
            axes.axvline(chance_score, color=MUTED, linestyle="--", label=chance_name)
        places = np.arange(len(known))
        # a score of 1 lies on the edge and is shown whole
        axes.plot(
            list(known.values()),
            places,
            "o",
            color=SECOND,
            markersize=6,
            label="speaker",
            clip_on=False,
        )
        axes.set_yticks(places, list(known))
        axes.set(ylim=(len(known) - 0.5, -0.5), xlim=(0, 1 if is_share else None))
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.set_xlabel(f"{score} (share of 1)" if is_share else score)
        axes.set_ylabel("test speaker")
        axes.set_title(title_of(f"{score} by speaker", leak))
        figure.legend(loc="outside lower center", ncols=4, fontsize=8)

    low, high = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    alternative = (
        f"{score} of {len(known)} test speakers, from {known[low]:.3f} ({low}) to "
        f"{known[high]:.3f} ({high}); pooled {pooled:.3f}."
    )
    return draw_svg("speakers", alternative, (6.4, 1.6 + 0.24 * len(known)), draw)


def learning_picture(
    runs: Sequence[tuple[str, History, int | None]],
    leak: str,
    *,
    column: str,
    score: str,
    loss: str,
) -> str:
    """Loss and a validation score over training, what each run chose marked.

    Args:
        runs: Name, history and number of the chosen epoch or validation of each.
        leak: What leaks; empty if nothing.
        column: Of the score that chose.
        score: Its title, with its unit.
        loss: Title of the loss, with its unit.
    """
    short = score.partition(" (")[0]
    unit = runs[0][1].unit

    def panel(axes: Axes, column: str, colour: str, style: str, label: str) -> None:
        for index, (_, history, best) in enumerate(runs):
            values = history.columns.get(column)
            if values is None:
                continue
            axes.plot(
                history.places,
                values,
                color=colour,
                linestyle=style,
                alpha=1 if len(runs) == 1 else 0.55,
                label=label if index == 0 else None,
            )
            chosen = np.flatnonzero(history.epochs == best)
            if column.startswith("val/") and len(chosen):
                axes.plot(
                    history.places[chosen],
                    values[chosen],
                    "D",
                    color=THIRD,
                    markersize=5,
                    label="chosen" if index == 0 else None,
                )

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        upper, lower = figure.subplots(2, 1, sharex=True)
        panel(upper, "train/loss", SECOND, "--", "training")
        panel(upper, "val/loss", ACCENT, "-", "validation")
        panel(lower, column, ACCENT, "-", "validation")
        upper.set_ylabel(loss)
        lower.set_ylabel(score)
        lower.set_xlabel(unit)
        upper.set_title("loss")
        lower.set_title(title_of(f"validation {short}", leak))
        lower.xaxis.set_major_locator(MaxNLocator(integer=True))
        for axes in (upper, lower):
            axes.grid(axis="y")
        upper.legend(fontsize=8, loc="best")

    ends = [
        f"{name}: {history.places[history.epochs == best][0]:g}"
        for name, history, best in runs
        if best in history.epochs.tolist()
    ]
    alternative = (
        f"Training and validation {loss}, and validation {short}, over {unit}s. "
        f"Chosen {unit}s: {'; '.join(ends) or 'none'}."
    )
    return draw_svg("learning", alternative, (6.4, 4.6), draw)
