"""Speech and text together: three ways for frames to reach words, one recurrent layer over both.

With dropout of modalities the same model hears alone, reads alone, or does both; what stands in
for the one that is missing is in ``nn/missing.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data_modules.batch import Batch
from sermm.nn.encoders import SpeechEncoder, TextEncoder
from sermm.nn.fusion import FrameAttention, SpanPooling
from sermm.nn.masking import length_mask
from sermm.nn.missing import MissingVector, MissingWords, draw_present
from sermm.nn.pooling import Pooling
from sermm.nn.recurrent import BiGRU
from sermm.optim import OptimizerOptions
from sermm.tasks.base import EmotionTask, Objective

SPEECH, TEXT = "speech", "text"


class FusionTask(EmotionTask):
    """What every fusion of speech and text shares: doing without one of them.

    Args:
        modality_dropout: Share of training utterances that lack speech, and share that lack text;
            at least one stays. 0: the model has no stand-ins and needs both.
        objective: Classes and loss.
        optimizer: Learning rates and schedule.
    """

    def __init__(
        self, *, modality_dropout: float, objective: Objective, optimizer: OptimizerOptions
    ) -> None:
        super().__init__(objective=objective, optimizer=optimizer)
        self.modality_dropout = modality_dropout

    @property
    def modalities(self) -> tuple[str, ...]:
        """Both, where the model was trained to do without either."""
        return (SPEECH, TEXT) if self.modality_dropout else ()

    def lacks(self, modality: str) -> bool:
        """Whether the model has to do without a modality now.

        Raises:
            ValueError: It was not trained to.
        """
        if modality not in self.absent:
            return False
        if not self.modality_dropout:
            raise ValueError(f"the model was not trained to do without {modality}")
        return True

    def draw_present(self, num_utterances: int) -> tuple[Tensor, Tensor] | None:
        """Which utterances of a training batch have speech and which text, ``(B,)`` bool each.

        None where all have both: without dropout of modalities, and in evaluation.
        """
        if not (self.training and self.modality_dropout) or self.absent:
            return None
        speech, text = draw_present(2, num_utterances, self.modality_dropout, self.device)
        return speech, text


@dataclass(frozen=True)
class _Pieces:
    """Word pieces, or what stands in for them.

    Attributes:
        states: ``(B, L, D)``.
        lengths: ``(B,)`` int64.
        word_mask: ``(B, L)`` bool.
        spans: ``(B, L, 2)`` frames before the convolutions; None where times do not matter.
    """

    states: Tensor
    lengths: Tensor
    word_mask: Tensor
    spans: Tensor | None


class AlignedFusionTask(FusionTask):
    """An attention-RNN after Boigne et al. (2020), and the same with word times for attention.

    The reference gives no sizes (``nn/fusion.py``); here the text encoder has no recurrent layer of
    its own, and with word times the speech has none. Speech states are brought to each word piece,
    joined to its text state, and a bidirectional GRU reads the joined sequence; pooling and a head
    follow.

    Where there are no words, learned states stand for the whole clip and for eight equal parts of
    it; where there is no speech, one learned vector stands at each piece.

    Args:
        speech: Frames to states.
        text: Word pieces to states.
        aligner: Speech states to one vector a piece: by time span, or by attention.
        recurrent: Over the joined sequence.
        pooling: Over the pieces (special tokens included).
        head: Vector to class scores.
        dropout: On the joined sequence.
        modality_dropout: As for :class:`FusionTask`.
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
        modality_dropout: float = 0.0,
        objective: Objective,
        optimizer: OptimizerOptions,
    ) -> None:
        super().__init__(
            modality_dropout=modality_dropout, objective=objective, optimizer=optimizer
        )
        self.speech = speech
        self.text = text
        self.aligner = aligner
        self.recurrent = recurrent
        self.pooling = pooling
        self.head = head
        self.dropout = nn.Dropout(dropout)
        if modality_dropout:
            self.no_words = MissingWords(size=text.output_size)
            self.no_speech = MissingVector(size=aligner.output_size)

    def pretrained(self) -> dict[str, nn.Module]:
        """Both encoders."""
        return {"text": self.text} | self.speech.pretrained()

    def forward(self, batch: Batch) -> Tensor:
        """Class scores ``(B, C)``."""
        present = self.draw_present(len(batch))
        heard: tuple[Tensor, Tensor] | None = None
        if not self.lacks(SPEECH):
            heard = self.speech(batch)  # (B, F', E), (B,)
        pieces = self._pieces(batch, None if present is None else present[1])
        if heard is None:
            spoken = self.no_speech.vector.expand(*pieces.states.shape[:2], -1)
        else:
            spoken = self._spoken(heard[0], heard[1], pieces)
            if present is not None:
                spoken = self.no_speech(spoken, present[0])
        joined = self.dropout(torch.cat([pieces.states, spoken], dim=-1))  # (B, L, D + A)
        states = self.recurrent(joined, pieces.lengths)
        pooled = self.pooling(states, length_mask(pieces.lengths, states.shape[1]))
        scores: Tensor = self.head(pooled)
        return scores

    def _pieces(self, batch: Batch, present: Tensor | None) -> _Pieces:
        """Pieces of the words; stand-ins where text is absent, or not ``present`` ``(B,)``."""
        with_times = isinstance(self.aligner, SpanPooling)
        if self.lacks(TEXT):
            return _Pieces(*self.no_words.sequence(self.speech.source.lengths(batch)))
        input_ids, lengths, word_mask = batch.text()
        # without speech there is nothing that times would point at
        spans = batch.spans() if with_times and not self.lacks(SPEECH) else None
        read = _Pieces(self.text(input_ids, lengths, word_mask), lengths, word_mask, spans)
        if present is None:
            return read
        return _either(
            read, _Pieces(*self.no_words.sequence(self.speech.source.lengths(batch))), present
        )

    def _spoken(self, frames: Tensor, frame_lengths: Tensor, pieces: _Pieces) -> Tensor:
        """What is heard at each piece: ``(B, F', E)`` to ``(B, L, A)``."""
        if isinstance(self.aligner, SpanPooling):
            assert pieces.spans is not None, "read with times"
            spans = self.speech.convolutions.scale_spans(pieces.spans)
            spoken: Tensor = self.aligner(frames, spans, pieces.word_mask)
        else:
            spoken = self.aligner(pieces.states, frames, frame_lengths)
        return spoken

    def frame_weights(self, batch: Batch) -> Tensor | None:
        """What each frame counts for each piece ``(B, L, F')``; None where times decide."""
        if isinstance(self.aligner, SpanPooling):
            return None
        frames, frame_lengths = self.speech(batch)
        tokens = self.text(*batch.text())
        return self.aligner.weights(tokens, frames, frame_lengths)


