"""What a model attended to in a text: the weight of each word piece in the pooling over pieces.

Only models that pool pieces by attention have such weights. They say what the pooled vector is
made of, not why the answer came out (S. Jain and B. Wallace 2019, arXiv 1902.10186): the states of
a piece already hold its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from data_modules.atomic import write_json
from data_modules.batch import collate
from data_modules.dataset import UtteranceDataset
from data_modules.text import Tokenizer
from sermm.extremes import extreme_ids
from sermm.nn.pooling import AttentionPooling
from sermm.predictions import Predictions
from sermm.report.attention import FILE_NAME
from sermm.tasks.base import EmotionTask
from sermm.tasks.fusion import AlignedFusionTask, PooledFusionTask
from sermm.tasks.text import TextTask

Weights = list[tuple[str, float]]


def text_pooling(task: EmotionTask) -> AttentionPooling | None:
    """The attention over word pieces; None where a model has none."""
    pooling: nn.Module | None = None
    if isinstance(task, TextTask | AlignedFusionTask):
        pooling = task.pooling
    elif isinstance(task, PooledFusionTask):
        pooling = task.text_pooling
    return pooling if isinstance(pooling, AttentionPooling) else None


def piece_weights(
    task: EmotionTask, dataset: UtteranceDataset, tokenizer: Tokenizer, ids: Sequence[str]
) -> dict[str, Weights]:
    """Pieces of utterances with their weights, which sum to one; empty where there are none.

    Args:
        task: Trained.
        dataset: Holds the utterances.
        tokenizer: Of the task.
        ids: Which utterances.
    """
    pooling = text_pooling(task)
    if pooling is None:
        return {}
    place = {utterance.id: row for row, utterance in enumerate(dataset.utterances)}
    found: dict[str, Weights] = {}
    task = task.eval().cpu()
    with torch.inference_mode():
        for name in ids:
            batch = collate([dataset[place[name]]])
            assert batch.input_ids is not None, "a task that reads text"
            with _caught(pooling) as caught:
                task(batch)
            (weights,) = caught
            pieces = tokenizer.tokens(batch.input_ids[0].tolist())
            found[name] = [
                (piece, round(weight, 6))
                for piece, weight in zip(pieces, weights[0].tolist(), strict=True)
            ]
    return found


@contextmanager
def _caught(pooling: AttentionPooling) -> Iterator[list[Tensor]]:
    """The weights of each call while it lasts."""
    caught: list[Tensor] = []

    def catch(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        caught.append(pooling.weights(*inputs))

    handle = pooling.register_forward_pre_hook(catch)
    try:
        yield caught
    finally:
        handle.remove()


def write_attention(
    folder: Path,
    *,
    task: EmotionTask,
    dataset: UtteranceDataset,
    tokenizer: str,
    predictions: Predictions,
) -> None:
    """Write ``attention.json`` of a run, for its best and its worst test utterances.

    Nothing is written for a model that does not pool word pieces by attention.

    Args:
        folder: Of the run.
        task: Trained.
        dataset: The test part.
        tokenizer: Of the task, as JSON text; empty without one.
        predictions: Of the test part.
    """
    if text_pooling(task) is None:
        return
    ids = extreme_ids(predictions)
    weights = piece_weights(task, dataset, Tokenizer.from_json(tokenizer), ids)
    write_json(folder / FILE_NAME, {"pieces": weights})
