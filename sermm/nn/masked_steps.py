"""Which time steps of a clip are hidden for pre-training, and what fills them without a model.

A mask follows from a key and the clip's number of steps alone: not from the batch, its padding, the
number of loader processes or the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sermm.nn.masking import length_mask


@dataclass(frozen=True)
class MaskOptions:
    """How steps are hidden.

    Attributes:
        share: Of a clip's steps, rounded; at least one, and one at least stays visible.
        span_min: Fewest neighbouring steps that are hidden together.
        span_max: Most; the last span of a clip is cut to keep the share. 1: single steps.
    """

    share: float
    span_min: int = 1
    span_max: int = 1


def draw_mask(key: str, num_steps: int, options: MaskOptions) -> npt.NDArray[np.bool_]:
    """The hidden steps ``(num_steps,)`` of a clip. One that is a single step is hidden whole.

    Args:
        key: The same gives the same mask.
        num_steps: At least 1.
        options: How many, and in how long spans.
    """
    generator = np.random.default_rng(list(key.encode()))
    hidden = np.zeros(num_steps, dtype=bool)
    wanted = max(1, min(round(options.share * num_steps), num_steps - 1))
    for start in generator.permutation(num_steps):
        length = int(generator.integers(options.span_min, options.span_max + 1))
        span = np.arange(start, min(start + length, num_steps))
        new = span[~hidden[span]]
        hidden[new[: wanted - int(hidden.sum())]] = True
        if hidden.sum() == wanted:
            break
    return hidden


def draw_masks(keys: Sequence[str], lengths: Tensor, size: int, options: MaskOptions) -> Tensor:
    """Masks of a batch ``(B, size)`` bool, True where hidden; never in the padding.

    Args:
        keys: B, one a clip.
        lengths: Steps of each clip ``(B,)`` int64.
        size: Padded number of steps.
        options: As for :func:`draw_mask`.
    """
    masks = torch.zeros(len(keys), size, dtype=torch.bool)
    for row, (key, length) in enumerate(zip(keys, lengths.tolist(), strict=True)):
        masks[row, :length] = torch.from_numpy(draw_mask(key, length, options))
    return masks.to(lengths.device)


def fill_controls(frames: Tensor, lengths: Tensor, hidden: Tensor) -> dict[str, Tensor]:
    """Hidden frames as they are guessed without a model.

    Args:
        frames: ``(B, F, D)`` standardised.
        lengths: ``(B,)`` int64.
        hidden: ``(B, F)`` bool.

    Returns:
        By name, ``(B, F, D)`` each: ``mean``, that of the training part, which is zero;
        ``neighbour``, the nearest visible frame, of two the earlier; ``interpolation``, on the line
        between the visible frames on both sides. Beyond the last visible frame both copy it; in a
        clip without any they are the mean.
    """
    visible = length_mask(lengths, frames.shape[1]) & ~hidden  # (B, F)
    place = torch.arange(frames.shape[1], device=frames.device).expand(visible.shape)
    none = frames.shape[1]
    before = place.where(visible, -1).cummax(dim=1).values
    after = place.where(visible, none).flip(1).cummin(dim=1).values.flip(1)
    to_left = (place - before).where(before >= 0, none).to(frames)
    to_right = (after - place).where(after < none, none).to(frames)

    def at(index: Tensor, known: Tensor) -> Tensor:
        index = index.clamp(0, none - 1).unsqueeze(-1).expand_as(frames)
        return frames.gather(1, index) * known.unsqueeze(-1)

    left, right = at(before, before >= 0), at(after, after < none)
    both = (before >= 0) & (after < none)
    near = torch.where((to_left <= to_right).unsqueeze(-1), left, right)
    share = (to_left / (to_left + to_right).clamp(min=1)).unsqueeze(-1)
    between = torch.where(both.unsqueeze(-1), (1 - share) * left + share * right, near)
    return {"mean": torch.zeros_like(frames), "neighbour": near, "interpolation": between}
