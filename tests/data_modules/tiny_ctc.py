"""A CTC checkpoint with random weights, in the files that ``save_pretrained`` writes.

Its frames are 2.5 ms apart, so that clips of a quarter of a second have room for a sentence.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ'"
SPECIAL = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4}
QUICK = {"conv_dim": (8, 8), "conv_kernel": (10, 8), "conv_stride": (5, 8)}
# of wav2vec 2.0: 25 ms every 20 ms
USUAL = {
    "conv_dim": (8,) * 7,
    "conv_kernel": (10, 3, 3, 3, 3, 2, 2),
    "conv_stride": (5, 2, 2, 2, 2, 2, 2),
}


def write_tiny_ctc(
    folder: Path, *, seed: int = 0, letters: str = LETTERS, conv: dict[str, Any] = QUICK
) -> Path:
    """Write it and return the folder."""
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
    )

    folder.mkdir(parents=True)
    vocabulary = SPECIAL | {letter: k for k, letter in enumerate(letters, start=len(SPECIAL))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    tokenizer: Any = Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"), pad_token="<pad>", unk_token="<unk>"
    )
    config = Wav2Vec2Config(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        pad_token_id=0,
        **conv,
    )
    torch.manual_seed(seed)
    model: Any = Wav2Vec2ForCTC(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(folder)
    return folder
