"""How far features in half precision are from those in float32, measured on some of the clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from data_modules.atomic import write_json
from data_modules.audio import Array
from data_modules.errors import CacheError
from data_modules.plain_json import parse_json
from sermm.extract_batches import Clip
from sermm.extract_compute import Precision, compute_frames
from sermm.upstreams import SpeechUpstream

_NUM_CLIPS = 8
FILE_NAME = "precision.json"
"""Beside ``store.json``; written before the first frame is stored."""


@dataclass(frozen=True)
class PrecisionError:
    """Differences over all values of all frames of a few clips.

    Attributes:
        precision: Of the arithmetic.
        num_clips: How many were compared.
        relative_rms: Root mean square of the differences, over that of the values in float32.
        relative_max: The largest difference, over the same.
    """

    precision: str
    num_clips: int
    relative_rms: float
    relative_max: float

    def __str__(self) -> str:
        return (
            f"{self.precision} differs from float32 by {self.relative_rms:.2g} of the values' size "
            f"(rms; at most {self.relative_max:.2g}), measured on {self.num_clips} clips"
        )


def measure_precision(
    upstream: SpeechUpstream, clips: Sequence[Clip], *, device: torch.device, precision: Precision
) -> PrecisionError:
    """Compute some clips, evenly spread over their lengths, in both precisions.

    Args:
        upstream: On ``device``.
        clips: At least one.
        device: Where.
        precision: The lower one.

    Raises:
        DataError: One of the clips cannot be read.
    """
    ordered = sorted(clips, key=lambda clip: (clip.num_samples, clip.key))
    places = np.linspace(0, len(ordered) - 1, min(_NUM_CLIPS, len(ordered))).round().astype(int)
    squares = errors = 0.0
    count, largest = 0, 0.0
    for place in sorted(set(places.tolist())):
        waveform: Array = ordered[place].load()
        exact, rounded = (
            compute_frames(upstream, [waveform], device=device, precision=kind)[0].astype(float)
            for kind in ("32", precision)
        )
        difference = np.abs(rounded - exact)
        squares += float((exact**2).sum())
        errors += float((difference**2).sum())
        largest = max(largest, float(difference.max()))
        count += exact.size
    size = max((squares / count) ** 0.5, 1e-30)
    return PrecisionError(
        precision, len(set(places.tolist())), (errors / count) ** 0.5 / size, largest / size
    )


def write_precision(folder: Path, error: PrecisionError) -> None:
    """Keep a measurement with its store."""
    write_json(folder / FILE_NAME, asdict(error))


def read_precision(folder: Path) -> PrecisionError | None:
    """What was measured when the store was begun; None for a store in float32.

    Raises:
        CacheError: The file is damaged.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        return PrecisionError(**parse_json(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise CacheError(
            path,
            expected="the measured error of half precision",
            got=str(error),
            fix="delete this file; the next extraction measures it again",
        ) from None
