"""From configuration to objects: the only file that knows both.

A model is built twice in its life: for training, from a configuration and what the data module
found out about the data, and again from a checkpoint, which carries both as plain data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from data_modules.errors import ModelError
from data_modules.labels import Family, Kind
from data_modules.text import Tokenizer
from sermm.checkpoints import read_checkpoint
from sermm.compose import from_dict
from sermm.config import Config, ModelConfig, mel_bands, to_dict
from sermm.nn.augment import FrameAugment, TimeStretch
from sermm.nn.convolution import FrameConvolutions
from sermm.nn.encoders import (
    ClassificationHead,
    MaskToken,
    SpeechEncoder,
    Standardize,
    TextEncoder,
)
from sermm.nn.fusion import FrameAttention, SpanPooling
from sermm.nn.pooling import POOLINGS, MeanPooling, MeanStdPooling, Pooling
from sermm.nn.recurrent import BiGRU
from sermm.optim import OptimizerOptions
from sermm.tasks.acoustic import AcousticTask, LinearTask
from sermm.tasks.base import EmotionTask, Objective
from sermm.tasks.fusion import AlignedFusionTask, PooledFusionTask
from sermm.tasks.text import TextTask
from sermm.tasks.vectors import LateFusionTask
from sermm.upstreams.text import build_text_model, load_text_model, text_model_config

CHECKPOINT_VERSION = 2
_TUPLES = ("names", "train_counts", "train_means", "train_stds")


@dataclass(frozen=True)
class DataFacts:
    """What a model has to know of its data: plain data, stored in every checkpoint.

    Attributes:
        names: Of classes, ratings or labels, in the order of the target.
        kind: Which of the three.
        family: Which scores belong to it.
        num_train: Utterances of the training part.
        train_counts: Those of each class or with each label; empty for ratings.
        train_means: Mean of each rating over the training part; empty for other targets.
        train_stds: Standard deviation of each rating.
        frame_dim: Width of the acoustic frames; 0 without speech.
        one_frame: Whether an utterance is one acoustic frame.
        vector_dims: Widths of the utterance vectors by name, in the order of their heads.
        tokenizer: The tokenizer as JSON; empty without text.
        text_model: Configuration of the text encoder; empty without text.
    """

    names: tuple[str, ...]
    num_train: int
    train_counts: tuple[int, ...] = ()
    kind: Kind = "classes"
    family: Family = "classes"
    train_means: tuple[float, ...] = ()
    train_stds: tuple[float, ...] = ()
    frame_dim: int = 0
    one_frame: bool = False
    vector_dims: Mapping[str, int] = field(default_factory=dict)
    tokenizer: str = ""
    text_model: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class FrameStatistics:
    """Mean and standard deviation of what a model standardises, ``(D,)`` each."""

    mean: Tensor
    std: Tensor

    @classmethod
    def unknown(cls, size: int) -> FrameStatistics:
        """Placeholders for a model whose statistics come with its state dict."""
        return cls(torch.zeros(size), torch.ones(size))


def build_objective(config: Config, facts: DataFacts) -> Objective:
    """Targets and loss.

    Weights of classes are N / (C n_c), so their mean over utterances is one. A label's presence
    weighs (N - n) / n times its absence, at most a hundred times.
    """
    weights = None
    if config.optim.class_weights and facts.kind != "regression":
        total, counts = facts.num_train, [max(1, n) for n in facts.train_counts]
        if facts.kind == "classes":
            weights = tuple(total / (len(counts) * n) for n in counts)
        else:
            weights = tuple(min(100.0, max(1, total - n) / n) for n in counts)
    return Objective(
        names=facts.names,
        kind=facts.kind,
        family=facts.family,
        weights=weights,
        label_smoothing=config.optim.label_smoothing,
        means=facts.train_means,
        stds=facts.train_stds,
        rating_loss=config.optim.rating_loss,  # type: ignore[arg-type]
        threshold=config.model.threshold,
    )


def build_optimizer_options(config: Config) -> OptimizerOptions:
    """Learning rates and schedule."""
    optim = config.optim
    pretrained = optim.lr if config.model.text.name == "scratch" else optim.text_lr or optim.lr
    return OptimizerOptions(
        lr=optim.lr,
        pretrained_lr=pretrained,
        weight_decay=optim.weight_decay,
        warmup_share=optim.warmup_share,
        solver=optim.solver,  # type: ignore[arg-type]
        schedule=optim.schedule,  # type: ignore[arg-type]
        schedule_power=optim.schedule_power,
    )


def build_speech_encoder(
    config: Config, statistics: FrameStatistics, *, recurrent: bool = True
) -> SpeechEncoder:
    """Standardisation, augmentation, convolutions and, if asked for, a recurrent layer."""
    model, augment = config.model, config.model.augment
    convolutions = FrameConvolutions(
        input_size=len(statistics.mean),
        channels=model.conv_channels,
        num_layers=model.conv_layers,
        dropout=model.dropout,
    )
    return SpeechEncoder(
        standardize=Standardize(mean=statistics.mean, std=statistics.std),
        stretch=TimeStretch(share=augment.time_stretch),
        augment=FrameAugment(
            time_masks=augment.time_masks,
            time_mask_share=augment.time_mask_share,
            band_masks=augment.band_masks,
            band_mask_share=augment.band_mask_share,
            noise=augment.noise,
            gain=augment.gain,
            band_warp=augment.band_warp,
            num_bands=mel_bands(config),
        ),
        convolutions=convolutions,
        recurrent=build_recurrent(model, convolutions.output_size) if recurrent else None,
        dropout=model.dropout,
    )


def build_recurrent(model: ModelConfig, input_size: int) -> BiGRU:
    """The recurrent layer that the configuration describes."""
    return BiGRU(
        input_size=input_size,
        hidden_size=model.recurrent_hidden,
        num_layers=model.recurrent_layers,
        dropout=model.dropout,
    )


def text_config_for(config: Config, tokenizer: Tokenizer) -> tuple[nn.Module, dict[str, Any]]:
    """The text model to train, with pretrained weights if there are any, and its configuration."""
    text = config.model.text
    if text.name == "scratch":
        settings = text_model_config(
            tokenizer,
            hidden=text.hidden,
            layers=text.layers,
            heads=text.heads,
            max_pieces=config.data.max_pieces,
            dropout=config.model.dropout,
        )
        return build_text_model(settings), settings
    model = load_text_model(text.name, text.revision)
    return model, model.config.to_dict()  # type: ignore[union-attr, operator]


def build_text_encoder(config: Config, facts: DataFacts, model: nn.Module | None) -> TextEncoder:
    """The text encoder around a loaded model, or around random weights for a checkpoint."""
    text = config.model.text
    mask_token = None
    if text.word_dropout:
        mask_token = MaskToken(Tokenizer.from_json(facts.tokenizer).mask_id, text.word_dropout)
    if model is None:
        model = build_text_model(dict(facts.text_model or {}))
    return TextEncoder(model=model, mask_token=mask_token, frozen=text.frozen)


def build_task(
    config: Config,
    facts: DataFacts,
    *,
    statistics: FrameStatistics | None = None,
    vector_statistics: Mapping[str, FrameStatistics] | None = None,
    text_model: nn.Module | None = None,
) -> EmotionTask:
    """The task that the configuration describes.

    Args:
        config: Sizes and choices.
        facts: What the data module found out.
        statistics: Of the training part's frames; None before loading a state dict.
        vector_statistics: Of its utterance vectors by name; None before loading a state dict.
        text_model: A text model with its weights; None before loading a state dict.
    """
    model = config.model
    objective = build_objective(config, facts)
    optimizer = build_optimizer_options(config)
    num_classes = len(facts.names)

    def build_pooling(input_size: int) -> Pooling:
        return POOLINGS[model.pooling](input_size=input_size)

    def build_head(input_size: int) -> ClassificationHead:
        return ClassificationHead(
            input_size=input_size,
            hidden_size=2 * model.recurrent_hidden,
            num_classes=num_classes,
            dropout=model.dropout,
        )

    if model.task == "linear":
        statistics_of = MeanPooling if facts.one_frame else MeanStdPooling
        frame_pooling = statistics_of(input_size=facts.frame_dim)
        pooled = statistics or FrameStatistics.unknown(frame_pooling.output_size)
        return LinearTask(
            pooling=frame_pooling,
            pooled=Standardize(mean=pooled.mean, std=pooled.std),
            objective=objective,
            optimizer=optimizer,
        )
    if model.task == "vectors":
        known = vector_statistics or {
            name: FrameStatistics.unknown(dim) for name, dim in facts.vector_dims.items()
        }
        return LateFusionTask(
            vectors={name: Standardize(mean=s.mean, std=s.std) for name, s in known.items()},
            heads={name: build_head(len(s.mean)) for name, s in known.items()},
            modality_dropout=model.modality_dropout,
            objective=objective,
            optimizer=optimizer,
        )
    statistics = statistics or FrameStatistics.unknown(facts.frame_dim)
    if model.task == "acoustic":
        encoder = build_speech_encoder(config, statistics)
        pooling = build_pooling(encoder.output_size)
        return AcousticTask(
            encoder=encoder,
            pooling=pooling,
            head=build_head(pooling.output_size),
            objective=objective,
            optimizer=optimizer,
        )
    text = build_text_encoder(config, facts, text_model)
    if model.task == "text":
        pooling = build_pooling(text.output_size)
        return TextTask(
            encoder=text,
            pooling=pooling,
            head=build_head(pooling.output_size),
            objective=objective,
            optimizer=optimizer,
        )
    if model.alignment == "none":
        speech = build_speech_encoder(config, statistics)
        speech_pooling = build_pooling(speech.output_size)
        text_pooling = build_pooling(text.output_size)
        return PooledFusionTask(
            speech=speech,
            speech_pooling=speech_pooling,
            text=text,
            text_pooling=text_pooling,
            head=build_head(speech_pooling.output_size + text_pooling.output_size),
            objective=objective,
            optimizer=optimizer,
        )
    aligner: SpanPooling | FrameAttention
    if model.alignment == "span":
        # the word's own frames: a recurrent layer below would smear its neighbours into them
        speech = build_speech_encoder(config, statistics, recurrent=False)
        aligner = SpanPooling(input_size=speech.output_size)
    else:
        speech = build_speech_encoder(config, statistics)
        aligner = FrameAttention(
            query_size=text.output_size,
            key_size=speech.output_size,
            hidden_size=model.recurrent_hidden,
        )
    recurrent = build_recurrent(model, text.output_size + aligner.output_size)
    pooling = build_pooling(recurrent.output_size)
    return AlignedFusionTask(
        speech=speech,
        text=text,
        aligner=aligner,
        recurrent=recurrent,
        pooling=pooling,
        head=build_head(pooling.output_size),
        dropout=model.dropout,
        objective=objective,
        optimizer=optimizer,
    )


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
    record = checkpoint["sermm"]
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
        task.load_state_dict(checkpoint["state_dict"])
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
