"""The measure of what gets in from the padding, and one row of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks import exactness


def test_gap_of_a_leak_of_known_size() -> None:
    def leaking(items: list[Tensor]) -> list[Tensor]:
        # rms 2 alone; beside others the last value is off by 0.5
        return [
            torch.full((3, 2), 2.0) + 0.5 * (len(items) > 1) * torch.eye(3)[:, 1:] for _ in items
        ]

    assert exactness.gap(leaking, [torch.zeros(1)] * 2) == pytest.approx(0.25)


def test_gap_of_gradients() -> None:
    module = torch.nn.Linear(2, 2, bias=False)

    def leaking(items: list[Tensor]) -> list[Tensor]:
        return [module(item) * (1.1 if len(items) > 1 else 1.0) for item in items]

    items = [torch.rand(3, 2), torch.rand(2, 2)]
    assert exactness.gradient_gap(module, leaking, items) == pytest.approx(0.1, rel=1e-4)


def test_rows(tmp_path: Path) -> None:
    speech = exactness.speech_row("wav2vec2, group norm", tmp_path / "speech", 2.0)
    text = exactness.text_row("distilbert", tmp_path / "text")
    for row in (speech, text):
        assert row["sermm"] < 1e-4
        assert row["sermm_gradients"] < 1e-3
    assert min(speech["transformers"], speech["transformers_masked"]) > 0.1
    assert text["transformers"] > 1e-3 > text["transformers_masked"]
    record = dict.fromkeys(
        ("command", "date", "hardware", "torch", "transformers", "git_revision"), "x"
    )
    page = exactness.to_markdown({**record, "longest_s": 2.0, "speech": [speech], "text": [text]})
    assert f"| wav2vec2, group norm | {speech['sermm']:.1e} |" in page
    assert f"| distilbert | {text['sermm']:.1e} |" in page
