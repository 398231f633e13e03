"""What a model has to know of its data: plain facts, and statistics of the training part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from data_modules.labels import Family, Kind


@dataclass(frozen=True)
class DataFacts:
    """What a model has to know of its data: plain data, stored in every checkpoint.

    Attributes:
        names: Of classes, ratings or labels, in the order of the target.
        kind: Which of the three.
        family: Which scores belong to it.
        num_train: Utterances of the training part.
        train_counts: Those of each class or with each label; empty for ratings.
        train_means: Mean of each rating over the training part; empty for other targets.
        train_stds: Standard deviation of each rating.
        frame_dim: D, width of the acoustic frames of one layer; 0 without speech.
        second_dim: Of ``frame_dim``, the last values, which are of a second upstream; 0 without.
        num_layers: K, layers of an encoder that are kept apart, which the model mixes. A batch of
            cached frames has them side by side, ``(B, F, K * D)``.
        one_frame: Whether an utterance is one acoustic frame.
        frame_fingerprint: Of the upstream that computed them, its weights included; empty where
            they came ready-made.
        vector_dims: Widths of the utterance vectors by name, in the order of their heads.
        tokenizer: The tokenizer as JSON; empty without text.
        text_model: Configuration of the text encoder; empty without text.
        speech_model: What builds a speech upstream that is trained (``upstreams/record.py``).
    """

    names: tuple[str, ...]
    num_train: int
    train_counts: tuple[int, ...] = ()
    kind: Kind = "classes"
    family: Family = "classes"
    train_means: tuple[float, ...] = ()
    train_stds: tuple[float, ...] = ()
    frame_dim: int = 0
    second_dim: int = 0
    num_layers: int = 1
    one_frame: bool = False
    frame_fingerprint: str = ""
    vector_dims: Mapping[str, int] = field(default_factory=dict)
    tokenizer: str = ""
    text_model: Mapping[str, Any] | None = None
    speech_model: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class FrameStatistics:
    """Mean and standard deviation of what a model standardises, ``(D,)`` each."""

    mean: Tensor
    std: Tensor

    @classmethod
    def unknown(cls, size: int) -> FrameStatistics:
        """Placeholders for a model whose statistics come with its state dict."""
        return cls(torch.zeros(size), torch.ones(size))
