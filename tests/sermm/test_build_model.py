from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from data_modules.errors import ModelError
from data_modules.text import Tokenizer
from sermm.build_checkpoint import CHECKPOINT_VERSION, checkpoint_record, load_task
from sermm.build_data import build_data
from sermm.build_facts import DataFacts
from sermm.build_objective import build_objective, build_optimizer_options
from sermm.checkpoints import read_checkpoint
from sermm.compose import load_config
from sermm.config import Config, to_dict
from sermm.stages import load_ready, make_selection
from tests.sermm.tasks.tiny import tiny_config
from tests.sermm.workplace import TASKS, Workplace, probabilities, read_json


def no_model(*args: object, **rest: object) -> None:
    raise AssertionError("a checkpoint has all that it takes")


@pytest.mark.parametrize("task", TASKS)
def test_a_checkpoint_is_enough_to_predict(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    # the best epoch and not the last
    folder = place.fit(task, "optim.epochs=4", "model.text.layers=2")
    config = load_config(str(folder / "config.yaml"))
    prepared = load_ready(config)
    data = build_data(config, prepared, make_selection(config, prepared))
    batches = list(data.module.test_dataloader())

    for where in ("load", "train"):
        monkeypatch.setattr(Tokenizer, where, no_model)
    monkeypatch.setattr("sermm.build_text.load_text_model", no_model)
    monkeypatch.chdir(folder.parent)  # from where no relative path leads to the corpus
    model, loaded, facts = load_task(folder / "checkpoints" / "best.ckpt")
    assert not model.training
    assert loaded == config
    assert facts.names == ("neutral", "happy", "angry", "sad")
    assert facts.train_counts == (12, 12, 12, 12)
    expected = probabilities(folder)
    with torch.inference_mode():
        for batch in batches:
            found = torch.softmax(model(batch), dim=-1)
            for name, row in zip(batch.utterance_ids, found.tolist(), strict=True):
                assert row == pytest.approx(expected[name], abs=1e-6)
    assert sum(map(len, batches)) == len(expected)


def test_best_and_last_are_of_their_epochs(place: Workplace) -> None:
    folder = place.fit("linear")
    best = read_json(folder / "metrics.json")["best_epoch"]
    assert best == 0
    first, last = (
        read_checkpoint(folder / "checkpoints" / name) for name in ("best.ckpt", "last.ckpt")
    )
    assert (first["epoch"], last["epoch"]) == (0, 2)
    weights = "linear.weight"
    assert not torch.equal(first["state_dict"][weights], last["state_dict"][weights])


def test_records_are_plain_data_and_come_back() -> None:
    config = tiny_config("fusion by span")
    facts = DataFacts(("a", "b"), 3, (1, 2), frame_dim=4, tokenizer="{}", text_model={"x": 1})

    def leaves(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [leaf for inner in value.values() for leaf in leaves(inner)]
        if isinstance(value, list):
            return [leaf for inner in value for leaf in leaves(inner)]
        return [value]

    record = checkpoint_record(config, facts)
    assert {type(leaf) for leaf in leaves(record)} <= {str, int, float, bool, type(None)}
    assert record["config"] == to_dict(config)


def edit_record(path: Path, change: dict[str, Any]) -> None:
    checkpoint = read_checkpoint(path)
    checkpoint["sermm"] |= change
    torch.save(checkpoint, path)


def test_a_checkpoint_of_another_version_is_refused(place: Workplace) -> None:
    path = place.fit("linear", "optim.epochs=1") / "checkpoints" / "best.ckpt"
    edit_record(path, {"version": CHECKPOINT_VERSION + 1})
    with pytest.raises(ModelError, match=rf"expected checkpoint version {CHECKPOINT_VERSION}, got"):
        load_task(path)


@pytest.mark.parametrize(
    "change",
    [
        {"config": {"name": "x", "nonsense": 1}},
        {"config": None},
        {"facts": {}},
        {"facts": {"names": ["a"], "num_train": 1, "train_counts": [1], "frame_dim": 20}},
    ],
    ids=["unknown key", "no configuration", "no facts", "other classes"],
)
def test_a_record_that_does_not_fit_its_weights_is_refused(
    place: Workplace, change: dict[str, Any]
) -> None:
    path = place.fit("linear", "optim.epochs=1") / "checkpoints" / "best.ckpt"
    edit_record(path, change)
    with pytest.raises(ModelError, match=r"best\.ckpt: expected") as caught:
        load_task(path)
    assert "\n" not in str(caught.value)


def test_a_missing_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="got no file"):
        load_task(tmp_path / "none.ckpt")


def facts_of(counts: tuple[int, ...]) -> DataFacts:
    return DataFacts(tuple("abcd"[: len(counts)]), sum(counts), counts)


def test_class_weights_are_inverse_to_the_counts() -> None:
    objective = build_objective(tiny_config(), facts_of((30, 10, 20)))
    assert objective.weights == pytest.approx((60 / 90, 60 / 30, 60 / 60))
    # a class that does not occur has no say, and divides by nothing
    objective = build_objective(tiny_config(), facts_of((30, 0)))
    assert objective.weights == pytest.approx((0.5, 15))
    equal = tiny_config()
    equal = replace(equal, optim=replace(equal.optim, class_weights=False, label_smoothing=0.1))
    objective = build_objective(equal, facts_of((30, 10, 20)))
    assert (objective.weights, objective.label_smoothing) == (None, 0.1)


@pytest.mark.parametrize(
    ("name", "text_lr", "speech_lr", "expected"),
    [
        ("scratch", 1e-5, None, {}),
        ("org/model", 1e-5, None, {"text": 1e-5}),
        ("org/model", None, 1e-4, {"speech": 1e-4}),
        ("org/model", 1e-5, 1e-4, {"text": 1e-5, "speech": 1e-4}),
    ],
)
def test_pretrained_weights_have_a_rate_of_their_own(
    name: str, text_lr: float | None, speech_lr: float | None, expected: dict[str, float]
) -> None:
    config: Config = tiny_config("text")
    config.model.text.name = name
    config.optim.lr, config.optim.text_lr, config.optim.speech_lr = 1e-3, text_lr, speech_lr
    options = build_optimizer_options(config)
    assert (options.lr, options.pretrained_lr) == (1e-3, expected)
