"""What the page draws of a recording: waveform, words, attention, parts and what they sound like.

In the colours of the page, light or dark (``page.css``), as the pictures of reports are. A phone
has a picture of its own, in which words stand upright; the page shows the one that fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from data_modules.audio import SAMPLE_RATE, Array
from sermm.predict.recording import Prediction
from sermm.report.svg import ACCENT, CLASSES, GRID, INK, MUTED, SECOND, draw_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS = 1200  # more than a page is wide
_LONGEST_WORDS_S = 30.0  # with more, words would lie over each other
_WIDE_IN, _NARROW_IN = 9.0, 3.6


def picture(
    waveform: Array, said: Sequence[Prediction], attention: np.ndarray | None, names: Sequence[str]
) -> str:
    """Two pictures of a recording ``(N,)``, 16 kHz: for a desktop, and for a phone.

    Args:
        waveform: The samples.
        said: Of the whole, or of its parts in order.
        attention: Weights of the frames for each word piece ``(L, F)``; None without.
        names: All classes, whose places give their colours.
    """
    duration = len(waveform) / SAMPLE_RATE
    parted = len(said) > 1 and bool(said[0].predicted)
    heights = [3.0, *([2.0] if attention is not None else []), *([0.4] if parted else [])]

    def draw(figure: Figure) -> None:
        narrow = figure.get_figwidth() < _WIDE_IN
        axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[
            :, 0
        ]
        with_words = duration <= _LONGEST_WORDS_S and any(one.words for one in said)
        _waveform(axes[0], waveform, duration, room=1.6 if narrow and with_words else 0.0)
        if with_words:
            _words(axes[0], said, narrow=narrow)
        if attention is not None:
            axes[1].imshow(
                attention,
                aspect="auto",
                origin="upper",
                extent=(0, duration, len(attention), 0),
                cmap="cividis",
            )
            axes[1].set(ylabel="word piece")
        if parted:
            _parts(figure, axes[-1], said, names, columns=3 if narrow else 4)
        axes[-1].set_xlabel("seconds")

    shown = f"Waveform of {duration:.1f} s"
    if parted:
        shown += f" in {len(said)} parts, below them what each sounds like; the table has the same"
    return "".join(
        f'<div class="{name}">'
        f"{draw_svg(name, f'{shown}.', (width, 0.8 + 0.62 * sum(heights)), draw)}</div>"
        for name, width in (("wide", _WIDE_IN), ("narrow", _NARROW_IN))
    )


def _waveform(axes: Axes, waveform: Array, duration: float, room: float) -> None:
    """The waveform, with room for words above it, as a multiple of its height."""
    edges = np.linspace(0, len(waveform), min(_POINTS, len(waveform)) + 1).astype(int)[:-1]
    low, high = np.minimum.reduceat(waveform, edges), np.maximum.reduceat(waveform, edges)
    axes.fill_between(edges / SAMPLE_RATE, low, high, color=ACCENT, linewidth=0.4)
    limit = max(0.05, float(np.abs(waveform).max())) * 1.4
    axes.set(xlim=(0, duration), ylim=(-limit, limit * (1 + room)), yticks=[])
    axes.spines["left"].set_visible(False)


def _words(axes: Axes, said: Sequence[Prediction], *, narrow: bool) -> None:
    top = axes.get_ylim()[1]
    turned: dict[str, Any] = {"rotation": 90, "va": "top"} if narrow else {}
    words = [(word, one.start_s or 0.0) for one in said for word in one.words]
    for number, (word, start) in enumerate(words):
        left, right = start + word.start_s, start + word.end_s
        # neighbours touch: two strengths tell them apart
        axes.axvspan(left, right, color=SECOND, alpha=(0.10, 0.22)[number % 2], linewidth=0)
        middle, height = (left + right) / 2, (0.96 if narrow else 0.84) * top
        axes.text(middle, height, word.text, ha="center", fontsize=8, color=INK, **turned)


def _parts(
    figure: Figure, axes: Axes, said: Sequence[Prediction], names: Sequence[str], columns: int
) -> None:
    shown: set[str] = set()
    for one in said:
        # of several labels the first, the table has them all
        label = one.predicted[0] if one.predicted else "none"
        place = names.index(label) if label in names else -1
        colour = MUTED if place < 0 else CLASSES[place % len(CLASSES)]
        start, end = one.start_s or 0.0, one.end_s or 0.0
        axes.barh(
            0,
            end - start,
            left=start,
            height=1,
            color=colour,
            edgecolor=GRID,
            linewidth=0.3,
            label=None if label in shown else label,
        )
        shown.add(label)
    axes.set(ylim=(-0.5, 0.5), yticks=[])
    axes.spines["left"].set_visible(False)
    figure.legend(loc="outside lower center", ncols=columns)
