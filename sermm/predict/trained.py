"""A trained model with all that it needs to judge a new recording, and nothing of its corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_modules.errors import ConfigError, ModelError
from data_modules.plain_json import parse_json
from data_modules.text import Tokenizer
from sermm.build_checkpoint import load_task, task_of
from sermm.build_facts import DataFacts
from sermm.calibration import Calibration, read_calibrations
from sermm.config import (
    TUNED,
    Config,
    needs_audio,
    needs_text,
    ready_features,
    second_speech,
    tunes_speech,
)
from sermm.features import speech_upstream, stored_upstream
from sermm.nn.speech_input import TrainedFrames
from sermm.predict.source import CHECKPOINT, EXPORT_FILE, ModelSource
from sermm.run_metrics import RunMetrics, read_run_metrics
from sermm.tasks.base import EmotionTask
from sermm.upstreams import SpeechUpstream

WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILE = "tokenizer.json"
UPSTREAM_FOLDER = "upstream"
EXPORT_VERSION = 1


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """What predicts.

    Attributes:
        task: In evaluation mode, on the CPU.
        config: Of the run.
        facts: What the model knows of its data.
        upstream: Turns waveforms into frames, as a part of the task where it was trained with it;
            None where the model does not hear.
        tokenizer: Turns words into pieces; None where it does not read.
        calibrations: By what the model has to do without; empty for ratings and older runs.
        metrics: Of the run: how good the model is, and on what.
        folder: Where it was found.
    """

    task: EmotionTask
    config: Config
    facts: DataFacts
    upstream: SpeechUpstream | None
    tokenizer: Tokenizer | None
    calibrations: Mapping[str, Calibration]
    metrics: RunMetrics
    folder: Path

    @property
    def needs(self) -> frozenset[str]:
        """What the model cannot do without, of ``speech`` and ``text``."""
        reads = {"speech"} if self.upstream is not None else set()
        if self.tokenizer is not None:
            reads.add("text")
        return frozenset(reads - set(self.task.modalities))


def load_trained(source: ModelSource) -> TrainedModel:
    """Load a model.

    Raises:
        ModelError: A file is missing or damaged, or the upstream is not the one of the training.
        ConfigError: The model cannot judge new recordings.
    """
    folder = source.folder
    if source.exported:
        task, config, facts = _load_export(folder)
    else:
        task, config, facts = load_task(folder / CHECKPOINT)
    expect_usable(config, folder)
    upstream: SpeechUpstream | None = None
    if tunes_speech(config):
        upstream = next(m.upstream for m in task.modules() if isinstance(m, TrainedFrames))
    elif needs_audio(config):
        upstream = speech_upstream(config)
        _expect_same_frames(config, facts, upstream)
    return TrainedModel(
        task=task,
        config=config,
        facts=facts,
        upstream=upstream,
        tokenizer=Tokenizer.from_json(facts.tokenizer) if needs_text(config) else None,
        calibrations=read_calibrations(folder),
        metrics=read_run_metrics(folder / "metrics.json"),
        folder=folder,
    )


def expect_usable(config: Config, folder: Path) -> None:
    """Check that what the model reads can be had from a recording.

    Raises:
        ConfigError: It cannot.
    """
    features = ", ".join(ready_features(config))
    by_speaker = needs_audio(config) and config.model.speech.normalise == "speaker"
    for bad, expected, got in (
        (
            features,
            "a model that hears recordings",
            f"one that reads ready-made features: {features}",
        ),
        (
            config.model.task == "pretrain",
            "a model that was trained on labels",
            "an encoder that was pre-trained without any",
        ),
        (
            second_speech(config) is not None,
            "a model of one speech upstream",
            "one of two, which a recording cannot be given to yet",
        ),
        (
            needs_audio(config) and config.model.speech.upstream == TUNED,
            "a model whose upstream stands alone",
            "one that reads what another experiment has trained",
        ),
        (
            by_speaker,
            "a model that needs no other recordings of the speaker",
            "model.speech.normalise=speaker",
        ),
        (
            config.data.shuffle_word_times,
            "a model of words where they were spoken",
            "a control whose word times were shuffled",
        ),
    ):
        if bad:
            raise ConfigError(folder, expected=expected, got=got, fix="choose another run")


def _expect_same_frames(config: Config, facts: DataFacts, upstream: SpeechUpstream) -> None:
    """Check the upstream's options, version and weights against those of the training."""
    # of an encoder with all layers in the cache the model reads some
    used = stored_upstream(config) if config.extract.layers == "all" else upstream
    if facts.frame_fingerprint in ("", used.fingerprint()):
        return
    speech = config.model.speech
    raise ModelError(
        f"model.speech.name={speech.name}" if speech.name else f"upstream {speech.upstream}",
        expected=f"the upstream of the training, fingerprint {facts.frame_fingerprint}",
        got=f"{used.fingerprint()}: other weights or another version of it",
        fix="use the weights and the version of sermm that the model was trained with",
    )


def _load_export(folder: Path) -> tuple[EmotionTask, Config, DataFacts]:
    from safetensors.torch import load_file

    record = read_export_record(folder)
    weights = folder / WEIGHTS_FILE
    try:
        tensors = load_file(weights)
    except Exception as error:
        # safetensors raises its own type and those of the file system
        raise ModelError(
            weights,
            expected="the weights of an exported model",
            got=f"{type(error).__name__}: {error}".splitlines()[0],
            fix="export the model again",
        ) from error
    task, config, facts = task_of(record["model"], tensors, folder / EXPORT_FILE)
    upstream = folder / UPSTREAM_FOLDER
    if upstream.is_dir():
        speech = config.model.speech
        name = upstream / record["upstream_file"] if record.get("upstream_file") else upstream
        config = replace(
            config,
            model=replace(config.model, speech=replace(speech, name=str(name), revision=None)),
        )
    return task, config, facts


def read_export_record(folder: Path) -> dict[str, Any]:
    """``sermm.json`` of an export, with its tokenizer where it belongs.

    Raises:
        ModelError: It is missing, damaged, or written by another version.
    """
    path = folder / EXPORT_FILE
    try:
        record = parse_json(path.read_bytes())
        if record["format"] != EXPORT_VERSION:
            raise ValueError(f"format {record['format']}")
        facts = record["model"]["facts"]
        if (folder / TOKENIZER_FILE).is_file():
            facts["tokenizer"] = (folder / TOKENIZER_FILE).read_text(encoding="utf-8")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            path,
            expected=f"an exported model of format {EXPORT_VERSION}",
            got=f"{type(error).__name__}: {error}",
            fix="export the model again",
        ) from None
    assert isinstance(record, dict)
    return record
