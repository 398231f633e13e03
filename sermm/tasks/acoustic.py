"""Speech alone: a linear model on utterance statistics, and an encoder with pooling."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from data_modules.batch import Batch
from sermm.linear_solver import solve_linear
from sermm.nn.encoders import SpeechEncoder
from sermm.nn.masking import length_mask
from sermm.nn.pooling import MeanPooling, MeanStdPooling
from sermm.nn.standardize import Standardize
from sermm.optim import OptimizerOptions
from sermm.tasks.base import EmotionTask, Objective


class LinearTask(EmotionTask):
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
        # L-BFGS evaluates a batch many times; the loss that is told is that of what it found
        self.automatic_optimization = optimizer.solver != "lbfgs"

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

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One training batch, or, with L-BFGS, all of training."""
        if not self.automatic_optimization:
            output, wide = deepcopy(self.output).double(), _widened(batch)
            solve_linear(
                self.linear,
                self._statistics(batch),
                lambda scores: output(scores, wide),
                weight_decay=self.optimizer_options.weight_decay,
            )
        return super().training_step(batch, batch_idx)

    def configure_optimizers(self) -> Any:
        """AdamW or Adam with their schedule; what is solved for needs none, but Lightning one."""
        if self.automatic_optimization:
            return super().configure_optimizers()
        return torch.optim.SGD(self.linear.parameters(), lr=1.0)


def _widened(batch: Batch) -> Batch:
    """A batch with targets as float64, where they are floats."""
    soft = None if batch.soft_targets is None else batch.soft_targets.double()
    is_float = batch.targets.is_floating_point()
    return replace(
        batch, targets=batch.targets.double() if is_float else batch.targets, soft_targets=soft
    )


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

    def pretrained(self) -> dict[str, nn.Module]:
        """The speech upstream, where it is trained."""
        return self.encoder.pretrained()

    def forward(self, batch: Batch) -> Tensor:
        """Class scores ``(B, C)``."""
        states, lengths = self.encoder(batch)  # (B, F', E)
        pooled = self.pooling(states, length_mask(lengths, states.shape[1]))
        scores: Tensor = self.head(pooled)
        return scores
