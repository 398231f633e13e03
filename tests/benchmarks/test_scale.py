from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "scale.py"


@pytest.fixture(scope="module")
def scale() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scale", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_stage_runs_on_a_small_corpus(scale: ModuleType, tmp_path: Path) -> None:
    number = 5000  # ten speakers
    said = {name: stage(tmp_path, number) for name, (_, stage) in scale.STAGES.items()}
    assert said["read"].startswith("5,000 utterances, ")
    assert said["standard"] == "1 folds, the first of 4,000 / 500 / 500"
    assert said["speaker5"].startswith("5 folds, the first of ")
    assert "checks; scale-standard: " in said["check"]
    stages = [
        {"stage": name, "seconds": 1.0, "cpu_seconds": 0.9, "peak_bytes": 2**30, "said": text}
        for name, text in said.items()
    ]
    page = scale.to_markdown(scale.report(number, stages))
    assert "# 5,000 utterances" in page
    assert page.count("| 1,024 MiB |") == len(scale.STAGES)


def test_the_corpus_is_always_the_same(scale: ModuleType) -> None:
    first, second = list(scale.make_utterances(200)), list(scale.make_utterances(200))
    assert first == second
    assert len({utterance.id for utterance in first}) == 200
    facts = list(scale.make_media(iter(first)))
    assert [one.id for one in facts] == [utterance.id for utterance in first]
