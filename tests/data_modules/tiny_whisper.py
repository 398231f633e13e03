"""A Whisper checkpoint with random weights, in the files that ``save_pretrained`` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

WORDS = ("the", "dinner", "was", "lovely", "awful", "we", "left", "early", "it", "rained")
START, END = "<|startoftranscript|>", "<|endoftext|>"
TOLD = ("<|en|>", "<|de|>", "<|transcribe|>", "<|translate|>", "<|notimestamps|>")


def write_tiny_whisper(folder: Path, *, multilingual: bool, seed: int = 0) -> Path:
    """Write it and return the folder. It says five words of ``WORDS`` for each window."""
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )

    folder.mkdir(parents=True)
    # a piece for each word; the sign is what byte-level vocabularies write for a space
    pieces = [f"\N{LATIN CAPITAL LETTER G WITH DOT ABOVE}{word}" for word in WORDS]
    names = [*pieces, END, START, *TOLD]
    ids = {name: number for number, name in enumerate(names)}
    (folder / "vocab.json").write_text(json.dumps(ids), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    tokenizer: Any = WhisperTokenizer(
        vocab=ids, merges=[], unk_token=END, bos_token=END, eos_token=END, pad_token=END
    )
    tokenizer.add_special_tokens({"additional_special_tokens": [START, *TOLD]})
    special = {"pad_token_id": ids[END], "bos_token_id": ids[END], "eos_token_id": ids[END]}
    config = WhisperConfig(
        vocab_size=len(names),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_target_positions=16,
        init_std=1.0,  # so that what is heard makes a difference
        decoder_start_token_id=ids[START],
        suppress_tokens=[],
        begin_suppress_tokens=[],
        **special,
    )
    torch.manual_seed(seed)
    model: Any = WhisperForConditionalGeneration(config)
    told: dict[str, Any] = {
        "is_multilingual": multilingual,
        "decoder_start_token_id": ids[START],
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "suppress_tokens": [ids[name] for name in (START, END, *TOLD)],
        "max_new_tokens": 5,
        **special,
    }
    if multilingual:
        told["lang_to_id"] = {name: ids[name] for name in TOLD[:2]}
        told["task_to_id"] = {name.strip("<|>"): ids[name] for name in TOLD[2:4]}
    model.generation_config = GenerationConfig(**told)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    return folder
