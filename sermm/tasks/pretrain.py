"""Masked pre-training on acoustic frames: hidden time steps are reconstructed from the others.

After Nimitsurachat and Washington, "Self-Supervised Learning for Audio-Based Emotion Recognition"
(arXiv 2307.12343): random time stamps of an encoded acoustic sequence are hidden and reconstructed,
and the network is fine-tuned with few labels. Sizes, shares, spans and loss are not in its
abstract: ours, as options. No label is read.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from data_modules.batch import Batch
from sermm.nn.encoders import SpeechEncoder
from sermm.nn.masked_steps import MaskOptions, draw_masks, fill_controls
from sermm.nn.masking import length_mask
from sermm.nn.stacking import FrameStacking
from sermm.optim import OptimizerOptions
from sermm.reconstruction_metrics import CONTROLS
from sermm.tasks.base import EmotionTask, Objective, Predictions, Stage, not_finite


class PretrainTask(EmotionTask):
    """A speech encoder that learns to fill in hidden steps.

    Args:
        encoder: Its ``convolutions`` are a :class:`FrameStacking`, whose steps are hidden.
        masks: Which steps are hidden.
        learned_mask: Whether hidden steps become a vector that is learned; else zero, the mean.
        objective: Of the kind ``reconstruction``.
        optimizer: Learning rates and schedule.
    """

    def __init__(
        self,
        *,
        encoder: SpeechEncoder,
        masks: MaskOptions,
        learned_mask: bool,
        objective: Objective,
        optimizer: OptimizerOptions,
    ) -> None:
        super().__init__(objective=objective, optimizer=optimizer)
        assert isinstance(encoder.convolutions, FrameStacking)
        self.encoder = encoder
        self.stacking = encoder.convolutions
        self.masks = masks
        self.mask_vector = (
            nn.Parameter(torch.zeros(self.stacking.output_size)) if learned_mask else None
        )
        self.reconstruct = nn.Linear(encoder.output_size, self.stacking.output_size)

    def forward(self, batch: Batch) -> Tensor:
        """Reconstructed frames ``(B, F, D)``, standardised, with the masks of evaluation."""
        standard, lengths = self.encoder.source(batch)
        return self._fill(standard, lengths, self._hidden(batch, "test")[0])

    def _hidden(self, batch: Batch, stage: Stage) -> tuple[Tensor, Tensor]:
        """Hidden steps ``(B, S)`` and the frames ``(B, F)`` that they are, both bool.

        In training another mask each epoch, in evaluation always the same.
        """
        frames, lengths = batch.speech()
        rate, size = self.stacking.rate, frames.shape[1]
        key = f"{self.run_seed} {self.current_epoch}" if stage == "train" else "evaluation"
        keys = [f"{key} {name}" for name in batch.utterance_ids]
        steps = draw_masks(keys, (lengths + rate - 1) // rate, -(-size // rate), self.masks)
        hidden = steps.repeat_interleave(rate, dim=1)[:, :size]
        # the last step of a clip may be part of one
        return steps, hidden & length_mask(lengths, size)

    def loss_weight(self, batch: Batch) -> Tensor | int:
        """Hidden frames."""
        return self._hidden(batch, "train")[1].sum()

    def _fill(self, standard: Tensor, lengths: Tensor, hidden_steps: Tensor) -> Tensor:
        steps, num_steps = self.stacking(standard, lengths)  # (B, S, k D)
        hidden = hidden_steps.unsqueeze(-1)
        if self.mask_vector is None:
            steps = steps.masked_fill(hidden, 0.0)
        else:
            steps = torch.where(hidden, self.mask_vector, steps)
        states = self.encoder.contextualise(steps, num_steps)
        return self.stacking.unstack(self.reconstruct(states), standard.shape[1])

    def shared_step(self, batch: Batch, stage: Stage) -> Tensor:
        """Fill hidden steps and keep what the stage needs; returns the loss.

        The loss is the mean over all hidden values of the batch. Padding is never hidden.

        Raises:
            RunFailedError: The loss is not finite.
        """
        standard, lengths = self.encoder.source(batch)
        hidden_steps, hidden = self._hidden(batch, stage)
        said = self._fill(standard, lengths, hidden_steps)
        aimed = replace(batch, targets=standard[hidden])
        loss: Tensor = self.output(said[hidden], aimed)
        if not torch.isfinite(loss):
            raise not_finite(stage, loss, said.flatten(1), batch)
        if stage == "train":
            self.count_training_loss(loss, aimed.targets.numel())
            return loss
        if self.repeats(batch):
            return loss
        guesses = fill_controls(standard, lengths, hidden)
        outcomes = _errors(said, standard, hidden)
        counts = hidden.sum(dim=1, keepdim=True).double() * standard.shape[2]
        of_controls = [_errors(guesses[name], standard, hidden) for name in CONTROLS]
        references = torch.cat([counts, *of_controls], dim=1)  # (B, 7)
        if stage == "val":
            self.val_loss.update(loss, weight=self.output.loss_weight(aimed))
            self.val_scores.update(references, outcomes)
        else:
            self._predicted.append(
                Predictions(
                    batch.utterance_ids, references.cpu(), outcomes.cpu(), None, outcomes.cpu()
                )
            )
        return loss


def _errors(said: Tensor, true: Tensor, hidden: Tensor) -> Tensor:
    """Mean absolute and squared error of the hidden values of each clip, ``(B, 2)`` float64."""
    gap = (said.double() - true.double()).masked_fill(~hidden.unsqueeze(-1), 0.0)
    counts = hidden.sum(dim=1).double() * true.shape[2]
    return torch.stack([gap.abs().sum(dim=(1, 2)), (gap**2).sum(dim=(1, 2))], 1) / counts.unsqueeze(
        1
    )
