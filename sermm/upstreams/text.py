"""Text upstreams of the BERT family: from the hub or a folder, or a small one from scratch.

Weights are loaded in float32 (a half-precision checkpoint would otherwise fine-tune in half), and
a key that is missing from the checkpoint is an error: it would be random weights in silence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from data_modules.errors import ModelError
from data_modules.pretrained import find_checkpoint, quiet_transformers
from data_modules.text import Tokenizer

# Heads that a checkpoint may lack: nothing here reads them.
_UNUSED = ("pooler.", "cls.", "lm_head.", "classifier.")
_FILES = ("config.json", "*.safetensors", "*.safetensors.index.json")
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
# what older checkpoints have in place of safetensors
_OLD_FILES = ("config.json", "pytorch_model*.bin", "pytorch_model.bin.index.json")


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
        revision: Branch, tag or commit of a hub id.

    Raises:
        ModelError: It cannot be found or read, is no encoder, or lacks weights of the encoder.
    """
    where, folder = f"model.text.name={name}", _find_folder(name, revision)
    from transformers import AutoModel

    try:
        with quiet_transformers():
            model, info = AutoModel.from_pretrained(
                str(folder),
                dtype=torch.float32,
                output_loading_info=True,
                weights_only=True,
                local_files_only=True,
            )
    except Exception as error:
        # damaged files end in errors of many types, from the parser to the shapes of the weights
        raise ModelError(
            where,
            expected="a checkpoint that transformers can read",
            got=f"{type(error).__name__}: {error}".splitlines()[0],
            fix="give the folder that `save_pretrained` wrote, or download the model again",
        ) from error
    if model.config.is_encoder_decoder or not hasattr(model.config, "hidden_size"):
        raise ModelError(
            where,
            expected="an encoder of the BERT family",
            got=type(model).__name__,
            fix="choose such a model",
        )
    missing = [
        key for key in info["missing_keys"] if not any(part in f"{key}." for part in _UNUSED)
    ]
    if missing:
        raise ModelError(
            where,
            expected="weights for every part of the encoder",
            got=f"none for {', '.join(sorted(missing)[:3])} ({len(missing)} in all)",
            fix="use the checkpoint that belongs to this architecture",
        )
    return _without_pooler(model)


def _find_folder(name: str, revision: str | None) -> Path:
    where = f"model.text.name={name}"
    folder = find_checkpoint(name, revision, patterns=_FILES, where=where)
    if any(folder.glob("*.safetensors")):
        return folder
    return find_checkpoint(name, revision, patterns=_OLD_FILES, where=where)


def text_model_facts(name: str, revision: str | None = None) -> dict[str, str | None]:
    """Which weights a run started from, for its record: a folder's or branch's name can move on.

    Returns:
        ``name``, ``commit`` (of a hub id) and ``sha256`` over configuration and weights.
    """
    folder = _find_folder(name, revision)
    digest = hashlib.sha256()
    files = {path for pattern in (*_FILES, *_OLD_FILES) for path in folder.glob(pattern)}
    for path in sorted(files):
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    # the hub's cache names the folder of a revision by its commit
    commit = folder.name if folder.parent.name == "snapshots" else None
    return {"name": name, "commit": commit, "sha256": digest.hexdigest()}


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
