"""Scores of a part as a torchmetrics metric: sums over utterances, added up over ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from sermm.scoring import Scoring, shapes_of


class ScoreSums(Metric):
    """The scores of ``sermm/scoring.py`` over everything it was updated with.

    Scores are functions of sums over utterances, so neither batches nor ranks change them: a score
    is never a mean of scores.

    Args:
        scoring: Which scores.
    """

    full_state_update = False
    sums: Tensor

    def __init__(self, scoring: Scoring) -> None:
        super().__init__()
        self.scoring = scoring
        shapes = shapes_of(scoring.kind, len(scoring.names), 1)
        shape = scoring.contributions(*(np.zeros(s, dtype=int) for s in shapes)).shape[1:]
        zeros = torch.zeros(shape, dtype=torch.float64)
        self.add_state("sums", default=zeros, dist_reduce_fx="sum")

    def update(self, references: Tensor, outcomes: Tensor) -> None:
        """Count utterances, ``(B,)`` or ``(B, C)`` each."""
        added = self.scoring.contributions(references.cpu().numpy(), outcomes.cpu().numpy())
        self.sums += torch.from_numpy(added.sum(axis=0)).to(self.sums)

    def compute(self) -> dict[str, float]:
        """Scores by name."""
        return self.scoring.scores(self.sums.cpu().numpy())

    def set_dtype(self, dst_type: Any) -> ScoreSums:
        """Stay in float64, whatever the precision of the model."""
        return self
