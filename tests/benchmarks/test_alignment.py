from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from data_modules.aligners import UniformAligner
from data_modules.manifest import Word


@pytest.fixture(scope="module")
def alignment() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "alignment.py"
    spec = importlib.util.spec_from_file_location("alignment", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "alignment", module)
        spec.loader.exec_module(module)
    return module


def test_errors_of_equal_spans(alignment: ModuleType) -> None:
    words = ["one", "two", "three", "four"]
    # true starts 0, 0.3, unknown, 0.75; equal spans start at 0, 0.25, 0.5, 0.75
    truth = [(0.0, 0.3), (0.3, 0.5), None, (0.75, 0.9)]
    clip = alignment.Clip("x", "en", np.zeros(16_000, np.float32), words, truth)
    row = alignment.measure([clip], UniformAligner())
    # errors of starts 0, 50, 0 ms and of ends 50, 0, 100 ms
    assert (row["words"], row["words_of_unknown_time"]) == (3, 1)
    assert row["median_ms"] == pytest.approx(25)
    assert row["p90_ms"] == pytest.approx(75)
    assert row["within_50_ms"] == pytest.approx(5 / 6)
    assert (row["start_bias_ms"], row["end_bias_ms"]) == pytest.approx((0, 0))
    assert "| 25 ms | 75 ms | 83.3% |" in alignment.to_markdown(
        {"command": "x", "date": "x", "hardware": "x", "git_revision": "x", "rows": [row]}
    )


def test_clips_that_are_not_aligned_are_counted(alignment: ModuleType) -> None:
    class Deaf:
        source = "deaf"

        def align(self, waveform: object, words: list[str]) -> list[Word] | None:
            return None

    clip = alignment.Clip("x", "en", np.zeros(16_000, np.float32), ["one"], [(0.0, 1.0)])
    row = alignment.measure([clip], Deaf())
    assert (row["clips"], row["clips_not_aligned"], row["words"]) == (1, 1, 0)
    assert row["median_ms"] is None
    assert "| x | deaf | 1 (1) | 0 |" in alignment.to_markdown(
        {"command": "x", "date": "x", "hardware": "x", "git_revision": "x", "rows": [row]}
    )


@pytest.mark.real
def test_words_of_the_phone_labels(alignment: ModuleType, shared_data: Path) -> None:
    clip = alignment.arctic_clip(shared_data / "alignment" / "cmu_arctic")
    assert len(clip.words) == len(clip.truth) == 9
    # by eye from the labels: "He" from 0.13 to 0.27 s, "Gregson" from 1.575 to 1.995 s
    assert clip.truth[0] == (0.13, 0.27)
    assert clip.truth[5] == (1.575, 1.995)
    assert clip.truth[8][1] == 2.925
