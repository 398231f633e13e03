"""Tasks whose last layer can be solved for, since nothing before it is trained."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from data_modules.batch import Batch
from sermm.optim import OptimizerOptions
from sermm.tasks.base import EmotionTask, Objective

ScoreLoss = Callable[[Tensor], Tensor]
"""Scores ``(N, C)`` float64 of all training clips to a scalar."""


class SolvedTask(EmotionTask):
    """A task that L-BFGS can train: the whole training part is one batch, and one step solves it.

    Args:
        objective: Targets and loss.
        optimizer: With the solver ``lbfgs``, weight decay is all that is read of it.
    """

    def __init__(self, *, objective: Objective, optimizer: OptimizerOptions) -> None:
        super().__init__(objective=objective, optimizer=optimizer)
        # L-BFGS evaluates a batch many times; the loss that is told is that of what it found
        self.automatic_optimization = optimizer.solver != "lbfgs"

    def solve(self, batch: Batch, loss: ScoreLoss) -> None:
        """Give the last layer the weights at the minimum of the loss with its penalty."""
        raise NotImplementedError(f"{type(self).__name__} must define solve")

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One training batch, or, with L-BFGS, all of training."""
        if not self.automatic_optimization:
            output, wide = deepcopy(self.output).double(), _widened(batch)
            self.solve(batch, lambda scores: output(scores, wide))
        return super().training_step(batch, batch_idx)

    def configure_optimizers(self) -> Any:
        """AdamW or Adam with their schedule; what is solved for needs none, but Lightning one."""
        if self.automatic_optimization:
            return super().configure_optimizers()
        trained = [weight for weight in self.parameters() if weight.requires_grad]
        return torch.optim.SGD(trained, lr=1.0)


def _widened(batch: Batch) -> Batch:
    """A batch with targets as float64, where they are floats."""
    soft = None if batch.soft_targets is None else batch.soft_targets.double()
    is_float = batch.targets.is_floating_point()
    return replace(
        batch, targets=batch.targets.double() if is_float else batch.targets, soft_targets=soft
    )
