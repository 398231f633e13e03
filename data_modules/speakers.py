"""Frames relative to their speaker: what a voice is like in general is taken away.

The statistics of a speaker are those of all utterances of theirs that an experiment selects, test
utterances included (their audio, not their labels). An experiment that does so says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_modules.errors import DataError, first_ids
from data_modules.manifest import Utterance

Frames = npt.NDArray[np.float32]

# below this a dimension counts as constant and keeps its scale
_SMALLEST_DEVIATION = 1e-8


@dataclass(frozen=True)
class SpeakerStatistics:
    """Mean and standard deviation of each speaker's frames.

    Attributes:
        of: By speaker ``(D,)`` float64 each.
    """

    of: Mapping[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]

    @classmethod
    def measure(
        cls, utterances: Iterable[Utterance], read: Callable[[Utterance], Frames]
    ) -> SpeakerStatistics:
        """Statistics over all frames of each speaker, in float64.

        Args:
            utterances: Of every speaker that will be asked for.
            read: Frames ``(F, D)`` of an utterance.

        Raises:
            DataError: Some utterances have no speaker.
        """
        by_speaker: dict[str, list[Utterance]] = {}
        for utterance in utterances:
            by_speaker.setdefault(utterance.speaker or "", []).append(utterance)
        if nobody := by_speaker.pop("", []):
            raise DataError(
                "model.speech.normalise=speaker",
                expected="a speaker of every utterance",
                got=f"none for {len(nobody)}: {first_ids([u.id for u in nobody])}",
                fix="choose model.speech.normalise=train",
            )
        return cls({name: _measure(spoken, read) for name, spoken in by_speaker.items()})

    def apply(self, utterance: Utterance, frames: Frames) -> Frames:
        """Frames ``(F, D)`` with the speaker's mean and deviation taken away."""
        mean, std = self.of[utterance.speaker or ""]
        return ((frames - mean) / std).astype(np.float32)


def _measure(
    utterances: list[Utterance], read: Callable[[Utterance], Frames]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Two passes, since the square of a large value swallows a small deviation."""
    count = sum(len(read(utterance)) for utterance in utterances)
    mean = sum(read(u).sum(axis=0, dtype=np.float64) for u in utterances) / count
    squares = sum(((read(u) - mean) ** 2).sum(axis=0) for u in utterances)
    std = np.sqrt(squares / count)
    # relative to the mean: of a constant, rounding leaves a trace of its size
    floor = _SMALLEST_DEVIATION * np.maximum(1.0, np.abs(mean))
    return mean, np.where(std > floor, std, 1.0)
