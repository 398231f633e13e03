"""What a checkpoint carries beside its weights, and the model that it alone brings back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from data_modules.errors import ModelError
from sermm.build_facts import DataFacts
from sermm.build_model import build_task
from sermm.checkpoints import read_checkpoint
from sermm.compose import from_dict
from sermm.config import Config, to_dict
from sermm.tasks.base import EmotionTask

CHECKPOINT_VERSION = 3
_TUPLES = ("names", "train_counts", "train_means", "train_stds")


def checkpoint_record(config: Config, facts: DataFacts) -> dict[str, Any]:
    """What a checkpoint carries beside the weights, as plain data that loads without unpickling."""
    plain_facts = asdict(facts)
    for name in _TUPLES:
        plain_facts[name] = list(plain_facts[name])
    return {"version": CHECKPOINT_VERSION, "config": to_dict(config), "facts": plain_facts}


def load_task(path: Path) -> tuple[EmotionTask, Config, DataFacts]:
    """A trained task from its checkpoint alone, in evaluation mode.

    Raises:
        ModelError: The file is missing, damaged, or no checkpoint of sermm.
    """
    checkpoint = read_checkpoint(path)
    return task_of(checkpoint["sermm"], checkpoint["state_dict"], path)


def task_of(
    record: Mapping[str, Any], weights: Mapping[str, Tensor], path: Path
) -> tuple[EmotionTask, Config, DataFacts]:
    """A trained task, in evaluation mode, from what :func:`checkpoint_record` made.

    Args:
        record: As it was stored.
        weights: The task's state.
        path: What an error names.

    Raises:
        ModelError: They do not fit each other, or another version of sermm wrote them.
    """
    if record["version"] != CHECKPOINT_VERSION:
        raise ModelError(
            path,
            expected=f"checkpoint version {CHECKPOINT_VERSION}",
            got=str(record["version"]),
            fix="use the version of sermm that wrote it",
        )
    try:
        config = from_dict(record["config"], str(path))
        facts = _facts_of(record["facts"])
        task = build_task(config, facts)
        task.load_state_dict(dict(weights))
    except Exception as error:
        # the parts of a record that do not fit each other fail anywhere on the way
        raise ModelError(
            path,
            expected="a configuration that builds the model of these weights",
            got=f"{type(error).__name__}: {' '.join(str(error).split())}"[:300],
            fix="use the version of sermm that wrote it",
        ) from error
    return task.eval(), config, facts


def _facts_of(stored: Mapping[str, Any]) -> DataFacts:
    facts = dict(stored)
    for name in _TUPLES:
        facts[name] = tuple(facts[name])
    return DataFacts(**facts)
