"""The picture of predicted against true ratings, as :mod:`sermm.report.plots` draws the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sermm.metrics import FloatArray
from sermm.report.plots import title_of
from sermm.report.svg import ACCENT, MUTED, SECOND, draw_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_IN_A_ROW = 3
_LEAST_DEPTH, _MOST_DEPTH = 0.12, 0.9


@dataclass(frozen=True, eq=False)
class RatingPanel:
    """One rating.

    Attributes:
        title: Its name and scores.
        true: (N,) references.
        predicted: (N,) predictions.
        weights: (N,) what each counts.
    """

    title: str
    true: FloatArray
    predicted: FloatArray
    weights: FloatArray


def ratings_picture(panels: Sequence[RatingPanel], leak: str) -> str:
    """How often what was predicted where what was true, and the mean prediction.

    Args:
        panels: One for each rating.
        leak: What leaks; empty if nothing.
    """
    num_columns = min(_MOST_IN_A_ROW, len(panels))
    num_rows = math.ceil(len(panels) / num_columns)
    num_bins = 30 if len(panels) == 1 else 20
    side = 4.4 if len(panels) == 1 else 2.6
    shown = [values for panel in panels for values in (panel.true, panel.predicted)]
    low, high = min(v.min() for v in shown), max(v.max() for v in shown)
    margin = 0.02 * (high - low) or 0.5
    edges = np.linspace(low - margin, high + margin, num_bins + 1)

    def draw(figure: Figure) -> None:
        for place, panel in enumerate(panels):
            axes = figure.add_subplot(num_rows, num_columns, place + 1)
            _draw_panel(axes, panel, edges)
            axes.set_title(title_of(panel.title, leak))
            if place % num_columns == 0:
                axes.set_ylabel("predicted value")
            if place + num_columns >= len(panels):
                axes.set_xlabel("true value")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8)

    told = "; ".join(panel.title for panel in panels)
    alternative = f"Predicted against true values of {len(panels[0].true):,} predictions. {told}."
    size = (side * num_columns + 0.6, side * num_rows + 0.9)
    return draw_svg("ratings", alternative, size, draw)


def _draw_panel(axes: Axes, panel: RatingPanel, edges: FloatArray) -> None:
    from matplotlib.patches import Rectangle

    counts, _, _ = np.histogram2d(
        panel.true, panel.predicted, bins=(edges, edges), weights=panel.weights
    )
    step = edges[1] - edges[0]
    # the root keeps single utterances visible beside thousands of zeros
    depth = np.sqrt(counts / counts.max())
    for column, row in np.argwhere(counts > 0):
        alpha = _LEAST_DEPTH + (_MOST_DEPTH - _LEAST_DEPTH) * float(depth[column, row])
        axes.add_patch(
            Rectangle(
                (edges[column], edges[row]), step, step, facecolor=ACCENT, alpha=alpha, linewidth=0
            )
        )
    ends = [edges[0], edges[-1]]
    axes.plot(ends, ends, color=MUTED, linestyle="--", linewidth=1, label="prediction = truth")
    axes.plot(*_mean_prediction(panel, edges), "o-", color=SECOND, markersize=3, label="mean")
    axes.set(xlim=ends, ylim=ends, box_aspect=1)


def _mean_prediction(panel: RatingPanel, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean truth and mean prediction of the utterances in each step of truth."""
    place = np.digitize(panel.true, edges)
    steps = np.unique(place)
    points = [
        np.average(
            np.stack([panel.true, panel.predicted])[:, place == step],
            axis=1,
            weights=panel.weights[place == step],
        )
        for step in steps
    ]
    along, across = np.transpose(points)
    return along, across
