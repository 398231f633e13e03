"""Speech to text: Whisper, or any CTC model of transformers that spells, decoded greedily.

No language model and no beam: the words are what the model itself hears, and the same each time. A
CTC model reads one clip at a time, as for word times. Whisper reads windows of 30 s, so a batch
needs no padding that it would not have alone; longer clips are read window by window.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from data_modules.aligners import Waveform
from data_modules.ctc_files import CtcFiles
from data_modules.ctc_model import CtcModel, find_device
from data_modules.errors import ModelError
from data_modules.pretrained import find_checkpoint, quiet_transformers

_SAMPLE_RATE = 16_000
_WINDOW = 30 * _SAMPLE_RATE
WHISPER_FILES = (
    *("config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json"),
    *("*token*.json", "vocab.json", "merges.txt", "normalizer.json"),
    *("model.safetensors", "model-*.safetensors", "model.safetensors.index.json"),
)


class Recogniser(Protocol):
    """Writes down what is said."""

    def texts(self, waveforms: Sequence[Waveform]) -> list[str]:
        """The words of clips ``(N,)`` (float32, 16 kHz) as texts; empty where it hears none."""


class CtcRecogniser:
    """The likeliest letter of each frame, repetitions and blanks removed.

    Args:
        model: What hears.
    """

    def __init__(self, model: CtcModel) -> None:
        self._model = model
        self._letters = {number: letter for letter, number in model.vocabulary.items()}
        if model.delimiter is not None:
            self._letters[model.delimiter] = " "

    def texts(self, waveforms: Sequence[Waveform]) -> list[str]:
        """One clip after the other."""
        return [self._text(waveform) for waveform in waveforms]

    def _text(self, waveform: Waveform) -> str:
        best = self._model.emissions(waveform).log_probs.argmax(dim=-1)
        kept = torch.unique_consecutive(best).tolist()
        spelled = "".join(self._letters.get(number, "") for number in kept)
        return " ".join(spelled.lower().split())


class WhisperRecogniser:
    """A Whisper checkpoint, greedy, told the language.

    Args:
        folder: Of the checkpoint.
        language: ISO 639-1 code; ignored by checkpoints that know English alone.
        device: As torch names it.
        where: What errors name.
    """

    def __init__(self, folder: Path, language: str, device: str, *, where: str) -> None:
        import transformers

        auto: Any = transformers  # half of it has no types
        local: dict[str, Any] = {"local_files_only": True}
        try:
            with quiet_transformers():
                self._extract = auto.WhisperFeatureExtractor.from_pretrained(str(folder), **local)
                self._tokenizer = auto.AutoTokenizer.from_pretrained(str(folder), **local)
                self._model = auto.WhisperForConditionalGeneration.from_pretrained(
                    str(folder), dtype=torch.float32, weights_only=True, **local
                )
        except Exception as error:
            # damaged files end in errors of many types
            raise ModelError(
                where,
                expected="a Whisper checkpoint that transformers can read",
                got=f"{type(error).__name__}: {error}".splitlines()[0],
                fix="give the folder that `save_pretrained` of model and processor wrote",
            ) from error
        self._model = self._model.to(device).eval()
        self._device = device
        multilingual = bool(getattr(self._model.generation_config, "is_multilingual", False))
        self._told = {"language": language, "task": "transcribe"} if multilingual else {}

    def texts(self, waveforms: Sequence[Waveform]) -> list[str]:
        """All windows of all clips as one batch."""
        owners, windows = [], []
        for number, waveform in enumerate(waveforms):
            for start in range(0, max(1, len(waveform)), _WINDOW):
                owners.append(number)
                windows.append(waveform[start : start + _WINDOW])
        inputs = self._extract(windows, sampling_rate=_SAMPLE_RATE, return_tensors="pt")
        with torch.inference_mode(), quiet_transformers():
            found = self._model.generate(
                inputs.input_features.to(self._device), do_sample=False, num_beams=1, **self._told
            )
        spoken: list[list[str]] = [[] for _ in waveforms]
        texts = self._tokenizer.batch_decode(found, skip_special_tokens=True)
        for owner, text in zip(owners, texts, strict=True):
            spoken[owner] += text.split()
        return [" ".join(words) for words in spoken]


def load_recogniser(
    name: str, revision: str | None, language: str, device: str, *, where: str = "--model"
) -> tuple[Recogniser, dict[str, Any]]:
    """A recogniser and the record of its weights.

    Args:
        name: Folder or hub id.
        revision: Of a hub id.
        language: ISO 639-1 code of the corpus.
        device: ``auto``, ``cpu``, or as torch names it.
        where: What errors name.

    Raises:
        ModelError: It cannot be had, read or used.
        ConfigError: There is no such device.
    """
    where = f"{where}={name}"
    folder = find_checkpoint(name, revision, patterns=("config.json",), where=where)
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            where,
            expected="a checkpoint with a config.json that names its model_type",
            got=f"{type(error).__name__}: {error}",
            fix="give the folder that `save_pretrained` wrote",
        ) from None
    found = find_device(device)
    files = CtcFiles.find(name, revision, where=where)
    record: dict[str, Any] = {**files.record(language), "kind": kind}
    if kind != "whisper":
        return CtcRecogniser(CtcModel(files, found, where="--model")), record
    folder = find_checkpoint(name, revision, patterns=WHISPER_FILES, where=where)
    return WhisperRecogniser(folder, language, found, where=where), record
