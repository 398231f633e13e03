"""From the configuration of a transformers model to an encoder, with or without its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from data_modules.errors import ModelError
from data_modules.pretrained import quiet_transformers
from sermm.upstreams.encoder import FrameEncoder
from sermm.upstreams.interface import SAMPLE_RATE
from sermm.upstreams.pretrained import load_encoder, reading
from sermm.upstreams.spectra import ConformerEncoder, WhisperEncoder
from sermm.upstreams.waves import WAVE_FAMILIES, WaveEncoder

FAMILIES = (*WAVE_FAMILIES, "wav2vec2-bert", "whisper")
"""``model_type`` of the models that can be loaded."""

SETTINGS = ("config.json", "preprocessor_config.json", "processor_config.json")
"""Files of a checkpoint beside its weights."""


@dataclass(frozen=True)
class Architecture:
    """What builds a model without its weights: plain data, for a checkpoint.

    Attributes:
        config: Configuration of the transformers model.
        extractor: Settings of its feature extractor.
    """

    config: dict[str, Any]
    extractor: dict[str, Any]


def read_encoder(folder: Path, *, where: str) -> tuple[Architecture, FrameEncoder]:
    """An encoder with the weights of a folder.

    Args:
        folder: Of a checkpoint.
        where: What the error names.

    Raises:
        ModelError: It cannot be read, is of no known family, or does not fit its weights or its
            feature extractor.
    """
    from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

    with reading(where), quiet_transformers():
        config: Any = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    if config.model_type not in FAMILIES:
        raise ModelError(
            where,
            expected=f"a speech encoder: {', '.join(FAMILIES)}",
            got=config.model_type,
            fix="choose a model of one of these families",
        )
    _switch_off(config)
    if not any((folder / file).is_file() for file in SETTINGS[1:]):
        raise ModelError(
            where,
            expected="a preprocessor_config.json, which says whether waveforms are normalised",
            got="none",
            fix="add the one that belongs to the model",
        )
    with reading(where), quiet_transformers():
        extractor: Any = AutoFeatureExtractor.from_pretrained(  # type: ignore[no-untyped-call]
            str(folder), local_files_only=True
        )
    architecture = Architecture(_plain(config.to_dict()), _plain(extractor.to_dict()))
    _check_extractor(config, extractor, where)
    model = load_encoder(AutoModel, folder, where=where, config=config)
    return architecture, _wrap(model, extractor)


def _wrap(model: Any, extractor: Any) -> FrameEncoder:
    family = model.config.model_type
    if family == "whisper":
        extractor.dither = 0.0  # noise by chance
        return WhisperEncoder(model.encoder, extractor=extractor)
    if family == "wav2vec2-bert":
        return ConformerEncoder(
            model,
            num_bands=extractor.num_mel_bins,
            stacked=extractor.stride,
            keep_level=getattr(model.config, "keep_level", False),  # ours, see scratch.py
        )
    return WaveEncoder(model, normalized=extractor.do_normalize)


def build_encoder(architecture: Architecture) -> FrameEncoder:
    """An encoder with random weights, before a state dict."""
    from transformers import (
        AutoConfig,
        AutoModel,
        SeamlessM4TFeatureExtractor,
        Wav2Vec2FeatureExtractor,
        WhisperFeatureExtractor,
    )

    config: Any = AutoConfig.for_model(**architecture.config)
    extractors = {"whisper": WhisperFeatureExtractor, "wav2vec2-bert": SeamlessM4TFeatureExtractor}
    extractor = extractors.get(config.model_type, Wav2Vec2FeatureExtractor)
    model = AutoModel.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    return _wrap(model, extractor(**architecture.extractor))


def _switch_off(config: Any) -> None:
    """What training alone needs, or a head: frames are those of the encoder in evaluation."""
    for key in ("layerdrop", "encoder_layerdrop", "mask_time_prob", "mask_feature_prob"):
        if hasattr(config, key):
            setattr(config, key, 0.0)
    for key in (
        "apply_spec_augment",
        "gradient_checkpointing",
        "add_adapter",
        "use_intermediate_ffn_before_adapter",
    ):
        if hasattr(config, key):
            setattr(config, key, False)


def _check_extractor(config: Any, extractor: Any, where: str) -> None:
    facts = [("sampling_rate", SAMPLE_RATE, extractor.sampling_rate)]
    if config.model_type == "wav2vec2-bert":
        size = extractor.num_mel_bins * extractor.stride
        facts.append(("values in a frame", config.feature_projection_input_dim, size))
    elif config.model_type == "whisper":
        size = 2 * config.max_source_positions * extractor.hop_length
        facts.append(("samples in a window", size, extractor.n_samples))
        facts.append(("feature_size", config.num_mel_bins, extractor.feature_size))
    for what, expected, got in facts:
        if expected != got:
            raise ModelError(
                where,
                expected=f"a feature extractor with {what} {expected}",
                got=str(got),
                fix="use the preprocessor_config.json that belongs to the model",
            )


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON can hold it; tables that are computed from other settings are left out."""
    kept = {k: v for k, v in settings.items() if k not in ("mel_filters", "window")}
    plain: dict[str, Any] = json.loads(json.dumps(kept))
    return plain