def _either(read: _Pieces, stand_in: _Pieces, present: Tensor) -> _Pieces:
    """Rows of ``read`` where ``present`` ``(B,)`` is True, of ``stand_in`` elsewhere."""
    size = max(read.states.shape[1], stand_in.states.shape[1])

    def choose(one: Tensor, other: Tensor) -> Tensor:
        # a pair a dimension, the last first: L is the second
        rest = (0, 0) * (one.dim() - 2)
        one = F.pad(one, (*rest, 0, size - one.shape[1]))
        other = F.pad(other, (*rest, 0, size - other.shape[1]))
        return torch.where(present.view(-1, *([1] * (one.dim() - 1))), one, other)

    spans = None
    if read.spans is not None and stand_in.spans is not None:
        spans = choose(read.spans, stand_in.spans)
    return _Pieces(
        states=choose(read.states, stand_in.states),
        lengths=torch.where(present, read.lengths, stand_in.lengths),
        word_mask=choose(read.word_mask, stand_in.word_mask),
        spans=spans,
    )


class PooledFusionTask(FusionTask):
    """Each modality pooled on its own, then joined: fusion without alignment.

    A learned vector stands for a modality that is missing.

    Args:
        speech: Frames to states.
        speech_pooling: States to one vector.
        text: Word pieces to states.
        text_pooling: States to one vector.
        head: Joined vector to class scores.
        modality_dropout: As for :class:`FusionTask`.
        objective: Classes and loss.
        optimizer: Learning rates and schedule.
    """

    def __init__(
        self,
        *,
        speech: SpeechEncoder,
        speech_pooling: Pooling,
        text: TextEncoder,
        text_pooling: Pooling,
        head: nn.Module,
        modality_dropout: float = 0.0,
        objective: Objective,
        optimizer: OptimizerOptions,
    ) -> None:
        super().__init__(
            modality_dropout=modality_dropout, objective=objective, optimizer=optimizer
        )
        self.speech = speech
        self.speech_pooling = speech_pooling
        self.text = text
        self.text_pooling = text_pooling
        self.head = head
        if modality_dropout:
            self.no_text = MissingVector(size=text_pooling.output_size)
            self.no_speech = MissingVector(size=speech_pooling.output_size)

    def pretrained(self) -> dict[str, nn.Module]:
        """Both encoders."""
        return {"text": self.text} | self.speech.pretrained()

    def forward(self, batch: Batch) -> Tensor:
        """Class scores ``(B, C)``."""
        present = self.draw_present(len(batch))
        if self.lacks(SPEECH):
            spoken = self.no_speech.vector.expand(len(batch), -1)
        else:
            frames, lengths = self.speech(batch)
            spoken = self.speech_pooling(frames, length_mask(lengths, frames.shape[1]))
        if self.lacks(TEXT):
            read = self.no_text.vector.expand(len(batch), -1)
        else:
            input_ids, token_lengths, word_mask = batch.text()
            tokens = self.text(input_ids, token_lengths, word_mask)
            read = self.text_pooling(tokens, length_mask(token_lengths, tokens.shape[1]))
        if present is not None:
            spoken, read = self.no_speech(spoken, present[0]), self.no_text(read, present[1])
        scores: Tensor = self.head(torch.cat([read, spoken], dim=-1))
        return scores
