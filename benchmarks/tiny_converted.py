"""Random wav2vec, vq-wav2vec and Speech-BERT checkpoints in the layout of `s3prl/converted_ckpts`.

Every number comes from numpy's RandomState, whose streams are frozen: a seed means the same weights
on every machine and in every version, so that stored results can be compared with. Kernels, strides
and padding are those of the published models, the width is not; norms and biases are drawn, too.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sermm.upstreams import speech_bert, vq_wav2vec, wav2vec

WAV2VEC = wav2vec.FILE
QUANTIZER = vq_wav2vec.FILE
BERT = speech_bert.FILE

_CONTEXT = "[(12, 2, 1), (12, 3, 1), (12, 4, 1), (12, 5, 1)]"
_FEATURES = "[(12, 10, 5), (12, 8, 4)] + [(12, 4, 2)] * 3 + [(12, 1, 1)] * 2"
_BASE = {
    "_name": "wav2vec",
    "infonce": True,
    "conv_feature_layers": _FEATURES,
    "conv_aggregator_layers": _CONTEXT,
    "activation": "relu",
    "log_compression": True,
    "skip_connections_agg": True,
    "residual_scale": 0.5,
    "vq_type": "none",
}
# what wav2vec_large.pt leaves at its other value
_OTHER = {
    **_BASE,
    "conv_feature_layers": "[(8, 10, 5), (16, 8, 4)] + [(16, 4, 2)] * 3",
    "conv_aggregator_layers": "[(16, 3, 1), (10, 2, 1), (10, 5, 1)]",
    "activation": "gelu",
    "skip_connections_feat": True,
    "no_conv_bias": True,
    "agg_zero_pad": True,
    "non_affine_group_norm": True,
    "residual_scale": 0.3,
    "project_features": "same",
}
_KMEANS = {
    **_BASE,
    "activation": "gelu",
    "log_compression": False,
    "vq_type": "kmeans",
    "vq_vars": 20,
    "vq_groups": 2,
}
_FULL_FEATURES = "[(512, 10, 5), (512, 8, 4)] + [(512, 4, 2)] * 3"
_FULL_CONTEXT = "[" + ", ".join(f"(512, {kernel}, 1)" for kernel in range(2, 14)) + "]"

CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "wav2vec": _BASE,
    "wav2vec, every other setting": _OTHER,
    "vq-wav2vec": {**_KMEANS, "combine_groups": True},
    "vq-wav2vec, codes by group": {**_KMEANS, "combine_groups": False},
    "wav2vec, published size": {
        **_BASE,
        "conv_feature_layers": f"{_FULL_FEATURES} + [(512, 1, 1)] * 2",
        "conv_aggregator_layers": _FULL_CONTEXT,
    },
    "vq-wav2vec, published size": {
        **_KMEANS,
        "conv_feature_layers": f"{_FULL_FEATURES} + [(512, 1, 1)] * 3",
        "conv_aggregator_layers": _FULL_CONTEXT,
        "combine_groups": True,
        "vq_vars": 320,
    },
}
"""``model_cfg`` by what it is of."""

_SMALL_BERT = {
    "encoder_layers": 2,
    "encoder_embed_dim": 24,
    "encoder_ffn_embed_dim": 48,
    "encoder_attention_heads": 3,
    "max_positions": 150,
    "activation_fn": "gelu",
}
BERTS: dict[str, dict[str, Any]] = {
    "speech-bert": _SMALL_BERT,
    "speech-bert, norm first": {
        **_SMALL_BERT,
        "encoder_normalize_before": True,
        "activation_fn": "relu",
    },
    "speech-bert, published size": {"max_positions": 2048},
}
"""Attributes of the ``model_cfg`` of RoBERTa by what it is of."""


class _Draw:
    """Tensors by name, each of the next numbers of one stream."""

    def __init__(self, seed: int) -> None:
        self.stream = np.random.RandomState(seed)
        self.weights: dict[str, Tensor] = {}

    def add(self, name: str, *shape: int, scale: float = 1.0, around: float = 0.0) -> None:
        values = around + scale * self.stream.standard_normal(shape)
        self.weights[name] = torch.from_numpy(values.astype(np.float32))

    def norm(self, name: str, size: int) -> None:
        self.add(f"{name}.weight", size, scale=0.3, around=1.0)
        self.add(f"{name}.bias", size, scale=0.3)

    def linear(self, name: str, out: int, into: int) -> None:
        self.add(f"{name}.weight", out, into, scale=into**-0.5)
        self.add(f"{name}.bias", out, scale=0.3)


def wave(num_samples: int, seed: int) -> Tensor:
    """Noise whose level rises and falls, ``(N,)`` in [-1, 1], from a frozen stream."""
    noise = np.random.RandomState(seed).uniform(-1, 1, num_samples)
    level = np.abs(np.arange(num_samples) % 4_000 - 2_000) / 2_000
    return torch.from_numpy((noise * level).astype(np.float32))


def save_convolutions(path: Path, kind: str, seed: int = 0) -> Path:
    """wav2vec or vq-wav2vec, a key of :data:`CONVOLUTIONS`."""
    torch.save(
        {
            "task_cfg": {"_name": "audio_pretraining", "data": "", "sample_rate": 16_000},
            "model_cfg": CONVOLUTIONS[kind],
            "model_weight": convolutions(CONVOLUTIONS[kind], seed),
        },
        path,
    )
    return path


def convolutions(settings: dict[str, Any], seed: int) -> dict[str, Tensor]:
    """Weights by the names of fairseq, the heads of the pre-training among them."""
    from sermm.upstreams.converted import parse_layers

    draw, channels = _Draw(seed), 1
    affine = not settings.get("non_affine_group_norm", False)
    for i, (width, kernel, _) in enumerate(parse_layers(settings["conv_feature_layers"])):
        name = f"feature_extractor.conv_layers.{i}"
        draw.add(f"{name}.0.weight", width, channels, kernel, scale=(channels * kernel) ** -0.5)
        if affine:
            draw.norm(f"{name}.2", width)
        channels = width
    dim = channels
    if settings["vq_type"] == "kmeans":
        groups, codes = settings["vq_groups"], settings["vq_vars"]
        books = 1 if settings["combine_groups"] else groups
        draw.add("vector_quantizer.embedding", codes, books, dim // groups)
        size = dim // groups
        draw.add("vector_quantizer.projection.0.weight", dim, size, 1, scale=size**-0.5)
        draw.norm("vector_quantizer.projection.1", dim)
    for i, (width, kernel, _) in enumerate(parse_layers(settings["conv_aggregator_layers"])):
        name = f"feature_aggregator.conv_layers.{i}"
        draw.add(f"{name}.1.weight", width, channels, kernel, scale=(channels * kernel) ** -0.5)
        if not settings.get("no_conv_bias", False):
            draw.add(f"{name}.1.bias", width, scale=0.3)
        if affine:
            draw.norm(f"{name}.3", width)
        if width != channels:
            residual = f"feature_aggregator.residual_proj.{i}.weight"
            draw.add(residual, width, channels, 1, scale=channels**-0.5)
        channels = width
    draw.add("wav2vec_predictions.project_to_steps.weight", channels, dim, 1, 12, scale=0.1)
    draw.add("wav2vec_predictions.project_to_steps.bias", dim, scale=0.1)
    if settings.get("project_features") == "same":
        below = {n: v for n, v in draw.weights.items() if n.startswith("feature_aggregator.")}
        for name, value in below.items():
            draw.weights[name.replace("feature_aggregator", "project_features")] = value
    return draw.weights


def dictionary(num_codes: int, seed: int = 0) -> str:
    """Lines ``word count``: two in three pairs of codes, in a random order, and one filler."""
    pairs = [f"{i}-{j}" for i in range(num_codes) for j in range(num_codes)]
    order = np.random.RandomState(seed).permutation(len(pairs))
    kept = [pairs[i] for i in order[: 2 * len(pairs) // 3]]
    lines = [f"{word} {len(kept) - i}" for i, word in enumerate(kept)]
    return "\n".join([*lines, "madeupword0000 0"]) + "\n"


def save_bert(path: Path, kind: str, *, num_codes: int = 20, seed: int = 0) -> Path:
    """RoBERTa over pairs of codes, a key of :data:`BERTS`."""
    words = dictionary(num_codes, seed)
    torch.save(
        {
            "task_cfg": {"_name": "masked_lm", "data": "", "seed": 1},
            "model_cfg": argparse.Namespace(**BERTS[kind], arch="roberta_base"),
            "model_weight": bert(BERTS[kind], num_words=words.count("\n") + 5, seed=seed),
            "text_dictionary": words,
        },
        path,
    )
    return path


def bert(settings: dict[str, Any], *, num_words: int, seed: int) -> dict[str, Tensor]:
    """Weights by the names of fairseq, the head of the pre-training among them."""
    draw, dim = _Draw(seed), settings.get("encoder_embed_dim", 768)
    wide = settings.get("encoder_ffn_embed_dim", 3072)
    top = "encoder.sentence_encoder"
    draw.weights[f"{top}.version"] = torch.tensor([3.0])
    draw.add(f"{top}.embed_tokens.weight", num_words, dim)
    draw.add(f"{top}.embed_positions.weight", settings["max_positions"] + 2, dim)
    for table in ("tokens", "positions"):
        draw.weights[f"{top}.embed_{table}.weight"][1] = 0.0  # of the padding
    draw.norm(f"{top}.layernorm_embedding", dim)
    for i in range(settings.get("encoder_layers", 12)):
        layer = f"{top}.layers.{i}"
        for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
            draw.linear(f"{layer}.self_attn.{part}", dim, dim)
        draw.norm(f"{layer}.self_attn_layer_norm", dim)
        draw.linear(f"{layer}.fc1", wide, dim)
        draw.linear(f"{layer}.fc2", dim, wide)
        draw.norm(f"{layer}.final_layer_norm", dim)
    if settings.get("encoder_normalize_before", False):
        draw.norm(f"{top}.layer_norm", dim)
    # tied to the embeddings, as fairseq stores it
    draw.weights["encoder.lm_head.weight"] = draw.weights[f"{top}.embed_tokens.weight"]
    draw.add("encoder.lm_head.bias", num_words)
    draw.linear("encoder.lm_head.dense", dim, dim)
    draw.norm("encoder.lm_head.layer_norm", dim)
    return draw.weights


def save_speech_bert(folder: Path, kind: str = "speech-bert", seed: int = 0) -> Path:
    """The two files of Speech-BERT in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    full = kind.endswith("published size")
    quantizer = "vq-wav2vec, published size" if full else "vq-wav2vec"
    save_convolutions(folder / QUANTIZER, quantizer, seed)
    save_bert(folder / BERT, kind, num_codes=320 if full else 20, seed=seed)
    return folder
