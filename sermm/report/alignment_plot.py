"""The picture of one utterance: what was said when, and what the model listened to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from sermm.metrics import FloatArray
from sermm.report.alignment import AlignmentExample
from sermm.report.svg import ACCENT, MUTED, SECOND, draw_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

_WORD_ROWS = 3  # neighbouring words are written on different lines, or short ones would collide


def alignment_picture(example: AlignmentExample) -> str:
    """Waveform with words, log-mel energies, and attention of word pieces over time.

    Panels whose data the model does not have are left out.
    """
    pieces = len(example.tokens) if example.attention is not None else 0
    heights = [1.5]
    if example.log_mel is not None:
        heights.append(1.4)
    if pieces:
        heights.append(0.6 + 0.17 * pieces)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(
            len(heights), 1, sharex=True, squeeze=False, height_ratios=heights
        )[:, 0]
        remaining = iter(panels)
        _waveform(next(remaining), example)
        if example.log_mel is not None:
            axes = next(remaining)
            image = _image(axes, example.log_mel.T, example.log_mel_stride_s, "magma", "lower")
            axes.set_ylabel("mel band")
            figure.colorbar(image, ax=axes, label="log energy", pad=0.01)
            for word in example.words:
                axes.axvline(word.start_s, color="white", linewidth=0.4)
                axes.axvline(word.end_s, color="white", linewidth=0.4, linestyle=":")
        if example.attention is not None and pieces:
            _attention(figure, next(remaining), example, example.attention)
        panels[-1].set_xlabel("time (s)")
        panels[0].set_xlim(0, example.duration_s)

    said = " ".join(word.text for word in example.words).rstrip(".") or "no words"
    alternative = (
        f"Utterance {example.utterance_id}, {example.duration_s:.2f} s, labelled {example.label}, "
        f"predicted {example.predicted}. Words: {said}."
    )
    width = min(max(7.6, 0.32 * len(example.words)), 30.0)  # the page scrolls a wide picture
    return draw_svg("alignment", alternative, (width, sum(heights) + 0.6), draw)


def _waveform(axes: Axes, example: AlignmentExample) -> None:
    envelope = example.envelope
    times = np.linspace(0, example.duration_s, len(envelope))
    peak = max(float(np.abs(envelope).max()), 1e-6)
    axes.fill_between(times, envelope[:, 0], envelope[:, 1], color=MUTED, linewidth=0)
    for index, word in enumerate(example.words):
        axes.axvspan(
            word.start_s,
            word.end_s,
            color=ACCENT if index % 2 else SECOND,
            alpha=0.18,
            linewidth=0,
        )
        axes.text(
            (word.start_s + word.end_s) / 2,
            peak * (1.25 + 0.32 * (index % _WORD_ROWS)),
            word.text,
            ha="center",
            va="center",
            fontsize=8,
        )
    axes.set_ylim(-1.1 * peak, peak * (1.3 + 0.32 * _WORD_ROWS))
    axes.set_yticks([-peak, 0, peak], [f"{value:.2g}" for value in (-peak, 0, peak)])
    axes.set_ylabel("amplitude\n(full scale 1)")


def _image(
    axes: Axes, values: FloatArray, stride_s: float, colours: str, origin: Literal["upper", "lower"]
) -> AxesImage:
    """Rows of values over time; with ``origin="upper"`` row k is centred at k."""
    rows, frames = values.shape
    bottom, top = (rows - 0.5, -0.5) if origin == "upper" else (0.0, float(rows))
    return axes.imshow(
        values,
        aspect="auto",
        origin=origin,
        interpolation="nearest",
        cmap=colours,
        extent=(0.0, frames * stride_s, bottom, top),
    )


def _attention(
    figure: Figure, axes: Axes, example: AlignmentExample, attention: FloatArray
) -> None:
    from matplotlib.patches import Rectangle

    image = _image(axes, attention, example.attention_stride_s, "cividis", "upper")
    figure.colorbar(image, ax=axes, label="weight", pad=0.01)
    axes.set_yticks(range(len(example.tokens)), example.tokens, fontsize=8)
    axes.set_ylabel("word piece")
    spans = example.token_spans_s if example.token_spans_s is not None else ()
    for row, (start, end) in enumerate(spans):
        if end > start:
            axes.add_patch(
                Rectangle(
                    (float(start), row - 0.5),
                    float(end - start),
                    1,
                    fill=False,
                    edgecolor="white",
                    linewidth=0.8,
                )
            )
