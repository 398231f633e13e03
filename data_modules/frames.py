"""What is done to the frames of one clip before a model sees them: cut the ends, remove the level.

Both look at one clip alone, so they belong to reading and not to a fold. A new recording is treated
the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.float32]

# natural logarithm of a power ratio in decibels
_DB = 10.0 / float(np.log(10.0))


@dataclass(frozen=True)
class FramePreparation:
    """How the frames of a clip are read.

    Attributes:
        num_bands: Log-mel bands that each frame begins with; what follows them is left alone.
        center: ``none``; ``level`` subtracts the clip's mean over all bands, so a loud recording
            equals a soft one; ``utterance`` subtracts each dimension's mean over the clip.
        trim_db: Frames at both ends that are softer than the loudest frame by more than this are
            cut; 0 cuts nothing.
    """

    num_bands: int
    center: Literal["none", "level", "utterance"] = "none"
    trim_db: float = 0.0

    def __call__(self, frames: Frames) -> tuple[Frames, int]:
        """Prepare a clip.

        Args:
            frames: ``(F, D)``, F at least 1.

        Returns:
            ``(F', D)`` with F' at least 1, in memory of its own, and the frames cut at the start.
        """
        first, last = 0, len(frames)
        bands = slice(0, self.num_bands)
        if self.trim_db:
            level = frames[:, bands].mean(axis=1, dtype=np.float64)
            loud = np.flatnonzero(level >= level.max() - self.trim_db / _DB)
            first, last = int(loud[0]), int(loud[-1]) + 1
        kept = np.array(frames[first:last], dtype=np.float32)
        if self.center == "level":
            kept[:, bands] -= np.float32(kept[:, bands].mean(dtype=np.float64))
        elif self.center == "utterance":
            kept -= kept.mean(axis=0, dtype=np.float64).astype(np.float32)
        return kept, first
