"""Recognised words beside the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from data_modules.ctc_files import CtcFiles
from data_modules.ctc_model import CtcModel, Emissions
from data_modules.recognised import compared_words, word_error_rate
from data_modules.recognisers import CtcRecogniser
from tests.data_modules.tiny_ctc import LETTERS, SPECIAL, write_tiny_ctc


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
