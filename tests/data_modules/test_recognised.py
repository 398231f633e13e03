"""Recognised words beside the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from data_modules.ctc_files import CtcFiles
from data_modules.ctc_model import CtcModel, Emissions
from data_modules.recognised import compared_words, word_error_rate
from data_modules.recognisers import CtcRecogniser, load_recogniser
from tests.data_modules.tiny_ctc import LETTERS, SPECIAL, write_tiny_ctc
from tests.data_modules.tiny_whisper import write_tiny_whisper


def test_errors_are_counted_without_case_and_punctuation() -> None:
    assert compared_words("Don't [LAUGHTER] -- go!") == "dont go"
    # one replaced, one gone, one too many over five reference words
    pairs = {"a": ("It was a Day.", "it is a"), "b": ("yes", "yes yes"), "c": ("...", "noise")}
    assert word_error_rate(pairs) == pytest.approx(3 / 5)
    assert np.isnan(word_error_rate({"c": ("", "noise")}))


def test_letters_become_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_tiny_ctc(tmp_path / "ctc")
    model = CtcModel(CtcFiles.find(str(folder), where="--model"), where="--model")
    ids = SPECIAL | {letter: k for k, letter in enumerate(LETTERS, start=len(SPECIAL))}
    path = ["<pad>", "S", "S", "O", "<pad>", "O", "|", "|", "A", "<s>", "|"]
    scores = torch.eye(len(ids))[[ids[token] for token in path]].log()
    monkeypatch.setattr(model, "emissions", lambda _: Emissions(scores, 1))
    assert CtcRecogniser(model).texts([np.zeros(9, np.float32)] * 2) == ["soo a"] * 2


def test_whisper_hears_a_clip_alone_as_in_a_batch_and_a_long_one_by_windows(tmp_path: Path) -> None:
    folder = write_tiny_whisper(tmp_path / "whisper", multilingual=True)
    generator = np.random.default_rng(0)
    clips = [
        (level * generator.normal(size=round(16_000 * seconds))).astype(np.float32)
        for seconds, level in ((0.5, 0.1), (1.0, 0.2), (40.0, 0.3))
    ]
    english, german = (load_recogniser(str(folder), None, name, "cpu")[0] for name in ("en", "de"))
    texts = english.texts(clips)
    assert [english.texts([clip])[0] for clip in clips] == texts
    assert len(set(texts)) == 3
    # 30 s and the rest, five words of each
    long = clips[2]
    assert texts[2].split() == " ".join(english.texts([long[:480_000], long[480_000:]])).split()
    assert len(texts[2].split()) == 10
    assert german.texts(clips) != texts
