"""What the speech part of a task reads from a batch: frames, whoever computes them.

Either frames from the feature cache, or waveforms through an upstream that is trained with the
task. Several layers become one here, by weights that the task learns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from data_modules.batch import Batch
from sermm.nn.masking import clear_padding, length_mask
from sermm.nn.standardize import Standardize
from sermm.upstreams.encoded import EncoderUpstream
from sermm.upstreams.layers import WeightedLayerSum


class SpeechInput(nn.Module, ABC):
    """Frames of a batch.

    Attributes:
        output_size: D, values in a frame.
    """

    output_size: int

    @abstractmethod
    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Frames ``(B, F, D)``, zero in the padding, and their lengths ``(B,)`` int64."""

    @abstractmethod
    def lengths(self, batch: Batch) -> Tensor:
        """The lengths alone, without computing the frames."""


class LayerMix(nn.Module):
    """One state of each frame from K layers.

    Args:
        num_layers: K. Several are summed up with learned weights, as SUPERB does
            (``upstreams/layers.py``); with one there is nothing to learn.
        normalized: A layer norm without weights on each state of each layer first.
    """

    def __init__(self, num_layers: int, *, normalized: bool = False) -> None:
        super().__init__()
        self.normalized = normalized
        several = num_layers > 1
        self.mix = WeightedLayerSum(num_layers, normalized=normalized) if several else None

    def forward(self, states: Tensor) -> Tensor:
        """``(B, K, F, D)`` to ``(B, F, D)``; zeros stay zeros."""
        if self.mix is not None:
            mixed: Tensor = self.mix(states)
            return mixed
        frames = states.squeeze(1)
        return layer_norm(frames, frames.shape[-1:]) if self.normalized else frames


class CachedFrames(SpeechInput):
    """Frames that were computed before.

    Args:
        frame_dim: D, values in a frame of one layer.
        num_layers: K; a cached row holds K D values, layers ascending.
        standardize: By statistics of the training part over all K D values; None: not at all.
        normalized: As for :class:`LayerMix`.
    """

    def __init__(
        self,
        *,
        frame_dim: int,
        num_layers: int = 1,
        standardize: Standardize | None = None,
        normalized: bool = False,
    ) -> None:
        super().__init__()
        self.output_size = frame_dim
        self.num_layers = num_layers
        self.standardize = standardize
        self.mix = LayerMix(num_layers, normalized=normalized)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Frames ``(B, F, D)`` and their lengths ``(B,)``."""
        rows, lengths = batch.speech()  # (B, F, K D)
        if self.standardize is not None:
            rows = self.standardize(rows, lengths)
        else:
            rows = clear_padding(rows, length_mask(lengths, rows.shape[1]))
        states = rows.view(*rows.shape[:2], self.num_layers, self.output_size).transpose(1, 2)
        return self.mix(states), lengths

    def lengths(self, batch: Batch) -> Tensor:
        """``(B,)`` int64."""
        return batch.speech()[1]


class TrainedFrames(SpeechInput):
    """Frames of an upstream that learns with the task, from waveforms.

    There is no standardisation by the training part: its statistics would change with every step.

    Args:
        upstream: With its weights; what of it is frozen is decided by whoever builds it.
        normalized: As for :class:`LayerMix`.
    """

    def __init__(self, upstream: EncoderUpstream, *, normalized: bool = False) -> None:
        super().__init__()
        self.output_size = upstream.dim
        self.upstream = upstream
        self.mix = LayerMix(upstream.num_layers, normalized=normalized)
        # it comes in evaluation mode, which the trainer would leave as it is
        self.train()

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Frames ``(B, F, D)`` and their lengths ``(B,)``."""
        features = self.upstream.layers(*batch.audio())
        return self.mix(features.states), features.lengths

    def lengths(self, batch: Batch) -> Tensor:
        """``(B,)`` int64."""
        sizes = batch.audio()[1]
        return torch.tensor(
            [self.upstream.num_frames(size) for size in sizes.tolist()], device=sizes.device
        )
