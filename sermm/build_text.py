"""From configuration to the text part of a model."""

from __future__ import annotations

from typing import Any

from torch import nn

from data_modules.text import Tokenizer
from sermm.build_parts import Parts
from sermm.config import Config
from sermm.nn.encoders import MaskToken, TextEncoder
from sermm.upstreams.text import (
    build_text_model,
    checkpoint_text_gradients,
    load_text_model,
    text_model_config,
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


def build_text_encoder(parts: Parts) -> TextEncoder:
    """The text encoder around a loaded model, or around random weights for a checkpoint."""
    facts, text = parts.facts, parts.config.model.text
    mask_token = None
    if text.word_dropout:
        mask_token = MaskToken(Tokenizer.from_json(facts.tokenizer).mask_id, text.word_dropout)
    model = parts.text_model or build_text_model(dict(facts.text_model or {}))
    if parts.config.trainer.gradient_checkpointing and not text.frozen:
        checkpoint_text_gradients(model)
    return TextEncoder(model=model, mask_token=mask_token, frozen=text.frozen)
