"""From configuration to a task: one function for each word of ``model.task``.

This file and those beside it (``build_*.py``) alone know both configuration and constructors. A
model is built twice in its life: for training, from a configuration and what the data module found
out about the data, and again from a checkpoint, which carries both as plain data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from sermm.build_facts import DataFacts, FrameStatistics
from sermm.build_objective import build_objective, build_optimizer_options
from sermm.build_parts import Parts
from sermm.build_speech import build_recurrent, build_speech_encoder
from sermm.build_text import build_text_encoder
from sermm.config import Config
from sermm.nn.coattention import CoAttention
from sermm.nn.fusion import FrameAttention, SpanPooling
from sermm.nn.masked_steps import MaskOptions
from sermm.nn.pooling import MeanPooling, MeanStdPooling
from sermm.nn.standardize import Standardize
from sermm.tasks.acoustic import AcousticTask, LinearTask
from sermm.tasks.base import EmotionTask
from sermm.tasks.coattention import CoAttentionTask
from sermm.tasks.fusion import AlignedFusionTask, PooledFusionTask
from sermm.tasks.pretrain import PretrainTask
from sermm.tasks.text import TextTask
from sermm.tasks.vectors import LateFusionTask
from sermm.upstreams.encoded import EncoderUpstream


def build_task(
    config: Config,
    facts: DataFacts,
    *,
    statistics: FrameStatistics | None = None,
    vector_statistics: Mapping[str, FrameStatistics] | None = None,
    text_model: nn.Module | None = None,
    speech_model: EncoderUpstream | None = None,
) -> EmotionTask:
    """The task that the configuration describes; arguments as the attributes of :class:`Parts`."""
    parts = Parts(config, facts, statistics, vector_statistics or {}, text_model, speech_model)
    return _BUILDERS[config.model.task](parts)


def _linear(parts: Parts) -> LinearTask:
    statistics_of = MeanPooling if parts.facts.one_frame else MeanStdPooling
    pooling = statistics_of(input_size=parts.facts.frame_dim)
    pooled = parts.known_statistics(pooling.output_size)
    return LinearTask(
        pooling=pooling,
        pooled=Standardize(mean=pooled.mean, std=pooled.std),
        objective=build_objective(parts.config, parts.facts),
        optimizer=build_optimizer_options(parts.config),
    )


def _vectors(parts: Parts) -> LateFusionTask:
    known = parts.vector_statistics or {
        name: FrameStatistics.unknown(dim) for name, dim in parts.facts.vector_dims.items()
    }
    return LateFusionTask(
        vectors={name: Standardize(mean=s.mean, std=s.std) for name, s in known.items()},
        heads={name: parts.head(len(s.mean)) for name, s in known.items()},
        modality_dropout=parts.config.model.modality_dropout,
        objective=build_objective(parts.config, parts.facts),
        optimizer=build_optimizer_options(parts.config),
    )


def _acoustic(parts: Parts) -> AcousticTask:
    config, facts = parts.config, parts.facts
    encoder = build_speech_encoder(parts)
    pooling = parts.speech_pooling(encoder.output_size)
    return AcousticTask(
        encoder=encoder,
        pooling=pooling,
        head=parts.head(pooling.output_size),
        objective=build_objective(config, facts),
        optimizer=build_optimizer_options(config),
    )


def _pretrain(parts: Parts) -> PretrainTask:
    config, options = parts.config, parts.config.model.pretrain
    return PretrainTask(
        encoder=build_speech_encoder(parts),
        masks=MaskOptions(options.mask_share, options.span_min, options.span_max),
        learned_mask=options.learned_mask,
        objective=build_objective(config, parts.facts),
        optimizer=build_optimizer_options(config),
    )


def _text(parts: Parts) -> TextTask:
    config, facts = parts.config, parts.facts
    encoder = build_text_encoder(parts)
    pooling = parts.pooling(encoder.output_size)
    return TextTask(
        encoder=encoder,
        pooling=pooling,
        head=parts.head(pooling.output_size),
        objective=build_objective(config, facts),
        optimizer=build_optimizer_options(config),
    )


def _fusion(parts: Parts) -> EmotionTask:
    return _FUSIONS[parts.config.model.alignment](parts)


def _pooled_fusion(parts: Parts) -> PooledFusionTask:
    config, facts = parts.config, parts.facts
    text = build_text_encoder(parts)
    speech = build_speech_encoder(parts)
    speech_pooling = parts.pooling(speech.output_size)
    text_pooling = parts.pooling(text.output_size)
    return PooledFusionTask(
        speech=speech,
        speech_pooling=speech_pooling,
        text=text,
        text_pooling=text_pooling,
        head=parts.head(speech_pooling.output_size + text_pooling.output_size),
        modality_dropout=config.model.modality_dropout,
        objective=build_objective(config, facts),
        optimizer=build_optimizer_options(config),
    )


def _coattention(parts: Parts) -> CoAttentionTask:
    config, facts = parts.config, parts.facts
    text = build_text_encoder(parts)
    speech = build_speech_encoder(parts)
    speech_pooling = parts.pooling(speech.output_size)
    text_pooling = parts.pooling(text.output_size)
    coattention = CoAttention(
        text=(text_pooling.output_size, text.output_size),
        speech=(speech_pooling.output_size, speech.output_size),
        num_heads=config.model.attention_heads,
        dropout=config.model.dropout,
    )
    return CoAttentionTask(
        speech=speech,
        speech_pooling=speech_pooling,
        text=text,
        text_pooling=text_pooling,
        coattention=coattention,
        head=parts.head(coattention.output_size),
        objective=build_objective(config, facts),
        optimizer=build_optimizer_options(config),
    )


def _aligned_fusion(parts: Parts) -> AlignedFusionTask:
    config, facts = parts.config, parts.facts
    text = build_text_encoder(parts)
    aligner: SpanPooling | FrameAttention
    if config.model.alignment == "span":
        # the word's own frames: a recurrent layer below would smear its neighbours into them
        speech = build_speech_encoder(parts, recurrent=False)
        aligner = SpanPooling(input_size=speech.output_size)
    else:
        speech = build_speech_encoder(parts)
        aligner = FrameAttention(
            query_size=text.output_size,
            key_size=speech.output_size,
            hidden_size=config.model.recurrent_hidden,
        )
    recurrent = build_recurrent(config.model, text.output_size + aligner.output_size)
    pooling = parts.pooling(recurrent.output_size)
    return AlignedFusionTask(
        speech=speech,
        text=text,
        aligner=aligner,
        recurrent=recurrent,
        pooling=pooling,
        head=parts.head(pooling.output_size),
        dropout=config.model.dropout,
        modality_dropout=config.model.modality_dropout,
        objective=build_objective(config, facts),
        optimizer=build_optimizer_options(config),
    )


_FUSIONS: dict[str, Callable[[Parts], EmotionTask]] = {
    "span": _aligned_fusion,
    "attention": _aligned_fusion,
    "coattention": _coattention,
    "none": _pooled_fusion,
}

_BUILDERS: dict[str, Callable[[Parts], EmotionTask]] = {
    "linear": _linear,
    "acoustic": _acoustic,
    "text": _text,
    "fusion": _fusion,
    "vectors": _vectors,
    "pretrain": _pretrain,
}
