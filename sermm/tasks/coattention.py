"""Speech and text joined by co-attention (Siriwardhana et al. 2020, arXiv 2008.06682)."""

from __future__ import annotations

from torch import Tensor, nn

from data_modules.batch import Batch
from sermm.nn.coattention import CoAttention
from sermm.nn.encoders import SpeechEncoder, TextEncoder
from sermm.nn.masking import length_mask
from sermm.nn.pooling import Pooling
from sermm.optim import OptimizerOptions
from sermm.tasks.base import EmotionTask, Objective


class CoAttentionTask(EmotionTask):
    """One vector of each modality reads the states of the other; a head reads both results.

    Args:
        speech: Frames to states.
        speech_pooling: States to the vector that asks for words.
        text: Word pieces to states.
        text_pooling: States to the vector that asks for frames.
        coattention: Both directions.
        head: Joined vector to class scores.
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
        coattention: CoAttention,
        head: nn.Module,
        objective: Objective,
        optimizer: OptimizerOptions,
    ) -> None:
        super().__init__(objective=objective, optimizer=optimizer)
        self.speech = speech
        self.speech_pooling = speech_pooling
        self.text = text
        self.text_pooling = text_pooling
        self.coattention = coattention
        self.head = head

    def pretrained(self) -> dict[str, nn.Module]:
        """Both encoders."""
        return {"text": self.text} | self.speech.pretrained()

    def forward(self, batch: Batch) -> Tensor:
        """Class scores ``(B, C)``."""
        frames, frame_lengths = self.speech(batch)
        input_ids, token_lengths, word_mask = batch.text()
        tokens = self.text(input_ids, token_lengths, word_mask)
        joined = self.coattention(
            self.text_pooling(tokens, length_mask(token_lengths, tokens.shape[1])),
            tokens,
            token_lengths,
            self.speech_pooling(frames, length_mask(frame_lengths, frames.shape[1])),
            frames,
            frame_lengths,
        )
        scores: Tensor = self.head(joined)
        return scores
