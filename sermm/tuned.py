"""Encoders out of the checkpoints of another experiment's runs (``earlier_runs.py`` says which)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from data_modules.errors import ModelError
from data_modules.text import Tokenizer
from sermm.build_checkpoint import load_task
from sermm.build_facts import DataFacts
from sermm.config import Config
from sermm.earlier_runs import best_checkpoint, stage_one_run
from sermm.nn.encoders import TextEncoder
from sermm.nn.speech_input import TrainedFrames
from sermm.tasks.base import EmotionTask
from sermm.upstreams.encoded import EncoderUpstream


def tuned_speech(config: Config) -> EncoderUpstream:
    """The speech encoder that ``model.speech.name`` has trained, in evaluation mode.

    Raises:
        ModelError: The checkpoint is missing or damaged, or its experiment trained no encoder.
    """
    task, _, path = _load(config, config.model.speech.name)
    for module in task.modules():
        if isinstance(module, TrainedFrames):
            module.upstream.eval()
            return module.upstream
    raise _no_encoder(path, "speech", "model.speech.frozen=false")


def tuned_text(config: Config) -> tuple[Tokenizer, nn.Module, Mapping[str, Any]]:
    """Tokenizer, text encoder and its configuration that ``model.text.experiment`` has trained.

    Raises:
        ModelError: The checkpoint is missing or damaged, or its experiment reads no text.
    """
    task, facts, path = _load(config, config.model.text.experiment)
    for module in task.modules():
        if isinstance(module, TextEncoder) and facts.text_model is not None:
            return Tokenizer.from_json(facts.tokenizer), module.model, facts.text_model
    raise _no_encoder(path, "text", "the task text or fusion")


def _load(config: Config, name: str) -> tuple[EmotionTask, DataFacts, Path]:
    path = best_checkpoint(stage_one_run(config, name))
    task, _, facts = load_task(path)
    return task, facts, path


def _no_encoder(path: Path, kind: str, needed: str) -> ModelError:
    return ModelError(
        path,
        expected=f"a model that has trained a {kind} encoder ({needed})",
        got="none in it",
        fix="choose another experiment",
    )
