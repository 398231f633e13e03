"""A CTC model of transformers: what it hears in a waveform.

Any model that ``AutoModelForCTC`` loads will do whose vocabulary consists of letters (wav2vec 2.0,
HuBERT, WavLM and their kin, fine-tuned for recognition). One clip is read at a time, so nothing is
padded and no clip's times depend on another's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data_modules.ctc_files import CHUNK_S, CtcFiles
from data_modules.errors import ConfigError, ModelError
from data_modules.pretrained import quiet_transformers

_SAMPLE_RATE = 16_000
OVERLAP_S = 2.0
"""What a chunk sees beyond the frames that count, on each side."""


@dataclass(frozen=True)
class Emissions:
    """What a model hears.

    Attributes:
        log_probs: ``(F, V)`` float32 on the CPU; F is 0 for a clip that is too short for a frame.
        num_chunks: In how many parts the clip was read.
    """

    log_probs: Tensor
    num_chunks: int


class CtcModel:
    """A model with its vocabulary and its clock.

    Attributes:
        vocabulary: Letters to ids, without special tokens.
        blank: Id of the blank.
        delimiter: Id of what stands between words; None if there is no such token.
        stride: Samples from one frame to the next.
        offset: Samples from the start of the audio to the start of the first frame's share; the
            frame is centred on what it sees.
    """

    def __init__(self, files: CtcFiles, device: str = "cpu", *, where: str = "--model") -> None:
        self._where = f"{where}={files.name}"
        self._device = torch.device(device)
        self._extract, tokenizer, model = _load(files.folder, self._where)
        self._model = model.to(self._device).eval()
        self.blank = self._find_blank(tokenizer)
        self.vocabulary, self.delimiter = self._find_letters(tokenizer)
        self.stride, self.offset, self._shortest = self._find_clock()

    def emissions(self, waveform: np.ndarray[Any, np.dtype[np.float32]]) -> Emissions:
        """Log-probabilities of all tokens in each frame of a clip.

        Args:
            waveform: ``(N,)`` float32, 16 kHz, mono.
        """
        if len(waveform) < self._shortest:
            return Emissions(torch.zeros(0, self._num_tokens), 1)
        inputs = self._inputs(waveform)
        # whole before it is cut: each chunk by its own level would differ at the seams
        cut_inputs = "input_values" in inputs
        num_samples = len(waveform)
        parts = []
        chunks = _chunks(num_samples, self.stride)
        for start, stop, first, last in chunks:
            if len(chunks) == 1:
                chunk = inputs
            elif cut_inputs:
                chunk = {name: value[:, start:stop] for name, value in inputs.items()}
            else:
                chunk = self._inputs(waveform[start:stop])
            parts.append(self._forward(chunk)[first:last])
        return Emissions(torch.cat(parts), len(chunks))

    def _inputs(self, waveform: np.ndarray[Any, np.dtype[np.float32]]) -> dict[str, Tensor]:
        """What the checkpoint's own feature extractor makes of a clip, normalised as it says."""
        found = dict(self._extract(waveform, sampling_rate=_SAMPLE_RATE, return_tensors="pt"))
        if "input_values" in found:
            # of one clip that is not padded it says nothing, and WavLM's attention warns of it
            found.pop("attention_mask", None)
        return found

    @torch.inference_mode()
    def _forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Inputs of one clip to ``(F, V)``."""
        on_device = {name: value.to(self._device) for name, value in inputs.items()}
        logits: Tensor = self._model(**on_device).logits[0]  # (F, V)
        return logits.float().log_softmax(dim=-1).cpu()

    @property
    def _num_tokens(self) -> int:
        return int(self._model.config.vocab_size)

    def _find_blank(self, tokenizer: Any) -> int:
        blank = self._model.config.pad_token_id
        if blank is None or blank != tokenizer.pad_token_id or not 0 <= blank < self._num_tokens:
            raise ModelError(
                self._where,
                expected="one id for the blank, which transformers calls padding",
                got=f"{blank} in its configuration and {tokenizer.pad_token_id} in its vocabulary",
                fix="choose another model, or mend pad_token_id in its config.json",
            )
        return int(blank)

    def _find_letters(self, tokenizer: Any) -> tuple[dict[str, int], int | None]:
        """Letters to ids, and the id of what stands between words."""
        tokens: dict[str, int] = tokenizer.get_vocab()
        between = getattr(tokenizer, "word_delimiter_token", None)
        # markers such as <s>, and what was added to the vocabulary beyond the model's outputs
        left_out = {*tokenizer.all_special_tokens, between}
        plain = {t: i for t, i in tokens.items() if t not in left_out and 0 <= i < self._num_tokens}
        letters = {token: number for token, number in plain.items() if len(token) == 1}
        phonemes = "Phoneme" in type(tokenizer).__name__
        if phonemes or not any(map(str.isalpha, letters)) or 2 * len(letters) <= len(plain):
            raise ModelError(
                self._where,
                expected="a vocabulary of letters",
                got="one of phonemes" if phonemes else f"{len(letters)} letters of {len(plain)}",
                fix="choose a model that spells, such as facebook/wav2vec2-base-960h (English)",
            )
        return letters, tokens.get(between) if between is not None else None

    def _find_clock(self) -> tuple[int, float, int]:
        """Stride and offset in samples, and the length of the shortest clip with a frame."""
        config = self._model.config
        kernels, strides = (
            getattr(config, "conv_kernel", None),
            getattr(config, "conv_stride", None),
        )
        if kernels and strides and self._model.main_input_name == "input_values":
            stride, sees = 1, 1
            for kernel, step in zip(kernels, strides, strict=True):
                sees += (kernel - 1) * stride
                stride *= step
            # SEW halves the rate and doubles it again, so it needs two frames
            shortest = sees + stride * (int(getattr(config, "squeeze_factor", 1)) - 1)
            return stride, (sees - stride) / 2, shortest
        # other front ends are asked: frames of eight seconds more of noise
        noise = np.random.default_rng(0).normal(0, 0.1, 16 * _SAMPLE_RATE).astype(np.float32)
        short, long = (
            len(self._forward(self._inputs(noise[: seconds * _SAMPLE_RATE]))) for seconds in (8, 16)
        )
        stride = round(8 * _SAMPLE_RATE / max(long - short, 1))
        return stride, 0.0, 4 * stride


def _chunks(num_samples: int, stride: int) -> list[tuple[int, int, int, int | None]]:
    """Samples from and to, and which frames of these count: first, and the one after the last."""
    length = math.floor(CHUNK_S * _SAMPLE_RATE / stride)
    overlap = math.floor(OVERLAP_S * _SAMPLE_RATE / stride)
    if num_samples <= length * stride:
        return [(0, num_samples, 0, None)]
    chunks: list[tuple[int, int, int, int | None]] = []
    start = 0
    while (start + length) * stride < num_samples:
        first = overlap if start else 0
        chunks.append((start * stride, (start + length) * stride, first, length - overlap))
        start += length - 2 * overlap
    return [*chunks, (start * stride, num_samples, overlap, None)]


def _load(folder: str, where: str) -> tuple[Any, Any, Any]:
    """Feature extractor, tokenizer and model of a checkpoint, in float32."""
    import transformers

    auto: Any = transformers  # half of it has no types
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet_transformers():
            extract = auto.AutoFeatureExtractor.from_pretrained(folder, **local)
            tokenizer = auto.AutoTokenizer.from_pretrained(folder, **local)
            model, info = auto.AutoModelForCTC.from_pretrained(
                folder, dtype=torch.float32, output_loading_info=True, weights_only=True, **local
            )
    except Exception as error:
        # damaged files end in errors of many types, from the parser to the shapes of the weights
        raise ModelError(
            where,
            expected="a CTC model with feature extractor and tokenizer that transformers can read",
            got=f"{type(error).__name__}: {error}".splitlines()[0],
            fix="give a folder that holds what `save_pretrained` of all three wrote, or a hub id",
        ) from error
    # a pretrained encoder without its recognition head would get a random one
    missing = sorted(key for key in info["missing_keys"] if "masked_spec_embed" not in key)
    if missing:
        raise ModelError(
            where,
            expected="weights for every part of a CTC model",
            got=f"none for {', '.join(missing[:3])} ({len(missing)} in all)",
            fix="choose a model that was fine-tuned for recognition",
        )
    if extract.sampling_rate != _SAMPLE_RATE:
        raise ModelError(
            where,
            expected="a model of 16 kHz audio",
            got=f"{extract.sampling_rate} Hz",
            fix="choose another model",
        )
    return extract, tokenizer, model


def find_device(name: str) -> str:
    """The device that a name stands for.

    Args:
        name: ``auto`` (a GPU if there is one), ``cpu``, or a device as torch names it.

    Raises:
        ConfigError: There is no such device.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            "--device",
            expected="auto, cpu, or a device of this machine such as cuda",
            got=f"{name} ({str(error).splitlines()[0]})",
            fix="choose another",
        ) from None
    return name
