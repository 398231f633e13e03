"""What a task's scores mean: their loss, and what they predict, for each kind of target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data_modules.batch import Batch
from data_modules.labels import Family, Kind


@dataclass(frozen=True)
class Objective:
    """What is learned.

    Attributes:
        names: Of classes, ratings or labels, in the order of the target.
        kind: One of several classes, ratings, or several labels.
        family: Which scores belong to it.
        weights: Classes: loss weight of each. Several labels: weight of presence against absence.
            None for equal ones.
        label_smoothing: Classes: share of the target that is spread over all of them.
        means: Ratings: mean of each over the training part.
        stds: Ratings: standard deviation of each.
        rating_loss: Ratings: ``l1`` or ``mse``, on standardised ratings.
        threshold: Several labels: probability from which a label is predicted.
        reconstruction_loss: Reconstruction: ``l1``, ``mse`` or ``huber`` (from 1 on linear).
    """

    names: tuple[str, ...]
    kind: Kind = "classes"
    family: Family = "classes"
    weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0
    means: tuple[float, ...] = ()
    stds: tuple[float, ...] = ()
    rating_loss: Literal["l1", "mse"] = "l1"
    threshold: float = 0.5
    reconstruction_loss: Literal["l1", "mse", "huber"] = "l1"


class Output(nn.Module, ABC):
    """From scores ``(B, C)`` to loss and predictions, C being the number of names."""

    @abstractmethod
    def forward(self, scores: Tensor, batch: Batch) -> Tensor:
        """Mean loss of a batch, a scalar."""

    def loss_weight(self, batch: Batch) -> Tensor | int:
        """What the mean of a batch is divided by, so that means of batches add up to the whole."""
        return len(batch)

    @abstractmethod
    def predict(self, scores: Tensor) -> tuple[Tensor, Tensor | None]:
        """Predictions as the target has them, and probabilities ``(B, C)`` where there are any."""


class ClassOutput(Output):
    """Cross entropy over classes; the likeliest one is predicted."""

    weight: Tensor | None

    def __init__(self, *, weights: Sequence[float] | None, label_smoothing: float) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.register_buffer("weight", None if weights is None else torch.tensor(list(weights)))

    def forward(self, scores: Tensor, batch: Batch) -> Tensor:
        """Cross entropy with the class, or with the shares of the raters' votes."""
        targets = batch.targets if batch.soft_targets is None else batch.soft_targets
        return F.cross_entropy(
            scores, targets, weight=self.weight, label_smoothing=self.label_smoothing
        )

    def loss_weight(self, batch: Batch) -> Tensor | int:
        """With classes torch divides by the sum of their weights, with shares by their number."""
        if self.weight is None or batch.soft_targets is not None:
            return len(batch)
        return self.weight[batch.targets].sum()

    def predict(self, scores: Tensor) -> tuple[Tensor, Tensor | None]:
        """Class indices ``(B,)`` and probabilities ``(B, C)``."""
        return scores.argmax(dim=-1), torch.softmax(scores.float(), dim=-1)


class RatingOutput(Output):
    """Ratings as means of the training part plus scores times its deviations."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, *, means: Sequence[float], stds: Sequence[float], loss: Literal["l1", "mse"]
    ) -> None:
        super().__init__()
        std = torch.tensor(list(stds))
        self.register_buffer("mean", torch.tensor(list(means)))
        self.register_buffer("std", torch.where(std > 1e-8, std, torch.ones_like(std)))
        self.loss = loss

    def forward(self, scores: Tensor, batch: Batch) -> Tensor:
        """Mean error of standardised ratings over utterances and ratings."""
        targets = (batch.targets - self.mean) / self.std
        return F.l1_loss(scores, targets) if self.loss == "l1" else F.mse_loss(scores, targets)

    def predict(self, scores: Tensor) -> tuple[Tensor, Tensor | None]:
        """Ratings ``(B, C)``."""
        return scores.float() * self.std + self.mean, None


class LabelOutput(Output):
    """Binary cross entropy for each of several labels."""

    weight: Tensor | None

    def __init__(self, *, weights: Sequence[float] | None, threshold: float) -> None:
        super().__init__()
        self.register_buffer("weight", None if weights is None else torch.tensor(list(weights)))
        self.threshold = threshold

    def forward(self, scores: Tensor, batch: Batch) -> Tensor:
        """Mean over utterances and labels."""
        return F.binary_cross_entropy_with_logits(scores, batch.targets, pos_weight=self.weight)

    def predict(self, scores: Tensor) -> tuple[Tensor, Tensor | None]:
        """1 for each label that is predicted ``(B, C)``, and probabilities ``(B, C)``."""
        probabilities = torch.sigmoid(scores.float())
        return (probabilities >= self.threshold).float(), probabilities


_LOSSES: dict[str, Callable[..., Tensor]] = {
    "l1": F.l1_loss,
    "mse": F.mse_loss,
    "huber": F.huber_loss,
}


class ReconstructionOutput(Output):
    """Hidden values against what was reconstructed; of a batch only these are the targets."""

    def __init__(self, *, loss: Literal["l1", "mse", "huber"]) -> None:
        super().__init__()
        self.loss = _LOSSES[loss]

    def forward(self, scores: Tensor, batch: Batch) -> Tensor:
        """Mean loss over hidden values, ``(M, D)`` of M hidden frames each."""
        return self.loss(scores, batch.targets)

    def loss_weight(self, batch: Batch) -> Tensor | int:
        """Hidden values."""
        return batch.targets.numel()

    def predict(self, scores: Tensor) -> tuple[Tensor, Tensor | None]:
        """What was reconstructed."""
        return scores, None


def build_output(objective: Objective) -> Output:
    """The output of an objective."""
    if objective.kind == "reconstruction":
        return ReconstructionOutput(loss=objective.reconstruction_loss)
    if objective.kind == "classes":
        return ClassOutput(weights=objective.weights, label_smoothing=objective.label_smoothing)
    if objective.kind == "regression":
        return RatingOutput(means=objective.means, stds=objective.stds, loss=objective.rating_loss)
    return LabelOutput(weights=objective.weights, threshold=objective.threshold)
