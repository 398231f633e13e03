"""From configuration to the speech part of a model."""

from __future__ import annotations

from torch import nn

from sermm.build_parts import Parts
from sermm.config import ModelConfig, mel_bands, tunes_speech
from sermm.nn.augment import FrameAugment, TimeStretch
from sermm.nn.convolution import FrameConvolutions
from sermm.nn.encoders import SpeechEncoder
from sermm.nn.recurrent import BiGRU
from sermm.nn.speech_input import CachedFrames, SpeechInput, TrainedFrames
from sermm.nn.standardize import Standardize
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
    """Input, augmentation, projection, convolutions and, if asked for, a recurrent layer."""
    model, augment = parts.config.model, parts.config.model.augment
    source = build_speech_input(parts)
    convolutions = FrameConvolutions(
        input_size=model.projection or source.output_size,
        channels=model.conv_channels,
        num_layers=model.conv_layers,
        dropout=model.dropout,
    )
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
        recurrent=build_recurrent(model, convolutions.output_size)
        if recurrent and model.recurrent_layers
        else None,
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
