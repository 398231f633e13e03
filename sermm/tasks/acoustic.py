"""Speech alone: a linear model on utterance statistics, and an encoder with pooling."""

from __future__ import annotations

from torch import Tensor, nn

from data_modules.batch import Batch
from sermm.nn.encoders import SpeechEncoder, Standardize
from sermm.nn.masking import length_mask
from sermm.nn.pooling import MeanStdPooling
from sermm.optim import OptimizerOptions
from sermm.tasks.base import EmotionTask, Objective


class LinearTask(EmotionTask):
    """Logistic regression on mean and standard deviation over time: the honest baseline.

    Args:
        pooled: Standardisation of the ``2 D`` pooled values by the training part.
        objective: Classes and loss.
        optimizer: Learning rates and schedule.
    """

    def __init__(
        self, *, pooled: Standardize, objective: Objective, optimizer: OptimizerOptions
    ) -> None:
        super().__init__(objective=objective, optimizer=optimizer)
        self.pooled = pooled
        size = len(pooled.mean)
        self.pooling = MeanStdPooling(input_size=size // 2)
        self.linear = nn.Linear(size, len(objective.names))
        nn.init.zeros_(self.linear.weight)

    def forward(self, batch: Batch) -> Tensor:
        """Class scores ``(B, C)``."""
        frames, lengths = batch.speech()
        values = self.pooling(frames, length_mask(lengths, frames.shape[1]))  # (B, 2 D)
        scores: Tensor = self.linear((values - self.pooled.mean) / self.pooled.std)
        return scores


class AcousticTask(EmotionTask):
    """A speech encoder, pooling over time and a head.

    Args:
        encoder: Frames to states.
        pooling: States to one vector.
        head: Vector to class scores.
        objective: Classes and loss.
        optimizer: Learning rates and schedule.
    """

    def __init__(
        self,
        *,
        encoder: SpeechEncoder,
        pooling: nn.Module,
        head: nn.Module,
        objective: Objective,
        optimizer: OptimizerOptions,
    ) -> None:
        super().__init__(objective=objective, optimizer=optimizer)
        self.encoder = encoder
        self.pooling = pooling
        self.head = head

    def forward(self, batch: Batch) -> Tensor:
        """Class scores ``(B, C)``."""
        states, lengths = self.encoder(*batch.speech())  # (B, F', E)
        pooled = self.pooling(states, length_mask(lengths, states.shape[1]))
        scores: Tensor = self.head(pooled)
        return scores
