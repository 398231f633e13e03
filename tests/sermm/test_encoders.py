"""Frozen speech encoders in an experiment: cached, recorded, and refused in a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.tiny_models import save_speech_model
from tests.sermm.workplace import Workplace


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_speech_model("wav2vec2, group norm", tmp_path_factory.mktemp("model"))


def settings(encoder: Path, *more: str) -> tuple[str, ...]:
    return ("model.speech.upstream=huggingface", f"model.speech.name={encoder}", *more)


@pytest.mark.parametrize(("task", "layers"), [("span", "last"), ("acoustic", "1")])
def test_an_encoder_feeds_every_task(
    place: Workplace, encoder: Path, task: str, layers: str
) -> None:
    chosen = settings(encoder, f"model.speech.layers={layers}", "optim.epochs=1")
    folder = place.fit(task, *chosen)
    about = json.loads((folder / "environment.json").read_text())
    assert about["speech_model"]["name"] == str(encoder)
    assert len(about["speech_model"]["weights_sha256"]) == 64
    # a second seed finds the frames
    before = sorted(path.name for path in (place.cache / "features").rglob("*.shard"))
    place.fit(task, *chosen, "seed=1")
    assert sorted(path.name for path in (place.cache / "features").rglob("*.shard")) == before


def test_other_weights_under_the_same_name_are_other_features(
    place: Workplace, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    stores = place.cache / "features"
    before = {path.name for path in stores.iterdir()} if stores.is_dir() else set()
    for seed in (100, 101):  # no other test of this cache has them
        save_speech_model("wav2vec2, layer norm", folder, seed=seed)
        place.fit("acoustic", *settings(folder, f"name=seed{seed}", "optim.epochs=1"))
    assert len({path.name for path in stores.iterdir()} - before) == 2


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("model.speech.name=",), "model.speech.name: expected a folder or a hub id"),
        (("model.speech.layers=first",), "model.speech.layers: expected last, mean, all, or numb"),
        (("model.speech.layers=9",), "model.speech.layers"),
        (("model.speech.name=./nowhere",), "model.speech.name=./nowhere: expected the folder"),
    ],
)
def test_what_cannot_be_had(
    place: Workplace, encoder: Path, more: tuple[str, ...], expected: str
) -> None:
    said = place.sermm("fit", *place.settings("acoustic", *settings(encoder, *more)))
    assert said.status == 2
    assert expected in said.err
    assert said.err.count("\n") == 1
