"""Weights divided over ranks (``trainer.strategy=fsdp``), by FSDP2 through Lightning.

What Lightning calls ``fsdp`` is FSDP1: it runs on GPUs alone, so that nobody without two of them
could test it, and refuses to clip gradients by norm
(github.com/Lightning-AI/pytorch-lightning/issues/19235). Checkpoints are whole files, the same as
without division.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch.strategies import ModelParallelStrategy, Strategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from transformers import PreTrainedModel

FSDP = "fsdp"


class ShardedStrategy(ModelParallelStrategy):
    """Every rank holds a part of each weight and gathers a layer while it computes with it.

    Args:
        num_ranks: Of the training.
    """

    def __init__(self, num_ranks: int) -> None:
        super().__init__(
            data_parallel_size=num_ranks, tensor_parallel_size=1, save_distributed_checkpoint=False
        )

    def load_checkpoint(
        self, checkpoint_path: str | Path, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Load a whole file into the parts; the optimiser's state where training goes on."""
        assert self.lightning_module is not None
        if self.lightning_module.trainer.state.fn != TrainerFn.FITTING:
            # those of the training before are still there, and best.ckpt has no states for them
            self.optimizers = []
        loaded: dict[str, Any] = super().load_checkpoint(checkpoint_path, weights_only)
        return loaded


def build_strategy(name: str, num_ranks: int) -> str | Strategy:
    """What the trainer takes for ``trainer.strategy``."""
    return ShardedStrategy(num_ranks) if name == FSDP else name


def shard(task: nn.Module, mesh: Any) -> None:
    """Divide the weights of a task over the ranks of a mesh, once.

    Each layer of a Hugging Face encoder is gathered while it computes, everything else from the
    start of the forward to the end of the backward pass.
    """
    if isinstance(task, FSDPModule):
        return
    for encoder in task.modules():
        if isinstance(encoder, PreTrainedModel):
            for layer in encoder_layers(encoder):
                fully_shard(layer, mesh=mesh)
    fully_shard(task, mesh=mesh)


def encoder_layers(encoder: nn.Module) -> list[nn.Module]:
    """The transformer layers of a Hugging Face encoder: the list that holds most of its weights."""
    lists = [part for part in encoder.modules() if isinstance(part, nn.ModuleList)]
    return list(max(lists, key=_num_weights, default=[]))


def _num_weights(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())
