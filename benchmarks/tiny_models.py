"""Small random encoders of every family that sermm loads, as `save_pretrained` writes them.

The layout is that of the published models (kernels, strides, norms, positions), the width is not.
Norms and biases are drawn at random, too: as they are initialised, they would hide padding that
leaks in by their way.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

_WAVE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
_GROUP = {**_WAVE, "feat_extract_norm": "group"}
_LAYER = {**_WAVE, "feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
_BERT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 80,
    "vocab_size": 60,
}


def _wave(kind: str, settings: dict[str, Any]) -> Any:
    import transformers

    return getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**settings))


def _data2vec() -> Any:
    settings = {**_WAVE, "num_conv_pos_embeddings": 5, "conv_pos_kernel_size": 19}
    return _wave("Data2VecAudio", settings)


def wav2vec2_bert(**settings: Any) -> Any:
    """A conformer; settings of its configuration, such as ``position_embeddings_type``."""
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    }
    return _wave("Wav2Vec2Bert", {**sizes, **settings})


def _whisper() -> Any:
    """With windows of 2 s in place of 30 s."""
    settings = {
        "d_model": 32,
        "encoder_layers": 2,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "decoder_layers": 1,
        "decoder_attention_heads": 2,
        "decoder_ffn_dim": 64,
        "max_source_positions": 100,
        "vocab_size": 20,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 1,
    }
    return _wave("Whisper", settings)


SPEECH: dict[str, Callable[[], Any]] = {
    "wav2vec2, group norm": lambda: _wave("Wav2Vec2", _GROUP),
    "wav2vec2, layer norm": lambda: _wave("Wav2Vec2", _LAYER),
    "hubert, group norm": lambda: _wave("Hubert", _GROUP),
    "hubert, layer norm": lambda: _wave("Hubert", _LAYER),
    "hubert, batch norm": lambda: _wave("Hubert", {**_GROUP, "conv_pos_batch_norm": True}),
    "wavlm, group norm": lambda: _wave("WavLM", _GROUP),
    "wavlm, layer norm": lambda: _wave("WavLM", _LAYER),
    "data2vec-audio": _data2vec,
    "unispeech-sat, group norm": lambda: _wave("UniSpeechSat", _GROUP),
    "unispeech-sat, layer norm": lambda: _wave("UniSpeechSat", _LAYER),
    "wav2vec2-bert": wav2vec2_bert,
    "whisper": _whisper,
}
"""Speech families; of those with two kinds of norm, both."""


def _text(kind: str, **settings: Any) -> Any:
    return _wave(kind, {**_BERT, **settings})


TEXT: dict[str, Callable[[], Any]] = {
    "bert": lambda: _text("Bert"),
    "roberta": lambda: _text("Roberta", pad_token_id=1),
    "deberta": lambda: _text(
        "Deberta", relative_attention=True, pos_att_type=["c2p", "p2c"], max_relative_positions=-1
    ),
    "deberta-v2": lambda: _text(
        "DebertaV2",
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        max_relative_positions=-1,
        position_buckets=16,
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        position_biased_input=False,
        conv_kernel_size=3,
        conv_act="gelu",
    ),
    "distilbert": lambda: _wave(
        "DistilBert",
        {
            "dim": 32,
            "n_layers": 2,
            "n_heads": 2,
            "hidden_dim": 64,
            "max_position_embeddings": 80,
            "vocab_size": 60,
        },
    ),
    "electra": lambda: _text("Electra", embedding_size=16),
    "mpnet": lambda: _text("MPNet", pad_token_id=1),
    "modernbert": lambda: _text(
        "ModernBert",
        num_hidden_layers=4,
        local_attention=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        cls_token_id=1,
        sep_token_id=2,
    ),
}
"""Text families. deberta-v2 has the convolution of its largest models, modernbert local layers."""


def save_speech_model(family: str, folder: Path, *, seed: int = 0) -> Path:
    """A model with random weights and its feature extractor in a folder."""
    from transformers import (
        SeamlessM4TFeatureExtractor,
        Wav2Vec2FeatureExtractor,
        WhisperFeatureExtractor,
    )

    torch.manual_seed(seed)
    model = SPEECH[family]()
    _disturb(model)
    extractor: Any
    if family == "whisper":
        extractor = WhisperFeatureExtractor(chunk_length=2)
    elif family == "wav2vec2-bert":
        extractor = SeamlessM4TFeatureExtractor()
    else:
        # as the published models of each kind say
        by_layer = getattr(model.config, "feat_extract_norm", "layer") == "layer"
        extractor = Wav2Vec2FeatureExtractor(return_attention_mask=by_layer)
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


def save_text_model(family: str, folder: Path, *, seed: int = 0) -> Path:
    """A model with random weights in a folder, without a tokenizer."""
    torch.manual_seed(seed)
    model = TEXT[family]()
    _disturb(model)
    model.save_pretrained(folder)
    return folder


def _disturb(model: nn.Module) -> None:
    norms = (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm1d)
    with torch.no_grad():
        for module in model.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if name == "bias" or isinstance(module, norms):
                    parameter.add_(0.3 * torch.randn_like(parameter))
            if isinstance(module, nn.BatchNorm1d):
                assert module.running_mean is not None
                module.running_mean.normal_(std=0.3)
