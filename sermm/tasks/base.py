"""The base of every task: loss, metrics, predictions and optimiser in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from data_modules.batch import Batch
from data_modules.errors import RunFailedError, first_ids
from sermm.metrics import ua, wa
from sermm.optim import OptimizerOptions, build_optimizer

Stage = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Objective:
    """What is learned.

    Attributes:
        class_names: In the order of the class index.
        class_weights: Loss weight of each class, or None for equal ones.
        label_smoothing: Share of the target that is spread over all classes.
    """

    class_names: tuple[str, ...]
    class_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class Predictions:
    """Class probabilities of a part, one row an utterance, in the order of the loader.

    Attributes:
        utterance_ids: N manifest ids.
        targets: ``(N,)`` int64.
        probabilities: ``(N, C)`` float32.
    """

    utterance_ids: list[str]
    targets: Tensor
    probabilities: Tensor


class EmotionTask(L.LightningModule):
    """A classifier of utterances. Subclasses state their parts and ``forward(batch) -> logits``.

    Args:
        objective: Classes and loss.
        optimizer: Learning rates and schedule.

    Attributes:
        run_seed: From which each epoch derives its own; whoever trains sets it.
    """

    def __init__(self, *, objective: Objective, optimizer: OptimizerOptions) -> None:
        super().__init__()
        self.run_seed = 0
        self.objective = objective
        self.optimizer_options = optimizer
        num_classes = len(objective.class_names)
        weights = objective.class_weights
        self.loss = nn.CrossEntropyLoss(
            weight=None if weights is None else torch.tensor(weights, dtype=torch.float32),
            label_smoothing=objective.label_smoothing,
        )
        # summed over ranks by torchmetrics: UA of the sum, never a mean of UAs
        self.val_confusion = MulticlassConfusionMatrix(num_classes, validate_args=False)
        self.val_loss = MeanMetric()
        self._predicted: list[tuple[list[str], Tensor, Tensor]] = []

    def forward(self, batch: Batch) -> Tensor:
        """Class scores ``(B, C)``."""
        raise NotImplementedError(f"{type(self).__name__} must define forward")

    def pretrained(self) -> nn.Module | None:
        """The part that came with pretrained weights and has a learning rate of its own."""
        return None

    def shared_step(self, batch: Batch, stage: Stage) -> Tensor:
        """Score a batch and keep what the stage needs; returns the loss.

        Raises:
            RunFailedError: The loss is not finite.
        """
        logits = self(batch)
        loss: Tensor = self.loss(logits, batch.targets)
        if not torch.isfinite(loss):
            raise _not_finite(stage, loss, logits, batch)
        if stage == "train":
            self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch))
        if stage == "val":
            self.val_loss.update(loss, weight=self._loss_weight(batch.targets))
            self.val_confusion.update(logits.argmax(dim=-1), batch.targets)
        if stage == "test":
            probabilities = torch.softmax(logits.float(), dim=-1)
            self._predicted.append((batch.utterance_ids, batch.targets.cpu(), probabilities.cpu()))
        return loss

    def _loss_weight(self, targets: Tensor) -> Tensor | int:
        """What the mean of a batch is divided by, so that means of batches add up to the whole."""
        weights = self.loss.weight
        return len(targets) if weights is None else weights[targets].sum()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One training batch."""
        return self.shared_step(batch, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """One validation batch."""
        self.shared_step(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """One test batch."""
        self.shared_step(batch, "test")

    def on_train_epoch_start(self) -> None:
        """Seed by (seed, epoch), so that a resumed run draws what the undisturbed one draws."""
        torch.manual_seed(self.run_seed * 100_003 + self.current_epoch)

    def on_validation_epoch_start(self) -> None:
        """Forget an earlier epoch, which may have ended half-way."""
        self.val_confusion.reset()
        self.val_loss.reset()

    def on_validation_epoch_end(self) -> None:
        """Log loss, UA and WA of the whole validation part, however it is cut into batches."""
        confusion = self.val_confusion.compute().cpu().numpy()
        self.log("val/loss", self.val_loss.compute(), prog_bar=True, sync_dist=False)
        self.log("val/ua", float(ua(confusion)), prog_bar=True, sync_dist=False)
        self.log("val/wa", float(wa(confusion)), sync_dist=False)

    def on_test_epoch_start(self) -> None:
        """Forget earlier predictions."""
        self._predicted.clear()

    def predictions(self) -> Predictions:
        """What the last test loop predicted."""
        return Predictions(
            utterance_ids=[name for ids, _, _ in self._predicted for name in ids],
            targets=torch.cat([targets for _, targets, _ in self._predicted]),
            probabilities=torch.cat([p for _, _, p in self._predicted]),
        )

    def configure_optimizers(self) -> Any:
        """AdamW with a schedule over all updates of the run."""
        num_steps = int(self.trainer.estimated_stepping_batches)
        optimizer, schedule = build_optimizer(
            self, self.pretrained(), self.optimizer_options, num_steps
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def _not_finite(stage: Stage, loss: Tensor, logits: Tensor, batch: Batch) -> RunFailedError:
    """The error that names the utterances at fault: all of a batch, where no single one is."""
    finite = torch.isfinite(logits).all(dim=-1).tolist()
    names = [name for name, fine in zip(batch.utterance_ids, finite, strict=True) if not fine]
    return RunFailedError(
        f"{stage} loss",
        expected="a finite number",
        got=f"{loss.item()} for {first_ids(names or batch.utterance_ids)}",
        fix="lower optim.lr, or look into these utterances",
    )
