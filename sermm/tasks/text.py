"""Text alone: a BERT-family encoder, pooling over word pieces and a head."""

from __future__ import annotations

from torch import Tensor, nn

from data_modules.batch import Batch
from sermm.nn.encoders import TextEncoder
from sermm.nn.masking import length_mask
from sermm.optim import OptimizerOptions
from sermm.tasks.base import EmotionTask, Objective


class TextTask(EmotionTask):
    """A text encoder, pooling over all pieces (special tokens included) and a head.

    Args:
        encoder: Word pieces to states.
        pooling: States to one vector.
        head: Vector to class scores.
        objective: Classes and loss.
        optimizer: Learning rates and schedule.
    """

    def __init__(
        self,
        *,
        encoder: TextEncoder,
        pooling: nn.Module,
        head: nn.Module,
        objective: Objective,
        optimizer: OptimizerOptions,
    ) -> None:
        super().__init__(objective=objective, optimizer=optimizer)
        self.encoder = encoder
        self.pooling = pooling
        self.head = head

    def pretrained(self) -> dict[str, nn.Module]:
        """The text encoder."""
        return {"text": self.encoder}

    def forward(self, batch: Batch) -> Tensor:
        """Class scores ``(B, C)``."""
        input_ids, lengths, word_mask = batch.text()
        states = self.encoder(input_ids, lengths, word_mask)
        pooled = self.pooling(states, length_mask(lengths, states.shape[1]))
        scores: Tensor = self.head(pooled)
        return scores
