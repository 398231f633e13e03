"""Ready-made utterance vectors: one network for each modality, joined late or alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from data_modules.batch import Batch
from sermm.nn.missing import draw_present
from sermm.nn.standardize import Standardize
from sermm.optim import OptimizerOptions
from sermm.tasks.base import EmotionTask, Objective


class LateFusionTask(EmotionTask):
    """Each modality has a head of its own; scores are means over the modalities that are there.

    A missing modality therefore needs no stand-in. With dropout of modalities each head learns to
    speak alone as well.

    Args:
        vectors: Standardisation of each modality's vectors by the training part.
        heads: Vector to scores, for each modality.
        modality_dropout: Share of training utterances that lack a modality, drawn for each
            modality on its own; at least one stays.
        objective: Targets and loss.
        optimizer: Learning rates and schedule.
    """

    def __init__(
        self,
        *,
        vectors: Mapping[str, Standardize],
        heads: Mapping[str, nn.Module],
        modality_dropout: float,
        objective: Objective,
        optimizer: OptimizerOptions,
    ) -> None:
        super().__init__(objective=objective, optimizer=optimizer)
        self.vectors = nn.ModuleDict(vectors)
        self.heads = nn.ModuleDict(heads)
        self.modality_dropout = modality_dropout

    @property
    def modalities(self) -> tuple[str, ...]:
        """All of them, where there are several."""
        names = tuple(self.heads)
        return names if len(names) > 1 else ()

    def forward(self, batch: Batch) -> Tensor:
        """Scores ``(B, C)``."""
        if batch.vectors is None:
            raise ValueError("the model reads utterance vectors and the batch has none")
        names = [name for name in self.heads if name not in self.absent]
        scores = torch.stack([self._scores(name, batch.vectors[name]) for name in names])
        present = self._present(len(names), len(batch), scores.device)  # (M, B)
        shares = present / present.sum(dim=0)
        return torch.einsum("mbc,mb->bc", scores, shares)

    def _scores(self, name: str, vectors: Tensor) -> Tensor:
        standardize = self.vectors[name]
        assert isinstance(standardize, Standardize)
        scores: Tensor = self.heads[name]((vectors - standardize.mean) / standardize.std)
        return scores

    def _present(self, num_modalities: int, num_utterances: int, device: torch.device) -> Tensor:
        """Which modalities of which utterances are there ``(M, B)``; at least one of each."""
        if not self.training or not self.modality_dropout or num_modalities < 2:
            return torch.ones(num_modalities, num_utterances, device=device)
        kept = draw_present(num_modalities, num_utterances, self.modality_dropout, device)
        return kept.float()
