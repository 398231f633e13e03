"""From configuration to the speech part of a model."""

from __future__ import annotations

from torch import nn

from sermm.build_parts import Parts
from sermm.compiler import expect_compiler
from sermm.config import ModelConfig, mel_bands, tunes_speech
from sermm.nn.augment import FrameAugment, TimeStretch
from sermm.nn.convolution import FrameConvolutions
from sermm.nn.encoders import SpeechEncoder
from sermm.nn.recurrent import BiGRU
from sermm.nn.speech_input import CachedFrames, SpeechInput, TrainedFrames
from sermm.nn.stacking import FrameStacking
from sermm.nn.standardize import Standardize
from sermm.nn.transformer import FrameTransformer
from sermm.upstreams.record import build_from_record


def build_speech_input(parts: Parts) -> SpeechInput:
    """Frames from the cache, or from an upstream that is trained."""
    config, facts = parts.config, parts.facts
    normalise = config.model.speech.normalise
    if tunes_speech(config):
        upstream = parts.speech_model or build_from_record(dict(facts.speech_model or {}))
        if config.model.speech.freeze_front:
            upstream.freeze_feature_encoder()
        if config.trainer.gradient_checkpointing:
            upstream.checkpoint_gradients()
        if config.trainer.compile and parts.speech_model is not None:
            expect_compiler(config.trainer.accelerator)
            upstream.compile_layers()
        return TrainedFrames(upstream, normalized=normalise == "layer")
    standardize = None
    if normalise in ("train", "speaker"):
        known = parts.known_statistics(facts.num_layers * facts.frame_dim)
        standardize = Standardize(mean=known.mean, std=known.std)
    return CachedFrames(
        frame_dim=facts.frame_dim,
        num_layers=facts.num_layers,
        standardize=standardize,
        normalized=normalise == "layer",
    )


def build_speech_encoder(parts: Parts, *, recurrent: bool = True) -> SpeechEncoder:
    """Input, augmentation, projection, a lower rate and, if asked for, a network over time."""
    model, augment = parts.config.model, parts.config.model.augment
    source = build_speech_input(parts)
    convolutions = _build_rate(model, model.projection or source.output_size)
    return SpeechEncoder(
        source=source,
        stretch=TimeStretch(share=augment.time_stretch),
        augment=FrameAugment(
            time_masks=augment.time_masks,
            time_mask_share=augment.time_mask_share,
            band_masks=augment.band_masks,
            band_mask_share=augment.band_mask_share,
            noise=augment.noise,
            gain=augment.gain,
            band_warp=augment.band_warp,
            num_bands=mel_bands(parts.config),
        ),
        projection=nn.Linear(source.output_size, model.projection) if model.projection else None,
        convolutions=convolutions,
        recurrent=_build_backbone(model, convolutions.output_size) if recurrent else None,
        dropout=model.dropout,
        frozen=model.backbone.frozen,
    )


def _build_rate(model: ModelConfig, input_size: int) -> FrameConvolutions | FrameStacking:
    """Convolutions or stacking; masked pre-training hides steps of the latter."""
    per_step = model.backbone.frames_per_step
    if model.task == "pretrain" or per_step > 1:
        return FrameStacking(input_size=input_size, frames_per_step=per_step)
    return FrameConvolutions(
        input_size=input_size,
        channels=model.conv_channels,
        num_layers=model.conv_layers,
        dropout=model.dropout,
    )


def _build_backbone(model: ModelConfig, input_size: int) -> BiGRU | FrameTransformer | None:
    """The network over time that the configuration describes."""
    backbone = model.backbone
    if backbone.kind == "recurrent":
        return build_recurrent(model, input_size) if model.recurrent_layers else None
    return FrameTransformer(
        input_size=input_size,
        width=backbone.width,
        num_layers=backbone.layers,
        num_heads=backbone.heads,
        feedforward=backbone.feedforward,
        dropout=model.dropout,
        every_layer=backbone.states == "all",
    )


def build_recurrent(model: ModelConfig, input_size: int) -> BiGRU:
    """The recurrent layer that the configuration describes."""
    return BiGRU(
        input_size=input_size,
        hidden_size=model.recurrent_hidden,
        num_layers=model.recurrent_layers,
        dropout=model.dropout,
    )
