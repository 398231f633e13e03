"""Long recordings in parts: windows of one length, or stretches of sound between silences.

Parts are judged as clips of their own. Times are samples here and seconds for the user.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_modules.audio import SAMPLE_RATE, Array
from data_modules.errors import ConfigError

_FRAME = SAMPLE_RATE // 50  # 20 ms


@dataclass(frozen=True)
class Cutting:
    """How a recording is cut.

    Attributes:
        window_s: Length of a window; 0 cuts at silences.
        hop_s: From one window to the next; 0 is the length of a window.
        silence_db: What is softer than the loudest 20 ms by more than this is silent.
        pause_s: Shorter silences do not part.
        longest_s: A longer stretch of sound is cut where it is softest.
    """

    window_s: float = 0.0
    hop_s: float = 0.0
    silence_db: float = 35.0
    pause_s: float = 0.4
    longest_s: float = 15.0

    def __post_init__(self) -> None:
        for option, value, low, high in (
            ("--window", self.window_s, 0.0, 3600.0),
            ("--hop", self.hop_s, 0.0, self.window_s),
            ("--silence-db", self.silence_db, 1.0, 200.0),
            ("--pause", self.pause_s, 0.02, 60.0),
            ("--longest", self.longest_s, 0.5, 3600.0),
        ):
            # NaN is outside too
            if not low <= value <= high or (option == "--window" and 0 < value < 0.1):
                raise ConfigError(
                    option,
                    expected=f"{low:g} to {high:g}, and a window of at least 0.1 s",
                    got=f"{value:g}",
                    fix="choose another value",
                )

    def parts(self, waveform: Array) -> list[tuple[int, int]]:
        """First sample and the one after the last of each part, in order.

        Args:
            waveform: ``(N,)`` float32, 16 kHz.

        Returns:
            Windows cover all samples; stretches of sound leave silences out. Never empty: a clip
            without any sound is one part.
        """
        if self.window_s:
            return _windows(len(waveform), self.window_s, self.hop_s or self.window_s)
        return _stretches(waveform, self)


def _windows(num_samples: int, window_s: float, hop_s: float) -> list[tuple[int, int]]:
    window, hop = round(window_s * SAMPLE_RATE), max(1, round(hop_s * SAMPLE_RATE))
    parts = []
    start = 0
    while True:
        parts.append((start, min(start + window, num_samples)))
        if start + window >= num_samples:
            return parts
        start += hop


def levels_db(waveform: Array) -> np.ndarray:
    """Level of each 20 ms in decibels below full scale ``(F,)``; the last frame may be shorter."""
    num_frames = max(1, -(-len(waveform) // _FRAME))
    starts = np.arange(num_frames) * _FRAME
    powers = np.add.reduceat(np.square(waveform, dtype=np.float64), starts)
    sizes = np.diff([*starts, len(waveform)])
    levels: np.ndarray = 10 * np.log10(powers / sizes + 1e-12)
    return levels


def _stretches(waveform: Array, cutting: Cutting) -> list[tuple[int, int]]:
    level = levels_db(waveform)
    loud = level >= level.max() - cutting.silence_db
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(np.int8)))
    runs = [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]
    pause = round(cutting.pause_s * SAMPLE_RATE / _FRAME)
    joined: list[tuple[int, int]] = []
    for first, last in runs:
        if joined and first - joined[-1][1] < pause:
            joined[-1] = joined[-1][0], last
        else:
            joined.append((first, last))
    longest = max(2, round(cutting.longest_s * SAMPLE_RATE / _FRAME))
    parts = [part for one in joined for part in _no_longer(level, *one, longest)]
    return [(first * _FRAME, min(last * _FRAME, len(waveform))) for first, last in parts]


def _no_longer(level: np.ndarray, first: int, last: int, longest: int) -> list[tuple[int, int]]:
    """Parts of a stretch, each cut off at the softest frame of the second half of what fits."""
    parts = []
    while last - first > longest:
        low = first + longest // 2
        cut = low + int(level[low : first + longest].argmin()) + 1
        parts.append((first, cut))
        first = cut
    return [*parts, (first, last)]
