"""Speech alone: a linear model on utterance statistics, and an encoder with pooling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data_modules.batch import Batch
from sermm.linear_solver import solve_linear
from sermm.nn.encoders import ClassificationHead, SpeechEncoder
from sermm.nn.masking import length_mask
from sermm.nn.pooling import MeanPooling, MeanStdPooling
from sermm.nn.standardize import Standardize
from sermm.optim import OptimizerOptions
from sermm.tasks.base import Objective
from sermm.tasks.solved import ScoreLoss, SolvedTask


class LinearTask(SolvedTask):
    """Logistic regression on mean and standard deviation over time: the honest baseline.

    Args:
        pooling: Frames to one vector; the mean alone where a clip is one frame.
        pooled: Standardisation of the pooled values by the training part.
        objective: Classes and loss.
        optimizer: Learning rates and schedule.
    """

    def __init__(
        self,
        *,
        pooling: MeanPooling | MeanStdPooling,
        pooled: Standardize,
        objective: Objective,
        optimizer: OptimizerOptions,
    ) -> None:
        super().__init__(objective=objective, optimizer=optimizer)
        self.pooling = pooling
        self.pooled = pooled
        self.linear = nn.Linear(pooling.output_size, len(objective.names))
        nn.init.zeros_(self.linear.weight)

    def forward(self, batch: Batch) -> Tensor:
        """Class scores ``(B, C)``."""
        scores: Tensor = self.linear(self._statistics(batch))
        return scores

    def _statistics(self, batch: Batch) -> Tensor:
        """Standardised statistics ``(B, D or 2 D)``, which no weight changes."""
        frames, lengths = batch.speech()
        values = self.pooling(frames, length_mask(lengths, frames.shape[1]))
        standard: Tensor = (values - self.pooled.mean) / self.pooled.std
        return standard

    def solve(self, batch: Batch, loss: ScoreLoss) -> None:
        """Of the statistics, which are standardised already."""
        decay = self.optimizer_options.weight_decay
        solve_linear(self.linear, self._statistics(batch), loss, weight_decay=decay)


class AcousticTask(SolvedTask):
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
        head: ClassificationHead,
        objective: Objective,
        optimizer: OptimizerOptions,
    ) -> None:
        super().__init__(objective=objective, optimizer=optimizer)
        self.encoder = encoder
        self.pooling = pooling
        self.head = head

    def pretrained(self) -> dict[str, nn.Module]:
        """The speech upstream, where it is trained."""
        return self.encoder.pretrained()

    def forward(self, batch: Batch) -> Tensor:
        """Class scores ``(B, C)``."""
        scores: Tensor = self.head(self._pooled(batch))
        return scores

    def _pooled(self, batch: Batch) -> Tensor:
        """One vector a clip ``(B, E)``."""
        states, lengths = self.encoder(batch)  # (B, F', E)
        pooled: Tensor = self.pooling(states, length_mask(lengths, states.shape[1]))
        return pooled

    def solve(self, batch: Batch, loss: ScoreLoss) -> None:
        """Of what a frozen encoder makes of the clips, each dimension standardised by them."""
        with torch.no_grad():
            pooled = self._pooled(batch)
        std, mean = torch.std_mean(pooled, dim=0, correction=0)
        std = torch.where(std > 1e-8, std, torch.ones_like(std))
        linear = self.head.last
        decay = self.optimizer_options.weight_decay
        solve_linear(linear, (pooled - mean) / std, loss, weight_decay=decay)
        with torch.no_grad():
            linear.weight.div_(std)
            linear.bias.sub_(linear.weight @ mean)
        self.head.eval()  # the loss that is told is one without dropout
