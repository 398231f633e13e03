"""Long audio in overlapping pieces: which frames each piece computes, and which of them count.

Attention needs memory that grows with the square of the length, and encoders saw no more than half
a minute at a time in training. Above a limit that the user sets a clip is computed in pieces of
equal size; where two overlap, each frame is taken from the piece in which it has more context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class Chunk:
    """Frames of a clip that are computed together, and those of them that are kept.

    Attributes:
        start: First frame computed.
        stop: After the last frame computed.
        keep_start: First frame kept; the first frame not kept from the chunk before.
        keep_stop: After the last frame kept.
    """

    start: int
    stop: int
    keep_start: int
    keep_stop: int


def plan_chunks(num_frames: int, *, size: int, overlap: int) -> list[Chunk]:
    """Chunks of a clip, in order; every frame is kept exactly once.

    All have ``size`` frames and are evenly spread, so that the last is no remainder without
    context; the overlap is at least ``overlap``.

    Args:
        num_frames: Of the clip.
        size: Most frames computed at once; a clip that has no more is one chunk.
        overlap: Fewest frames that neighbours share, less than ``size``.
    """
    if not 0 <= overlap < size:
        raise ValueError(f"an overlap of {overlap} frames in chunks of {size}")
    if num_frames <= size:
        return [Chunk(0, num_frames, 0, num_frames)]
    count = 1 + -(-(num_frames - size) // (size - overlap))
    starts = [i * (num_frames - size) // (count - 1) for i in range(count)]
    # in the middle of what two neighbours share
    cuts = [(following + start + size) // 2 for start, following in pairwise(starts)]
    return [
        Chunk(start, start + size, keep_start, keep_stop)
        for start, keep_start, keep_stop in zip(
            starts, [0, *cuts], [*cuts, num_frames], strict=True
        )
    ]


def join_chunks(chunks: Sequence[Chunk], frames: Sequence[Tensor]) -> Tensor:
    """The frames that count, one after the other.

    Args:
        chunks: From :func:`plan_chunks`.
        frames: Of each chunk, ``(..., stop - start, D)``.

    Returns:
        ``(..., F, D)``.
    """
    return torch.cat(
        [
            states[..., chunk.keep_start - chunk.start : chunk.keep_stop - chunk.start, :]
            for chunk, states in zip(chunks, frames, strict=True)
        ],
        dim=-2,
    )
