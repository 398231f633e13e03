"""Lengths of real utterances, and synthetic voices that have them: what speed is measured on.

The list is that of IEMOCAP's four-class subset: 5,531 utterances, 6.99 hours, 0.58 to 34.14 s. A
sample is drawn by rank, evenly over the sorted list with a random start, so that a few dozen
utterances have the spread of all; shuffled, as utterances come.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
LIST = Path(__file__).parents[1] / "../shared/data/iemocap/iemocap_4class_5531.tsv"
"""Where the list is looked for; a table with a column ``seconds``."""


def read_lengths(path: Path = LIST) -> list[float]:
    """Seconds of every utterance, in the order of the list.

    Raises:
        SystemExit: There is no such file.
    """
    if not path.is_file():
        raise SystemExit(f"error: {path}: expected a table with a column seconds, got no file")
    with path.open(encoding="utf-8", newline="") as stream:
        return [float(row["seconds"]) for row in csv.DictReader(stream, delimiter="\t")]


def draw_lengths(lengths: list[float], seconds: float, *, seed: int = 0) -> list[float]:
    """Some of the lengths with the spread of all, shuffled.

    Args:
        lengths: Of all utterances.
        seconds: About how many seconds to draw; all if it is more than there are.
        seed: Of the start and the order.
    """
    ordered, draw = sorted(lengths), random.Random(seed)
    count = min(len(ordered), max(1, round(seconds * len(ordered) / sum(ordered))))
    step = len(ordered) / count
    start = draw.random() * step
    chosen = [ordered[min(int(start + i * step), len(ordered) - 1)] for i in range(count)]
    draw.shuffle(chosen)
    return chosen


def voice(seconds: float, seed: int) -> npt.NDArray[np.float32]:
    """Noise that rises and falls over a hum, ``(N,)`` float32 in [-1, 1] at 16 kHz."""
    draw = np.random.default_rng(seed)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    noise = draw.standard_normal(len(time)) * (1 + np.sin(6 * time + seed))
    return (0.1 * noise + 0.2 * np.sin(2 * np.pi * 150 * time)).clip(-1, 1).astype(np.float32)
