"""The base of every task: loss, scores, predictions and optimiser in one place."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

from data_modules.batch import Batch
from data_modules.errors import RunFailedError, first_ids
from sermm.optim import OptimizerOptions, build_optimizer
from sermm.scoring import find_scoring
from sermm.tasks.outputs import Objective, build_output
from sermm.tasks.score_sums import ScoreSums

__all__ = ["EmotionTask", "Objective", "Predictions", "Stage", "not_finite"]

Stage = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Predictions:
    """What was predicted for a part, one row an utterance, in the order of the loader.

    Attributes:
        utterance_ids: N manifest ids.
        references: ``(N,)`` int64 class indices or ``(N, C)`` float32.
        outcomes: The same of what was predicted.
        probabilities: ``(N, C)`` float32; None for ratings.
        scores: ``(N, C)`` float32, as :meth:`EmotionTask.forward` gives them.
    """

    utterance_ids: list[str]
    references: Tensor
    outcomes: Tensor
    probabilities: Tensor | None
    scores: Tensor


class EmotionTask(L.LightningModule):
    """A model of utterances. Subclasses state their parts and ``forward(batch) -> scores``.

    Args:
        objective: Targets and loss.
        optimizer: Learning rates and schedule.

    Attributes:
        run_seed: From which each epoch derives its own; whoever trains sets it.
        num_updates: Of the whole run; whoever trains sets it. None leaves it to Lightning.
        train_sums: ``(2,)`` since the last validation, of this rank: sum of loss times weight, and
            of the weights; None where nothing was trained.
        absent: Modalities, of those in :attr:`modalities`, that the model has to do without now.
    """

    def __init__(self, *, objective: Objective, optimizer: OptimizerOptions) -> None:
        super().__init__()
        self.run_seed = 0
        self.num_updates: int | None = None
        self.absent: frozenset[str] = frozenset()
        self.objective = objective
        self.optimizer_options = optimizer
        self.output = build_output(objective)
        self.scoring = find_scoring(objective.kind, objective.names, objective.family)
        # summed over ranks by torchmetrics: UA of the sum, never a mean of UAs
        self.val_scores = ScoreSums(self.scoring)
        self.val_loss = MeanMetric()
        self.train_sums: Tensor | None = None
        self._update_weight: Tensor | None = None
        self._seen: set[str] = set()
        self._predicted: list[Predictions] = []

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those that the model can do without, one at a time; empty if it needs all it reads."""
        return ()

    def forward(self, batch: Batch) -> Tensor:
        """Scores ``(B, C)``."""
        raise NotImplementedError(f"{type(self).__name__} must define forward")

    def configure_model(self) -> None:
        """Divide the weights over ranks, where the strategy asks for it."""
        mesh = self.device_mesh
        if mesh is not None:
            from sermm.sharding import shard

            shard(self, mesh["data_parallel"])

    def pretrained(self) -> dict[str, nn.Module]:
        """Encoders that may have a learning rate of their own: ``speech`` and ``text``."""
        return {}

    def shared_step(self, batch: Batch, stage: Stage) -> Tensor:
        """Score a batch and keep what the stage needs; returns the loss.

        Raises:
            RunFailedError: The loss is not finite.
        """
        scores = self(batch)
        loss: Tensor = self.output(scores, batch)
        if not torch.isfinite(loss):
            raise not_finite(stage, loss, scores, batch)
        if stage == "train":
            self.count_training_loss(loss, self.output.loss_weight(batch))
            return loss
        if self.repeats(batch):
            return loss
        outcomes, probabilities = self.output.predict(scores)
        if stage == "val":
            self.val_loss.update(loss, weight=self.output.loss_weight(batch))
            self.val_scores.update(batch.targets, outcomes)
        else:
            self._predicted.append(
                Predictions(
                    utterance_ids=batch.utterance_ids,
                    references=batch.targets.cpu(),
                    outcomes=outcomes.cpu(),
                    probabilities=None if probabilities is None else probabilities.cpu(),
                    scores=scores.float().cpu(),
                )
            )
        return loss

    def count_training_loss(self, loss: Tensor, weight: Tensor | int) -> None:
        """Add the mean loss of a training batch, with its weight, to what is logged."""
        value = loss.detach().float()  # where weights have 16 bits, sums need more
        own = torch.as_tensor(weight).to(value)
        added = torch.stack([value * own, own])
        self.train_sums = added if self.train_sums is None else self.train_sums + added

    def repeats(self, batch: Batch) -> bool:
        """Whether a batch came before: a rank with fewer repeats one to keep in step."""
        if self._seen.issuperset(batch.utterance_ids):
            return True
        self._seen.update(batch.utterance_ids)
        return False

    def loss_weight(self, batch: Batch) -> Tensor | int:
        """What the mean loss of a training batch is divided by."""
        return self.output.loss_weight(batch)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One training batch, which weighs what its utterances weigh in an update of several."""
        loss = self.shared_step(batch, "train")
        if self._batches_an_update == 1:
            return loss
        weight = torch.as_tensor(self.loss_weight(batch)).to(loss.device, torch.float32)
        self._update_weight = (
            weight if self._update_weight is None else self._update_weight + weight
        )
        return loss * weight.to(loss)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Divide summed gradients by the weight of all utterances of the update.

        The trainer divides by the number of batches that an update should have, and the strategy
        by the number of ranks: a mean of means, which is wrong where batches weigh differently.
        """
        if self._update_weight is None:
            return
        weight = self.trainer.strategy.reduce(self._update_weight, reduce_op="sum")
        self._update_weight = None
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_((self._batches_an_update / weight).to(parameter.grad.dtype))

    @property
    def _batches_an_update(self) -> int:
        """On all ranks together."""
        return self.trainer.accumulate_grad_batches * self.trainer.world_size

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """One validation batch."""
        self.shared_step(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """One test batch."""
        self.shared_step(batch, "test")

    def on_train_epoch_start(self) -> None:
        """Seed by (seed, epoch), so that a resumed run draws what the undisturbed one draws.

        Ranks draw different numbers: the same dropout on all would halve its randomness.
        """
        seed = self.run_seed * 100_003 + self.current_epoch
        torch.manual_seed(seed + self.global_rank * 1_000_003_000_017)

    def on_validation_epoch_start(self) -> None:
        """Forget an earlier epoch, which may have ended half-way."""
        self.val_scores.reset()
        self.val_loss.reset()
        self._seen.clear()

    def on_validation_epoch_end(self) -> None:
        """Log loss and scores of the whole validation part, however it is cut into batches."""
        if self.train_sums is not None:
            loss, count = self.trainer.strategy.reduce(self.train_sums, reduce_op="sum")
            self.log("train/loss", loss / count, sync_dist=False)
            self.train_sums = None
        self.log("val/loss", self.val_loss.compute(), prog_bar=True, sync_dist=False)
        for name, value in self.val_scores.compute().items():
            if name in self.scoring.overall:
                bar = name == self.scoring.headline
                self.log(f"val/{name}", value, prog_bar=bar, sync_dist=False)

    def on_test_epoch_start(self) -> None:
        """Forget earlier predictions."""
        self._predicted.clear()
        self._seen.clear()

    def on_test_epoch_end(self) -> None:
        """Gather what all ranks predicted, in the order in which batches were dealt to them."""
        if self.trainer.world_size == 1:
            return
        gathered: list[list[Predictions]] = [[]] * self.trainer.world_size
        torch.distributed.all_gather_object(gathered, self._predicted)
        rounds = zip_longest(*gathered)
        self._predicted = [part for parts in rounds for part in parts if part is not None]

    def predictions(self) -> Predictions:
        """What the last test loop predicted, on all ranks together."""
        parts = self._predicted
        shares = [part.probabilities for part in parts if part.probabilities is not None]
        return Predictions(
            utterance_ids=[name for part in parts for name in part.utterance_ids],
            references=torch.cat([part.references for part in parts]),
            outcomes=torch.cat([part.outcomes for part in parts]),
            probabilities=torch.cat(shares) if shares else None,
            scores=torch.cat([part.scores for part in parts]),
        )

    def configure_optimizers(self) -> Any:
        """AdamW or Adam with a schedule over all updates of the run."""
        num_steps = self.num_updates or int(self.trainer.estimated_stepping_batches)
        optimizer, schedule = build_optimizer(
            self, self.pretrained(), self.optimizer_options, num_steps
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def not_finite(stage: Stage, loss: Tensor, scores: Tensor, batch: Batch) -> RunFailedError:
    """The error that names the utterances at fault: all of a batch, where no single one is."""
    finite = torch.isfinite(scores).all(dim=-1).tolist()
    names = [name for name, fine in zip(batch.utterance_ids, finite, strict=True) if not fine]
    return RunFailedError(
        f"{stage} loss",
        expected="a finite number",
        got=f"{loss.item()} for {first_ids(names or batch.utterance_ids)}",
        fix="lower optim.lr, or look into these utterances",
    )
