"""Exports: they load without the run, predict the same, and say what they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import sermm
from data_modules.errors import ModelError, RunFailedError
from sermm.compose import experiment_names, load_config
from sermm.export.command import push_folder
from sermm.export.exposure import exposure_of
from sermm.export.licences import licence_of
from tests.data_modules import iemocap_tree as tree
from tests.sermm.small_corpus import small_turns
from tests.sermm.workplace import Workplace, read_json

NAME = next(turn.name for turn in small_turns() if turn.session == 1)


def card_of(folder: Path) -> tuple[dict[str, Any], str]:
    _, head, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), text


def test_an_export_needs_neither_run_nor_corpus(place: Workplace) -> None:
    run = place.fit("none", "name=both", "model.modality_dropout=0.3")
    clip = shutil.copy(tree.clip_path(place.release, NAME), place.folder / "clip.wav")
    before = [
        sermm.load(run).predict(clip, text="awful dinner"),
        sermm.load(run).predict(clip),
    ]
    said = place.sermm("export", "both", "model", "--licence", "cc-by-4.0")
    assert said.status == 0, said
    folder = place.folder / "model"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "calibration.json",
        "config.yaml",
        "metrics.json",
        "model.safetensors",
        "sermm.json",
        "tokenizer.json",
    ]
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1
    everything = b"".join(path.read_bytes() for path in folder.iterdir())
    assert str(place.folder).encode() not in everything
    assert str(place.release).encode() not in everything
    shutil.move(folder, place.folder / "elsewhere")
    shutil.rmtree(run)
    moved = sermm.load(place.folder / "elsewhere")
    assert [moved.predict(clip, text="awful dinner"), moved.predict(clip)] == before
    head, text = card_of(place.folder / "elsewhere")
    assert (head["license"], head["library_name"]) == ("cc-by-4.0", "sermm")
    for part in ("demo-session5", "only-speech", "2 speakers: too few for an interval."):
        assert part in text
    assert "{{" not in text


def test_onnx_gives_the_scores_of_torch(place: Workplace) -> None:
    place.fit("acoustic", "name=heard", "optim.epochs=1")
    said = place.sermm("export", "heard", "model", "--onnx")
    assert said.status == 0, said
    assert "largest difference from torch" in said.out
    assert (place.folder / "model" / "model.onnx").stat().st_size > 1000
    # what is asked is refused where it cannot be done, and nothing is left behind
    place.fit("text", "name=read", "optim.epochs=1")
    said = place.sermm("export", "read", "other", "--onnx")
    assert (said.status, "model.task=text" in said.err) == (2, True)
    assert not [path for path in place.folder.iterdir() if "other" in path.name]
    said = place.sermm("export", "read", "model")
    assert (said.status, "in use" in said.err) == (2, True)
    said = place.sermm("export", "model", "third")
    assert (said.status, "copy the folder" in said.err) == (2, True)


def test_damage_is_told(place: Workplace) -> None:
    place.fit("linear", "name=base", "optim.epochs=1")
    assert place.sermm("export", "base", "model").status == 0
    weights = place.folder / "model" / "model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:-10])
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        sermm.load(place.folder / "model")
    weights.write_bytes(good)
    record = json.loads((place.folder / "model" / "sermm.json").read_text())
    record["format"] = 99
    (place.folder / "model" / "sermm.json").write_text(json.dumps(record))
    with pytest.raises(ModelError, match="format 99"):
        sermm.load(place.folder / "model")


def test_the_card_has_the_number_of_the_whole_experiment(place: Workplace) -> None:
    for fold in (0, 1):
        place.fit("linear", "name=base", "optim.epochs=1", f"fold={fold}")
    assert place.sermm("export", "base", "alone", "--fold", "1").status == 0
    assert "number\nto quote" not in card_of(place.folder / "alone")[1]
    said = place.sermm("report", "base")
    assert said.status == 0, said
    whole = read_json(place.folder / "runs" / "base" / "summary.json")
    assert place.sermm("export", "base", "model", "--fold", "1").status == 0
    text = card_of(place.folder / "model")[1]
    assert "Of the 2 runs of the experiment together, each tested on its own fold: ua\n" in text
    ua = whole["metrics"]["ua"]
    low, high = ua["ci95"]
    assert f"{ua['pooled']:.3f} ({low:.3f}\N{EN DASH}{high:.3f}) over 4 speakers" in text


def test_the_hub_is_asked_for_only_with_consent(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []

    class Stand:
        def create_repo(self, name: str, **options: Any) -> None:
            calls.append((name, options))

        def upload_folder(self, **options: Any) -> str:
            calls.append((options["repo_id"], options))
            return "https://hub/org/model"

    monkeypatch.setattr("huggingface_hub.HfApi", Stand)
    place.fit("linear", "name=base", "optim.epochs=1")
    said = place.sermm("export", "base", "model", "--push", "org/model")
    assert (said.status, "--yes" in said.err, calls) == (2, True, [])
    assert not (place.folder / "model").exists()
    said = place.sermm("export", "base", "model", "--push", "org/model", "--yes")
    assert said.status == 0, said
    assert calls[0] == ("org/model", {"private": True, "exist_ok": True})
    assert calls[1][1]["folder_path"] == Path("model")
    said = place.sermm("export", "base", "other", "--push", "../x", "--yes")
    assert (said.status, "owner/name" in said.err) == (2, True)

    def refuse(self: Stand, name: str, **options: Any) -> None:
        raise PermissionError("403")

    monkeypatch.setattr(Stand, "create_repo", refuse)
    with pytest.raises(RunFailedError, match="hf auth login"):
        push_folder(place.folder / "model", "org/model", private=True)


def test_licences_are_read_from_cards(tmp_path: Path) -> None:
    for name, card, allowed in (
        ("open", "---\nlicense: Apache-2.0\n---\n# x\n", True),
        ("closed", "---\nlicense: cc-by-nc-4.0\n---\n", False),
        ("silent", "# x\n", False),
        ("odd", "---\nlicense: [a\n---\n", False),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "README.md").write_text(card)
        assert licence_of(str(tmp_path / name)).allows_copies is allowed
    (tmp_path / "none").mkdir()
    assert "no model card" in licence_of(str(tmp_path / "none")).reason


def test_exposure_of_what_is_known_by_its_whole_name() -> None:
    assert "GigaSpeech" in exposure_of("microsoft/wavlm-base-plus")
    assert exposure_of("Microsoft/WavLM-base").startswith("LibriSpeech")
    assert exposure_of("/somewhere/mine").startswith("not stated")
    folder = exposure_of("/models/wav2vec2-base")
    assert folder.startswith("if it is `facebook/wav2vec2-base`, as it is called: LibriSpeech")


@pytest.mark.parametrize(
    "name",
    ["superb/hubert-base-superb-er", "somebody/wav2vec2-base", "facebook/wav2vec2-base-voxpopuli"],
)
def test_nothing_is_stated_of_what_others_trained_further(name: str) -> None:
    assert exposure_of(name).startswith("not stated")


def test_every_encoder_of_an_experiment_has_its_exposure() -> None:
    named = set()
    for name in experiment_names():
        model = load_config(name, []).model
        named |= {model.speech.name, model.text.name}
    hub = {name for name in named if name.count("/") == 1}
    assert len(hub) > 4
    assert not {name for name in hub if exposure_of(name).startswith("not stated")}
