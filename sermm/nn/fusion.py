"""How frames reach words: the frames of a word's time span, or learned attention.

:class:`FrameAttention` is a reconstruction of what the abstract of Boigne et al. (arXiv 2011.05585)
says: an attention-based recurrent network that aligns acoustic frames with the states of word
pieces. Sizes, the kind of attention, pooling and the special tokens' treatment are not given there
and are our choice. :class:`SpanPooling`, alignment by word times, is ours.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sermm.nn.masking import clear_padding, length_mask, masked_mean, masked_softmax


def span_index(spans: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """List the frames of every span one after the other.

    Args:
        spans: ``(B, L, 2)`` first frame and the frame after the last; empty spans are allowed.

    Returns:
        Row ``(K,)``, frame ``(K,)`` and owner ``(K,)`` of each listed frame, where the owner is
        ``row * L + piece`` and K the sum of all span lengths.
    """
    sizes = (spans[..., 1] - spans[..., 0]).clamp(min=0).reshape(-1)  # (B * L,)
    owner = torch.repeat_interleave(torch.arange(len(sizes), device=spans.device), sizes)
    first = torch.cumsum(sizes, dim=0) - sizes
    offset = torch.arange(len(owner), device=spans.device) - first[owner]
    frame = spans[..., 0].reshape(-1)[owner] + offset
    return owner // spans.shape[1], frame, owner


class SpanPooling(nn.Module):
    """Mean and maximum of the frames in each piece's time span, and how they stand out.

    A word is stressed against its neighbours, not in absolute terms, so the same statistics minus
    their mean over the words of the utterance are given as well. A piece without frames says
    nothing: it is zero and does not count in that mean.

    Args:
        input_size: D of the frames. The output has ``4 D``.
    """

    def __init__(self, *, input_size: int) -> None:
        super().__init__()
        self.output_size = 4 * input_size

    def forward(self, frames: Tensor, spans: Tensor, word_mask: Tensor) -> Tensor:
        """Pool.

        Args:
            frames: ``(B, F, D)``.
            spans: ``(B, L, 2)`` int64, end exclusive, within the row's real frames.
            word_mask: ``(B, L)`` bool, True for pieces of words.

        Returns:
            ``(B, L, 4 D)``; zeros for pieces with an empty span.
        """
        num_rows, num_pieces, _ = spans.shape
        row, frame, owner = span_index(spans)
        listed = frames[row, frame]  # (K, D)
        size = (num_rows * num_pieces, frames.shape[-1])
        index = owner.unsqueeze(-1).expand_as(listed)
        sums = listed.new_zeros(size).scatter_add(0, index, listed)
        counts = (spans[..., 1] - spans[..., 0]).clamp(min=1).reshape(-1, 1)
        # from minus infinity: zeros would take half of the gradient of a maximum that is zero,
        # with include_self=False too
        peaks = listed.new_full(size, -math.inf).scatter_reduce(0, index, listed, reduce="amax")
        spoken = spans[..., 1] > spans[..., 0]  # (B, L)
        pooled = torch.cat([sums / counts, peaks], dim=-1).view(num_rows, num_pieces, -1)
        pooled = clear_padding(pooled, spoken)
        typical = masked_mean(pooled, word_mask & spoken).unsqueeze(1)  # (B, 1, 2 D)
        return torch.cat([pooled, clear_padding(pooled - typical, spoken)], dim=-1)  # (B, L, 4 D)


class FrameAttention(nn.Module):
    """Scaled dot-product attention from word pieces over all frames (one head).

    Args:
        query_size: Width of the text states.
        key_size: Width of the speech states; also the width of the output.
        hidden_size: Width of the comparison.
    """

    def __init__(self, *, query_size: int, key_size: int, hidden_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, hidden_size)
        # no bias: it would add the same to a piece's score of every frame, which softmax ignores
        self.key = nn.Linear(key_size, hidden_size, bias=False)
        self.output_size = key_size

    def weights(self, tokens: Tensor, frames: Tensor, frame_lengths: Tensor) -> Tensor:
        """What each frame counts for each piece, ``(B, L, F)``; rows sum to one."""
        mask = length_mask(frame_lengths, frames.shape[1])
        keys = self.key(clear_padding(frames, mask)).transpose(1, 2)  # (B, H, F)
        scores = self.query(tokens) @ keys / math.sqrt(self.key.out_features)  # (B, L, F)
        return masked_softmax(scores, mask.unsqueeze(1))

    def forward(self, tokens: Tensor, frames: Tensor, frame_lengths: Tensor) -> Tensor:
        """One speech vector for each piece: ``(B, L, D)``, ``(B, F, E)`` to ``(B, L, E)``."""
        mask = length_mask(frame_lengths, frames.shape[1])
        return self.weights(tokens, frames, frame_lengths) @ clear_padding(frames, mask)
