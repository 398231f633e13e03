"""Clips and tiny encoders that the tests of speech upstreams share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from benchmarks.tiny_models import save_speech_model
from sermm.upstreams.huggingface import HuggingFaceUpstream, load_huggingface


def voice(num_samples: int, seed: int = 0) -> Tensor:
    """Noise that rises and falls over a hum, ``(N,)``."""
    draw = torch.Generator().manual_seed(seed)
    time = torch.arange(num_samples) / 16_000
    noise = torch.randn(num_samples, generator=draw) * (1 + torch.sin(6 * time + seed))
    return (0.1 * noise + 0.2 * torch.sin(2 * torch.pi * 150 * time)).clamp(-1, 1)


def padded(clips: Sequence[Tensor], filler: float = float("nan")) -> tuple[Tensor, Tensor]:
    """A batch ``(B, N)``, by default with padding that shows wherever it gets in, and lengths."""
    lengths = torch.tensor([len(clip) for clip in clips])
    return pad_sequence(list(clips), batch_first=True, padding_value=filler), lengths


class Models:
    """Folders of tiny models, each made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, family: str) -> Path:
        found = self.folder / family.replace(", ", "-").replace(" ", "_")
        return found if found.exists() else save_speech_model(family, found)

    def load(self, family: str, **options: Any) -> HuggingFaceUpstream:
        return load_huggingface(name=str(self.path(family)), **options)


def edit_weights(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
