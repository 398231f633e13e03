"""Whole runs: what they leave behind, and that nothing but the stated settings decides it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn.metrics import balanced_accuracy_score

from data_modules.cache import FeatureStore
from data_modules.datamodule import EmotionDataModule
from data_modules.dataset import UtteranceDataset
from sermm.results import read_history, read_run
from tests.data_modules import iemocap_tree as tree
from tests.sermm.small_corpus import small_turns
from tests.sermm.workplace import TASKS, Workplace, probabilities, read_json, read_table

CLASSES = ["neutral", "happy", "angry", "sad"]
CLASS_OF = dict(zip(("neu", "hap", "ang", "sad"), CLASSES, strict=True))


@pytest.mark.parametrize("task", TASKS)
def test_the_same_run_gives_the_same_bytes_however_it_is_batched(
    place: Workplace, task: str
) -> None:
    first = place.fit(task, "name=first")
    torch.manual_seed(1)  # what the process drew before does not matter
    again = place.fit(task, "name=again")
    for name in ("predictions.csv", "history.csv"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    expected = probabilities(first)
    assert len(expected) == 16
    for name, batch_size, workers in (("one", 1, 2), ("sixteen", 16, 0)):
        other = place.fit(
            task,
            f"name={name}",
            f"data.eval_batch_size={batch_size}",
            f"data.num_workers={workers}",
        )
        found = probabilities(other)
        assert found.keys() == expected.keys()
        for utterance, values in expected.items():
            assert found[utterance] == pytest.approx(values, abs=1e-5)


def test_the_seed_matters(place: Workplace) -> None:
    first = place.fit("span")
    other = place.fit("span", "seed=1")
    assert first.name != other.name
    assert probabilities(first) != probabilities(other)


def test_what_a_run_leaves_behind(place: Workplace) -> None:
    folder = place.fit("span", "fold=1", "name=kept")
    assert sorted(path.name for path in folder.iterdir()) == [
        ".lock",
        "alignment.npz",
        "attention.json",
        "calibration.json",
        "checkpoints",
        "config.yaml",
        "environment.json",
        "history.csv",
        "metrics.json",
        "predictions.csv",
    ]
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == [
        "best.ckpt",
        "last.ckpt",
    ]

    # session 2 is tested, session 3 selects, the rest trains
    rows = read_table(folder / "predictions.csv")
    assert list(rows[0]) == [
        "utterance_id",
        "speaker",
        "label",
        "predicted",
        *(f"p_{name}" for name in CLASSES),
    ]
    tested = {turn.name: CLASS_OF[turn.label] for turn in small_turns() if turn.session == 2}
    assert {row["utterance_id"]: row["label"] for row in rows} == tested
    assert len(rows) == len(tested)
    assert {row["speaker"] for row in rows} == {"Ses02F", "Ses02M"}

    metrics = read_json(folder / "metrics.json")
    expected = balanced_accuracy_score(
        [row["label"] for row in rows], [row["predicted"] for row in rows]
    )
    assert metrics["metrics"]["ua"] == pytest.approx(expected, abs=1e-6)
    assert (metrics["fold"], metrics["seed"], metrics["size"]) == (1, 0, None)
    assert (metrics["num_train"], metrics["num_val"], metrics["num_test"]) == (48, 16, 16)
    assert metrics["train_counts"] == dict.fromkeys(CLASSES, 12)
    assert (metrics["protocol"], metrics["leak"]) == ("demo-session5", "")
    assert metrics["alignment"] == {"corpus": 1.0}
    assert metrics["excluded"] == {"count": 0, "reasons": {}}
    assert metrics["seconds"] > 0
    assert metrics["notes"] == []

    history = read_history(folder)
    assert history.epochs.tolist() == [0, 1, 2]
    scores = [f"val/{name}" for name in ("ua", "wa", "macro_f1", "weighted_f1")]
    assert list(history.columns) == ["train/loss", "val/loss", *scores, "lr"]
    measured = history.columns["val/ua"]
    # the first of the highest
    assert metrics["best_epoch"] == int(np.argmax(measured))
    assert metrics["val"]["ua"] == pytest.approx(measured.max(), abs=1e-6)
    assert history.columns["lr"][-1] == 0
    assert not np.isnan(np.stack(list(history.columns.values()))).any()

    about = read_json(folder / "environment.json")
    assert about["data_sha256"] == metrics["data_sha256"]
    assert about["fingerprint"] == metrics["fingerprint"]
    assert about["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert about["num_threads"] == 1
    assert about["result_keys"]["model.task"] == "fusion"
    assert about["gpus"] == [
        torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())
    ]
    # all files agree, as reports demand
    assert read_run(folder).key.fold == 1


def test_the_loss_may_choose_the_epoch(place: Workplace) -> None:
    # a rate so high that the loss grows again while the score does not tell
    folder = place.fit("acoustic", "optim.select=loss", "optim.lr=0.1", "optim.epochs=5")
    metrics, history = read_json(folder / "metrics.json"), read_history(folder)
    losses = history.columns["val/loss"]
    assert metrics["best_epoch"] == int(np.argmin(losses)) != int(np.argmax(losses))
    assert metrics["val"] == {"loss": pytest.approx(losses.min(), abs=1e-5)}
    said = place.sermm("report", "acoustic_demo")
    assert said.status == 0, said
    page = (folder.parent / "report.html").read_text()
    assert "the lowest validation loss." in page
    said = place.sermm("fit", *place.settings("acoustic", "optim.select=los", "name=other"))
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert "weighted_f1, loss" in said.err


def test_the_configuration_of_a_run_is_an_experiment(place: Workplace) -> None:
    folder = place.fit("linear", "name=kept", "fold=2", "seed=3", "size=20")
    tree_of_keys = yaml.safe_load((folder / "config.yaml").read_text())
    assert (tree_of_keys["name"], tree_of_keys["fold"], tree_of_keys["size"]) == ("kept", 2, 20)
    said = place.sermm("fit", str(folder / "config.yaml"))
    assert (said.status, said.out.strip(), said.err) == (0, "this run is finished already", "")
    shown = place.sermm("config", str(folder / "config.yaml"))
    assert shown.out == (folder / "config.yaml").read_text()


def test_finished_runs_are_left_alone(place: Workplace) -> None:
    folder = place.fit("linear")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert "finished already" in place.sermm("fit", *place.settings("linear")).out
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_another_configuration_is_refused(place: Workplace) -> None:
    folder = place.fit("linear")
    before = (folder / "metrics.json").read_bytes()
    said = place.sermm("fit", *place.settings("linear", "optim.lr=1e-2", "optim.weight_decay=0"))
    assert said.status == 2
    assert said.err.startswith(f"error: runs/linear_demo/{folder.name}: expected a run of this ")
    assert "optim.lr=0.005 (now 0.01)" in said.err
    assert "optim.weight_decay=0.01 (now 0.0)" in said.err
    assert "name=linear_demo_2" in said.err
    assert (folder / "metrics.json").read_bytes() == before
    # what cannot change a result may differ
    same = place.settings("linear", "data.num_workers=1", "data.eval_batch_size=3")
    assert "finished already" in place.sermm("fit", *same).out


def change_audio(release: Path, name: str) -> None:
    path = tree.clip_path(release, name)
    path.write_bytes(path.read_bytes()[:-2] + b"\x01\x00")


def change_text(release: Path, name: str) -> None:
    path = tree.transcript_path(release, name)
    lines = path.read_text().split("\n")
    path.write_text("\n".join(f"{ln} more" if name in ln else ln for ln in lines))


def change_label(release: Path, name: str) -> None:
    tree.edit(tree.label_path(release, name), f"{name}\tneu", f"{name}\tsad")


@pytest.mark.parametrize(
    ("change", "affected"),
    [
        (change_audio, ["linear", "span"]),
        (change_text, ["text", "span"]),
        (change_label, ["linear", "text", "span"]),
    ],
)
def test_changed_data_are_refused_where_they_are_used(
    place: Workplace, change: Callable[[Path, str], None], affected: list[str]
) -> None:
    release = shutil.copytree(place.release, place.folder / "release")
    places = (f"data.root={release}", f"data.cache={place.folder / 'cache'}", "optim.epochs=1")
    for task in ("linear", "text", "span"):
        place.fit(task, f"name={task}", *places)
    change(release, "Ses04F_impro01_F000")
    for task in ("linear", "text", "span"):
        said = place.sermm("fit", *place.settings(task, f"name={task}", *places))
        if task in affected:
            assert said.status == 2
            assert "expected a run on the data as it is now, got one on other data" in said.err
        else:
            assert (said.status, said.out.strip()) == (0, "this run is finished already")


def test_the_test_part_is_read_once_after_training(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, str]] = []

    class Watched(UtteranceDataset):
        def __getitem__(self, index: int) -> object:  # type: ignore[override]
            events.append(("sample", self.utterances[index].id))
            return super().__getitem__(index)

    def watch_features(self: object, key: str) -> object:
        events.append(("features", key))
        return load(self, key)

    def note_loader(self: EmotionDataModule) -> object:
        events.append(("loader", "test"))
        return test_loader(self)

    load, test_loader = FeatureStore.load, EmotionDataModule.test_dataloader
    monkeypatch.setattr(FeatureStore, "load", watch_features)
    monkeypatch.setattr(EmotionDataModule, "test_dataloader", note_loader)
    monkeypatch.setattr("sermm.build_data.UtteranceDataset", Watched)
    folder = place.fit("span")

    assert events.count(("loader", "test")) == 1
    start = events.index(("loader", "test"))
    tested = [row["utterance_id"] for row in read_table(folder / "predictions.csv")]
    keys = feature_keys(place, tested)
    before = events[:start]
    assert len([kind for kind, _ in before if kind == "sample"]) == 3 * (48 + 16)
    assert not [name for _, name in before if name in tested or name in keys]
    # afterwards each test utterance once; then the validation part for the temperature, and test
    # utterances again for what is shown
    after = [name for kind, name in events[start:] if kind == "sample"]
    assert sorted(after[:16]) == sorted(tested)
    assert sorted(after[16:32]) == sorted(turn.name for turn in small_turns() if turn.session == 2)
    assert set(after[32:]) <= set(tested)


def feature_keys(place: Workplace, ids: list[str]) -> set[str]:
    lines = (place.cache / "manifests" / "demo.media.jsonl").read_text().splitlines()
    facts = [yaml.safe_load(line) for line in lines]
    return {fact["content_sha256"] for fact in facts if fact["id"] in ids}


def test_a_control_says_so(place: Workplace) -> None:
    honest = place.fit("span", "name=honest")
    control = place.fit("span", "name=control", "data.shuffle_word_times=true")
    notes = read_json(control / "metrics.json")["notes"]
    assert notes == ["control: word times are shuffled within each utterance"]
    assert probabilities(honest) != probabilities(control)


def test_a_second_run_leaves_manifest_and_features_as_they_are(place: Workplace) -> None:
    def digests() -> dict[Path, str]:
        return {
            path: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(place.cache.rglob("*"))
            if path.is_file()
        }

    place.fit("span", "name=one")
    before = digests()
    place.fit("span", "name=two")
    assert digests() == before
    assert len(before) > 4
