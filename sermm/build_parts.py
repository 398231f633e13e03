"""What every task is built from, and the parts that several tasks share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from sermm.build_facts import DataFacts, FrameStatistics
from sermm.config import Config, fuses_late
from sermm.nn.ecapa import EcapaPooling, EcapaSizes
from sermm.nn.encoders import ClassificationHead
from sermm.nn.pooling import POOLINGS, Pooling, SplitPooling
from sermm.upstreams.encoded import EncoderUpstream


@dataclass(frozen=True)
class Parts:
    """What a task is built from.

    Attributes:
        config: Sizes and choices.
        facts: What the data module found out.
        statistics: Of the training part's frames; None before loading a state dict.
        vector_statistics: Of its utterance vectors by name; empty before loading a state dict.
        text_model: A text model with its weights; None before loading a state dict.
        speech_model: A speech upstream to train, with its weights; None before loading a state
            dict, and where frames come from the cache.
    """

    config: Config
    facts: DataFacts
    statistics: FrameStatistics | None = None
    vector_statistics: Mapping[str, FrameStatistics] = field(default_factory=dict)
    text_model: nn.Module | None = None
    speech_model: EncoderUpstream | None = None

    def known_statistics(self, size: int) -> FrameStatistics:
        """Those of the training part, or placeholders for ``size`` values."""
        return self.statistics or FrameStatistics.unknown(size)

    def pooling(self, input_size: int) -> Pooling:
        """Over time, as ``model.pooling`` says."""
        model = self.config.model
        if model.pooling == "ecapa":
            return EcapaPooling(input_size=input_size, sizes=EcapaSizes(**vars(model.ecapa)))
        return POOLINGS[model.pooling](input_size=input_size)

    def speech_pooling(self, input_size: int) -> Pooling | SplitPooling:
        """Over frames: of two upstreams that are fused late, each on its own."""
        if not fuses_late(self.config):
            return self.pooling(input_size)
        sizes = (input_size - self.facts.second_dim, self.facts.second_dim)
        return SplitPooling(sizes=sizes, poolings=[self.pooling(size) for size in sizes])

    def head(self, input_size: int) -> ClassificationHead:
        """From a vector to scores."""
        model = self.config.model
        return ClassificationHead(
            input_size=input_size,
            hidden_size=2 * model.recurrent_hidden
            if model.head_hidden is None
            else model.head_hidden,
            num_classes=len(self.facts.names),
            dropout=model.dropout,
            pairs=model.head == "one_vs_rest",
        )
