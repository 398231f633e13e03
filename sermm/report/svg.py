"""A matplotlib figure as SVG inside an HTML page, in the colours of the page.

Figures are drawn in stand-in colours that become CSS variables, so one picture serves the light
and the dark page. Text stays text: it can be selected, searched and read out.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Stand-in colour to CSS variable. The page defines the variables for light, dark and print.
INK, MUTED, GRID = "#010203", "#030405", "#040506"
ACCENT, SECOND, THIRD = "#050607", "#060708", "#070809"
CLASSES = tuple(f"#{k:02x}{k + 1:02x}{k + 2:02x}" for k in range(8, 16))
"""Eight that tell classes apart."""

_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    ACCENT: "--accent",
    SECOND: "--second",
    THIRD: "--third",
    **{colour: f"--class{k}" for k, colour in enumerate(CLASSES, start=1)},
}

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    # inches around axes: letters of the reader's font may be taller than those that are measured
    "figure.constrained_layout.h_pad": 0.09,
    "text.color": INK,
    "text.parse_math": False,  # words and class names are no formulas
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "svg.fonttype": "none",
}


def draw_svg(
    name: str, alternative: str, size: tuple[float, float], draw: Callable[[Figure], None]
) -> str:
    """Draw a figure and return it as an ``<svg>`` element.

    Args:
        name: Letters and digits, unique on the page: the prefix of all ids inside.
        alternative: What the picture shows, for those who do not see it.
        size: Width and height in inches at 100 %; the page scales it.
        draw: Draws into the empty figure.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    stream = io.StringIO()
    # no pyplot: it keeps figures and a backend for the whole process
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        # the reader's browser has the glyphs that the measuring font lacks
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure = Figure(figsize=size, layout="constrained", facecolor="none")
        FigureCanvasSVG(figure)
        draw(figure)
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return _for_page(stream.getvalue(), name, alternative)


def _for_page(svg: str, name: str, alternative: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    width = re.search(r'viewBox="0 0 ([\d.]+)', svg)
    if width is None:
        raise ValueError("the drawing library wrote no viewBox")
    inches = float(width[1]) / 72
    # below this the letters are too small to read, and the page scrolls instead
    least = 0.58 * inches
    opening = (
        f'<svg role="img" aria-label="{escape(alternative)}" '
        f'style="width: {inches:.2f}in; min-width: {least:.2f}in" '
    )
    # points on paper mean nothing on a phone: the page scales the picture by its viewBox
    svg = re.sub(r'^<svg ([^>]*?)width="[^"]*pt"', r"<svg \1", svg)
    svg = re.sub(r'^<svg ([^>]*?)height="[^"]*pt"', r"<svg \1", svg)
    return svg.replace("<svg ", opening, 1)
