"""Text upstreams of the BERT family: from the hub or a folder, or a small one from scratch.

BERT, RoBERTa, DeBERTa and its second version, DistilBERT, ELECTRA, MPNet, ModernBERT and others
with the same interface. How weights are loaded is in ``pretrained.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from data_modules.errors import ModelError
from data_modules.text import Tokenizer
from sermm.nn.linear import use_onednn
from sermm.upstreams.pretrained import (
    OLD_WEIGHT_FILES,
    WEIGHT_FILES,
    commit_of,
    file_digest,
    find_folder,
    load_encoder,
)

# Families whose first position is the one after the id of padding.
_COUNTS_FROM_PADDING = (
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "data2vec-text",
    "longformer",
    "mpnet",
)


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
    return _made_ready(model)


def _made_ready(model: nn.Module) -> nn.Module:
    use_onednn(model)
    # the pooler's weights would be trained by nothing and stall distributed training
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # type: ignore[assignment]
    return model


def load_text_model(name: str, revision: str | None = None) -> nn.Module:
    """A pretrained encoder.

    Args:
        name: A folder of a checkpoint, or a hub id.
        revision: Branch, tag or commit of a hub id.

    Raises:
        ModelError: It cannot be found or read, is no encoder, or lacks weights of the encoder.
    """
    where, folder = f"model.text.name={name}", _find_folder(name, revision)
    from transformers import AutoModel

    model = load_encoder(AutoModel, folder, where=where)
    if model.config.is_encoder_decoder or not hasattr(model.config, "hidden_size"):
        raise ModelError(
            where,
            expected="an encoder of the BERT family",
            got=type(model).__name__,
            fix="choose such a model",
        )
    return _made_ready(model)


def checkpoint_text_gradients(model: nn.Module) -> None:
    """In training, compute activations again in the backward pass instead of keeping them."""
    model.activation_checkpointing_enable(  # type: ignore[operator]
        activation_checkpointing_kwargs={"use_reentrant": False}
    )


def _find_folder(name: str, revision: str | None) -> Path:
    return find_folder(name, revision, settings=("config.json",), where=f"model.text.name={name}")


def text_model_facts(name: str, revision: str | None = None) -> dict[str, str | None]:
    """Which weights a run started from, for its record: a folder's or branch's name can move on.

    Returns:
        ``name``, ``revision`` as asked for, the ``commit`` that it stands for (of a hub id, also if
        no revision was asked for) and ``sha256`` over configuration and weights.
    """
    folder = _find_folder(name, revision)
    return {
        "name": name,
        "revision": revision,
        "commit": commit_of(folder),
        "sha256": file_digest(folder, ("config.json", *WEIGHT_FILES, *OLD_WEIGHT_FILES)),
    }


def longest_input(config: Mapping[str, Any]) -> int | None:
    """Most pieces that an encoder has positions for; None if it does not count them.

    Args:
        config: Of the encoder, as plain data.
    """
    positions = config.get("max_position_embeddings")
    if not positions:
        return None
    if config["model_type"] in _COUNTS_FROM_PADDING:
        return int(positions) - int(config["pad_token_id"]) - 1
    return int(positions)
