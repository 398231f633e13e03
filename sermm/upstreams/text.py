"""Text upstreams of the BERT family: from the hub or a folder, or a small one from scratch.

Weights are loaded in float32 (a half-precision checkpoint would otherwise fine-tune in half), and
a key that is missing from the checkpoint is an error: it would be random weights in silence.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from data_modules.errors import ModelError
from data_modules.text import Tokenizer

# Heads that a checkpoint may lack: nothing here reads them.
_UNUSED = ("pooler.", "cls.", "lm_head.", "classifier.")


def text_model_config(
    tokenizer: Tokenizer, *, hidden: int, layers: int, heads: int, max_pieces: int, dropout: float
) -> dict[str, Any]:
    """Configuration of a BERT from scratch for a tokenizer's vocabulary, as plain data."""
    return {
        "model_type": "bert",
        "vocab_size": tokenizer.vocab_size,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
        "max_position_embeddings": max_pieces,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "pad_token_id": tokenizer.pad_id,
    }


def build_text_model(config: dict[str, Any]) -> nn.Module:
    """An encoder with random weights from its configuration (scratch, or before a state dict)."""
    from transformers import AutoConfig, AutoModel

    settings = dict(config)
    model = AutoModel.from_config(  # type: ignore[no-untyped-call]
        AutoConfig.for_model(settings.pop("model_type"), **settings), dtype=torch.float32
    )
    return _without_pooler(model)


def _without_pooler(model: nn.Module) -> nn.Module:
    # the pooler's weights would be trained by nothing and stall distributed training
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # type: ignore[assignment]
    return model


def load_text_model(name: str, revision: str | None = None) -> nn.Module:
    """A pretrained encoder.

    Args:
        name: A folder of a checkpoint, or a hub id.
        revision: Commit or tag of a hub id.

    Raises:
        ModelError: It cannot be found or read, or the checkpoint lacks weights of the encoder.
    """
    from transformers import AutoModel

    try:
        model, info = AutoModel.from_pretrained(
            name,
            revision=revision or "main",
            dtype=torch.float32,
            output_loading_info=True,
            weights_only=True,
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"model.text.name={name}",
            expected="a folder of a transformers checkpoint or a hub id that can be reached",
            got=str(error).splitlines()[0],
            fix="check the name, or download the model to a folder and give its path",
        ) from error
    missing = [
        key for key in info["missing_keys"] if not any(part in f"{key}." for part in _UNUSED)
    ]
    if missing:
        raise ModelError(
            f"model.text.name={name}",
            expected="weights for every part of the encoder",
            got=f"none for {', '.join(sorted(missing)[:3])} ({len(missing)} in all)",
            fix="use the checkpoint that belongs to this architecture",
        )
    return _without_pooler(model)
