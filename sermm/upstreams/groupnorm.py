"""Group norm over time that does not see padding.

wav2vec2-base, hubert-base, wavlm-base and their kin normalise each channel of their first
convolution over time. In a padded batch the mean and variance then include the padding, and the
features of a clip depend on what it was batched with, whether an attention mask is passed or not.
Statistics over each clip's own length (and the mask above) give the numbers of the clip alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


def masked_group_norm(values: Tensor, lengths: Tensor, norm: nn.GroupNorm) -> Tensor:
    """``norm`` of each clip over its true length.

    One call a clip: of the forms tried (one pass with a mask, clearing the padding and correcting
    the sums) it is the fastest and the only one that gives the bits of the clip alone.

    Args:
        values: ``(B, C, F)``, any content in the padding.
        lengths: ``(B,)`` int64, between 2 and F: one value has no variance.
        norm: Its groups, weights and epsilon.

    Returns:
        ``(B, C, F)``, zero in the padding.
    """
    size, counts = values.shape[-1], lengths.tolist()
    if min(counts) == size:
        normed: Tensor = norm(values)
        return normed
    clips = (norm(values[i : i + 1, :, :n])[0] for i, n in enumerate(counts))
    if torch.is_grad_enabled():
        # writing into parts of one tensor would copy the whole of its gradient once a clip
        return torch.stack([pad(clip, (0, size - clip.shape[-1])) for clip in clips])
    result = torch.zeros_like(values)
    for row, clip in zip(result, clips, strict=True):
        row[:, : clip.shape[-1]] = clip
    return result
