"""What every speech upstream is to the rest of sermm: waveforms in, frames of known times out.

An upstream computes; it does not normalise over a corpus (that belongs to a fold), decode files or
store anything.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

SAMPLE_RATE = 16_000
"""Rate of every waveform that an upstream takes, in Hz."""


@dataclass(frozen=True)
class SpeechFeatures:
    """Frames of a batch of clips.

    Attributes:
        frames: ``(B, F, D)`` float32, zero after each clip's last frame.
        lengths: ``(B,)`` int64, frames of each clip, at least 1.
    """

    frames: Tensor
    lengths: Tensor


@dataclass(frozen=True)
class LayerFeatures:
    """Frames of a batch of clips as several layers of an encoder have them.

    Attributes:
        states: ``(B, K, F, D)`` float32, zero after each clip's last frame.
        lengths: ``(B,)`` int64, frames of each clip, at least 1.
    """

    states: Tensor
    lengths: Tensor


class SpeechUpstream(nn.Module, ABC):
    """Turns 16 kHz mono waveforms in [-1, 1] into frames.

    The frames of a clip do not depend on what it is batched with, nor on the padding. An upstream
    that hands on one layer (``num_layers`` is 1) gives frames when called; one that keeps several
    apart, to be mixed by what follows (``upstreams/layers.py``), is asked for its :meth:`layers`.

    Attributes:
        name: What ``model.speech.upstream`` says.
        dim: D, values in a frame.
        frame_stride: Samples from one frame to the next; 0 if a whole clip is one frame.
        first_center: Samples from the start of the clip to the centre of frame 0.
        min_samples: The shortest clip that is taken as it is. A shorter one is filled up with
            zeros to this length, which gives it at least one frame; callers count such clips.
        max_samples: The longest clip that is computed in one piece. A longer one is computed in
            overlapping pieces; callers count such clips. None: any length is one piece.
        num_layers: K, how many layers it hands on.
        batched: Whether clips that are computed together cost less than one by one.
        filled_samples: A shorter clip is filled up to this length inside, and costs as much.
        transform_version: Raised with every change of the arithmetic, so that stored features
            of an older version are not taken for new ones.
    """

    name: str
    dim: int
    frame_stride: int
    first_center: float
    min_samples: int
    max_samples: int | None = None
    num_layers: int = 1
    batched: bool = False
    filled_samples: int = 0
    transform_version: int

    @property
    def frame_stride_s(self) -> float:
        """Seconds from one frame to the next; 0 if a whole clip is one frame."""
        return self.frame_stride / SAMPLE_RATE

    @property
    def first_center_s(self) -> float:
        """Seconds from the start of the clip to the centre of frame 0."""
        return self.first_center / SAMPLE_RATE

    @abstractmethod
    def options(self) -> Mapping[str, Any]:
        """Every value that shapes the frames, as JSON can hold it; weights as their hash."""

    @abstractmethod
    def num_frames(self, num_samples: int) -> int:
        """How many frames a clip of ``num_samples`` gets, without computing them."""

    @abstractmethod
    def forward(self, waveform: Tensor, lengths: Tensor) -> SpeechFeatures:
        """Frames of padded clips, of an upstream with one layer.

        Args:
            waveform: ``(B, N)`` float32. What stands after a clip's length is not read.
            lengths: ``(B,)`` int64, true samples of each clip, at least 1.
        """

    def layers(self, waveform: Tensor, lengths: Tensor) -> LayerFeatures:
        """All ``num_layers`` layers of padded clips; arguments as :meth:`forward`."""
        features: SpeechFeatures = self(waveform, lengths)
        return LayerFeatures(features.frames.unsqueeze(1), features.lengths)

    def fingerprint(self) -> str:
        """24 hexadecimal digits that stand for the name, every option and the version."""
        told = {
            "name": self.name,
            "options": dict(self.options()),
            "transform_version": self.transform_version,
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:24]
