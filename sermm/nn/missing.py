"""What a model that hears and reads takes in place of speech or words that are not there.

Learned stand-ins, since zeros are something that speech or words could say, and the rest of the
model would have to tell the two apart by itself (our choice). Which utterances of a training batch
lack a modality is drawn here as well.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

NUM_PARTS = 8
"""Equal parts of the clip that stand where words would be."""


def draw_present(
    num_modalities: int, num_utterances: int, share: float, device: torch.device
) -> Tensor:
    """Which modalities of which utterances are there.

    Args:
        num_modalities: M.
        num_utterances: B.
        share: That lack a modality, drawn for each modality on its own; at least one stays.
        device: Of the result.

    Returns:
        ``(M, B)`` bool.
    """
    kept = torch.rand(num_modalities, num_utterances, device=device) >= share
    # the one that stays where all were drawn
    survivor = torch.randint(num_modalities, (num_utterances,), device=device)
    kept[survivor, torch.arange(num_utterances, device=device)] |= ~kept.any(dim=0)
    return kept


class MissingVector(nn.Module):
    """A learned vector in place of a pooled modality, or of each position of a sequence.

    Args:
        size: D.
    """

    def __init__(self, *, size: int) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.randn(size) * 0.02)

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """``values`` ``(B, ..., D)`` where ``present`` ``(B,)`` is True, the vector elsewhere."""
        shape = (-1, *([1] * (values.dim() - 1)))
        return torch.where(present.view(shape), values, self.vector)


class MissingWords(nn.Module):
    """Learned states in place of word pieces: one for the whole clip, one for each equal part.

    So what follows reads a sequence in time, as it does with words, and knows nothing of words.

    Args:
        size: D of the text states.
    """

    def __init__(self, *, size: int) -> None:
        super().__init__()
        self.states = nn.Parameter(torch.randn(1 + NUM_PARTS, size) * 0.02)

    def sequence(self, frame_lengths: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What stands for a batch of texts.

        Args:
            frame_lengths: ``(B,)`` int64.

        Returns:
            States ``(B, 9, D)``, their lengths ``(B,)``, the mask of what counts as words
            ``(B, 9)``, and frame spans ``(B, 9, 2)``: the whole clip, then its parts. A clip with
            fewer frames than parts has parts without frames.
        """
        num = len(frame_lengths)
        device = frame_lengths.device
        steps = torch.arange(NUM_PARTS + 1, device=device)
        bounds = frame_lengths.unsqueeze(1) * steps // NUM_PARTS  # (B, 9)
        parts = torch.stack([bounds[:, :-1], bounds[:, 1:]], dim=-1)  # (B, 8, 2)
        whole = torch.stack([torch.zeros_like(frame_lengths), frame_lengths], -1).unsqueeze(1)
        mask = torch.ones(num, 1 + NUM_PARTS, dtype=torch.bool, device=device)
        mask[:, 0] = False
        lengths = torch.full((num,), 1 + NUM_PARTS, dtype=torch.int64, device=device)
        return self.states.expand(num, -1, -1), lengths, mask, torch.cat([whole, parts], dim=1)
