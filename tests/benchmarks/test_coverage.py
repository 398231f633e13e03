"""The statistics by simulation: a few hundred made-up corpora here, a thousand where it is slow."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "coverage.py"


@pytest.fixture(scope="module")
def coverage() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage_simulation", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_figure_stands_on_the_page(
    coverage: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage, "NUM_KNOWN", 2_000)
    monkeypatch.setattr(coverage, "DRAWS", 100)
    report = coverage.measure(4, (4, 6)) | {"date": "2026-11-21", "machine": "here"}
    page = coverage.to_markdown(report)
    assert page.count("\n| ") == 3 * 1 + 4 + 6 + 3
    assert "nan" not in page


def test_intervals_over_speakers_cover_and_those_over_utterances_do_not(
    coverage: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage, "DRAWS", 500)
    population = coverage.POPULATIONS["UA near 0.65"]
    assert coverage.covered(population, 8, 200) >= 0.90
    assert coverage.covered_over_utterances(population, 8, 40) < 0.85


def test_equal_systems_are_seldom_told_apart(
    coverage: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage, "DRAWS", 500)
    found = coverage.compared(0.0, 8, 200)
    assert found["excludes zero"] < 0.10
    assert found["p <= 0.05"] < 0.10
    assert coverage.trained_again(3, 2, 100) < 0.13
    assert coverage.compared(0.5, 8, 40)["p <= 0.05"] > 0.3
    assert coverage.trained_again(3, 3, 40, gain=1.0) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("num_speakers", [4, 6, 10, 24])
def test_a_thousand_corpora(coverage: ModuleType, num_speakers: int) -> None:
    for population in coverage.POPULATIONS.values():
        assert 0.925 <= coverage.covered(population, num_speakers, 1_000) <= 0.975
    equal = coverage.compared(0.0, num_speakers, 1_000)
    assert 0.035 <= equal["excludes zero"] <= 0.065
    assert 0.93 <= coverage.compared(0.5, num_speakers, 1_000)["covers"] <= 0.97
    if num_speakers >= 8:  # fewer speakers have too few arrangements to reach the level
        assert 0.035 <= equal["p <= 0.05"] <= 0.065
