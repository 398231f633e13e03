"""Writes the picture of the README: the alignment picture of a run, as a file of its own.

``python docs/make_picture.py RUN_FOLDER`` takes the ``alignment.npz`` of a run and the report's own
drawing code. The report's page gives its pictures their colours; here they are written into the
file, on a white ground that stays readable on a dark page.
"""

from __future__ import annotations

import re
import sys
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path

from PIL import Image

from data_modules.atomic import write_text
from sermm.report.alignment import FILE_NAME, AlignmentExample, read_alignment_example
from sermm.report.alignment_plot import alignment_picture

PICTURE = Path(__file__).with_name("images") / "alignment.svg"
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
# the light page of sermm/report/page.html.j2
COLOURS = {
    "--ink": "#1b1f24",
    "--muted": "#59636e",
    "--grid": "#d9dee3",
    "--accent": "#0072b2",
    "--second": "#c35a00",
    "--third": "#8c3b76",
}


def standalone(example: AlignmentExample) -> str:
    """The picture of an example as an SVG file that needs no page around it."""
    svg = alignment_picture(example)
    for variable, colour in COLOURS.items():
        svg = svg.replace(f"var({variable})", colour)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert box is not None, "every picture of the report has a viewBox"
    # a page would choose the size; a file has to say it (in CSS pixels, 96 to 72 points)
    width, height = (round(float(side) * 96 / 72) for side in box.groups())
    ground = f'<rect width="{box[1]}" height="{box[2]}" fill="#ffffff"/>'
    svg = re.sub(r' style="width: [^"]*"', f' width="{width}" height="{height}"', svg, count=1)
    svg = svg.replace(">", f">{ground}", 1)
    # a hundredth of a point is enough for lines
    svg = re.sub(r'(?<= d=")[^"]*', lambda path: _LONG_NUMBER.sub(_rounded, path[0]), svg)
    return re.sub(r"(?<=data:image/png;base64,)[^\"]*", _with_palette, svg)


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}"


def _with_palette(encoded: re.Match[str]) -> str:
    """The same image in half the bytes: a colour map has no more colours than a palette holds."""
    image = Image.open(BytesIO(b64decode(encoded[0]))).convert("RGB")
    stream = BytesIO()
    image.convert("P", palette=Image.Palette.ADAPTIVE).save(stream, "png", optimize=True)
    return b64encode(stream.getvalue()).decode()


def main(run: Path) -> None:
    """Write the picture of a run folder."""
    svg = standalone(read_alignment_example(run / FILE_NAME))
    write_text(PICTURE, svg)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
