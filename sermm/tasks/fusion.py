"""Speech and text together: three ways for frames to reach words, one recurrent layer over both."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data_modules.batch import Batch
from sermm.nn.encoders import SpeechEncoder, TextEncoder
from sermm.nn.fusion import FrameAttention, SpanPooling
from sermm.nn.masking import length_mask
from sermm.nn.recurrent import BiGRU
from sermm.optim import OptimizerOptions
from sermm.tasks.base import EmotionTask, Objective


class AlignedFusionTask(EmotionTask):
    """An attention-RNN after Boigne et al. (2020), and the same with word times for attention.

    The reference gives no sizes (``nn/fusion.py``); here the text encoder has no recurrent layer of
    its own, and with word times the speech has none. Speech states are brought to each word piece,
    joined to its text state, and a bidirectional GRU reads the joined sequence; pooling and a head
    follow.

    Args:
        speech: Frames to states.
        text: Word pieces to states.
        aligner: Speech states to one vector a piece: by time span, or by attention.
        recurrent: Over the joined sequence.
        pooling: Over the pieces (special tokens included).
        head: Vector to class scores.
        dropout: On the joined sequence.
        objective: Classes and loss.
        optimizer: Learning rates and schedule.
    """

    def __init__(
        self,
        *,
        speech: SpeechEncoder,
        text: TextEncoder,
        aligner: SpanPooling | FrameAttention,
        recurrent: BiGRU,
        pooling: nn.Module,
        head: nn.Module,
        dropout: float,
        objective: Objective,
        optimizer: OptimizerOptions,
    ) -> None:
        super().__init__(objective=objective, optimizer=optimizer)
        self.speech = speech
        self.text = text
        self.aligner = aligner
        self.recurrent = recurrent
        self.pooling = pooling
        self.head = head
        self.dropout = nn.Dropout(dropout)

    def pretrained(self) -> nn.Module | None:
        """The text encoder."""
        return self.text

    def forward(self, batch: Batch) -> Tensor:
        """Class scores ``(B, C)``."""
        frames, frame_lengths = self.speech(*batch.speech())  # (B, F', E)
        input_ids, token_lengths, word_mask = batch.text()
        tokens = self.text(input_ids, token_lengths, word_mask)  # (B, L, D)
        if isinstance(self.aligner, SpanPooling):
            spans = self.speech.convolutions.scale_spans(batch.spans())
            spoken = self.aligner(frames, spans, word_mask)
        else:
            spoken = self.aligner(tokens, frames, frame_lengths)
        joined = self.dropout(torch.cat([tokens, spoken], dim=-1))  # (B, L, D + A)
        states = self.recurrent(joined, token_lengths)
        pooled = self.pooling(states, length_mask(token_lengths, states.shape[1]))
        scores: Tensor = self.head(pooled)
        return scores

    def frame_weights(self, batch: Batch) -> Tensor | None:
        """What each frame counts for each piece ``(B, L, F')``; None where times decide."""
        if isinstance(self.aligner, SpanPooling):
            return None
        frames, frame_lengths = self.speech(*batch.speech())
        tokens = self.text(*batch.text())
        return self.aligner.weights(tokens, frames, frame_lengths)


class PooledFusionTask(EmotionTask):
    """Each modality pooled on its own, then joined: fusion without alignment.

    Args:
        speech: Frames to states.
        speech_pooling: States to one vector.
        text: Word pieces to states.
        text_pooling: States to one vector.
        head: Joined vector to class scores.
        objective: Classes and loss.
        optimizer: Learning rates and schedule.
    """

    def __init__(
        self,
        *,
        speech: SpeechEncoder,
        speech_pooling: nn.Module,
        text: TextEncoder,
        text_pooling: nn.Module,
        head: nn.Module,
        objective: Objective,
        optimizer: OptimizerOptions,
    ) -> None:
        super().__init__(objective=objective, optimizer=optimizer)
        self.speech = speech
        self.speech_pooling = speech_pooling
        self.text = text
        self.text_pooling = text_pooling
        self.head = head

    def pretrained(self) -> nn.Module | None:
        """The text encoder."""
        return self.text

    def forward(self, batch: Batch) -> Tensor:
        """Class scores ``(B, C)``."""
        frames, lengths = self.speech(*batch.speech())
        input_ids, token_lengths, word_mask = batch.text()
        tokens = self.text(input_ids, token_lengths, word_mask)
        spoken = self.speech_pooling(frames, length_mask(lengths, frames.shape[1]))
        read = self.text_pooling(tokens, length_mask(token_lengths, tokens.shape[1]))
        scores: Tensor = self.head(torch.cat([read, spoken], dim=-1))
        return scores
