from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from data_modules.errors import ModelError
from sermm.checkpoints import CheckpointFiles, EpochKeeper, read_checkpoint
from tests.sermm.workplace import Workplace

RECORD = {"version": 1, "config": {"name": "tiny"}}


def keep(folder: Path, patience: int) -> EpochKeeper:
    return EpochKeeper(folder, score="ua", higher_is_better=True, patience=patience)


class FakeTrainer:
    """Notes which files were asked for."""

    def __init__(self) -> None:
        self.should_stop = False
        self.current_epoch = 0
        self.callback_metrics: dict[str, torch.Tensor] = {}
        self.saved: list[tuple[str, bool]] = []

    def save_checkpoint(self, path: Path, *, weights_only: bool) -> None:
        self.saved.append((path.name, weights_only))

    def epoch(self, keeper: EpochKeeper, ua: float) -> list[str]:
        self.saved = []
        self.callback_metrics["val/ua"] = torch.tensor(ua)
        keeper.on_train_epoch_end(self, None)  # type: ignore[arg-type]
        self.current_epoch += 1
        return [name for name, _ in self.saved]


def test_the_first_of_equals_is_best(tmp_path: Path) -> None:
    keeper, trainer = keep(tmp_path, 0), FakeTrainer()
    assert trainer.epoch(keeper, 0.0) == ["best.ckpt", "last.ckpt"]
    assert trainer.saved == [("best.ckpt", True), ("last.ckpt", False)]
    assert trainer.epoch(keeper, 0.4) == ["best.ckpt", "last.ckpt"]
    assert trainer.epoch(keeper, 0.4) == ["last.ckpt"]
    assert trainer.epoch(keeper, 0.3) == ["last.ckpt"]
    assert (keeper.best_epoch, keeper.best_score) == (1, pytest.approx(0.4))
    assert not trainer.should_stop


@pytest.mark.parametrize(
    ("patience", "scores", "stops_after"),
    [(1, [0.5, 0.6, 0.6], 2), (2, [0.5, 0.4, 0.6, 0.5, 0.5], 4), (1, [0.1, 0.2, 0.3], None)],
)
def test_patience_counts_epochs_without_a_better_score(
    tmp_path: Path, patience: int, scores: list[float], stops_after: int | None
) -> None:
    keeper, trainer = keep(tmp_path, patience), FakeTrainer()
    stopped = None
    for number, ua in enumerate(scores):
        trainer.epoch(keeper, ua)
        if trainer.should_stop:
            stopped = number
            break
    assert stopped == stops_after


def test_what_was_best_outlasts_the_process(tmp_path: Path) -> None:
    keeper, trainer = keep(tmp_path, 2), FakeTrainer()
    for ua in (0.5, 0.4):
        trainer.epoch(keeper, ua)
    resumed, again = keep(tmp_path / "elsewhere", 2), FakeTrainer()
    resumed.load_state_dict(keeper.state_dict())
    again.current_epoch = 2
    resumed.on_train_start(again, None)  # type: ignore[arg-type]
    assert not again.should_stop
    assert again.epoch(resumed, 0.45) == ["last.ckpt"]
    assert again.should_stop
    # and one that had ended does not begin again
    third, ended = keep(tmp_path, 2), FakeTrainer()
    third.load_state_dict(resumed.state_dict())
    ended.current_epoch = 3
    third.on_train_start(ended, None)  # type: ignore[arg-type]
    assert ended.should_stop


def test_an_error_is_best_when_it_is_lowest_and_nothing_is_worse_than_no_number(
    tmp_path: Path,
) -> None:
    keeper = EpochKeeper(tmp_path, score="ua", higher_is_better=False, patience=0)
    trainer = FakeTrainer()
    best = []
    for error in (math.nan, 0.9, math.nan, 0.5, 0.5, 0.7, 0.4):
        trainer.epoch(keeper, error)
        best.append(keeper.best_epoch)
    assert best == [0, 1, 1, 3, 3, 3, 6]


def save_top(path: Path, weight: float, buffer: float) -> None:
    state = {"weight": torch.tensor([weight]), "buffer": torch.tensor([buffer])}
    CheckpointFiles(RECORD).save_checkpoint({"state_dict": state, "epoch": 0}, path)


class SavingTrainer(FakeTrainer):
    """Writes weights that are the number of the epoch."""

    def save_checkpoint(self, path: Path, *, weights_only: bool) -> None:
        super().save_checkpoint(path, weights_only=weights_only)
        save_top(path, float(self.current_epoch), 10.0 + self.current_epoch)


def test_the_best_few_are_kept_and_averaged(tmp_path: Path) -> None:
    """By hand: 0.6 (epoch 3) and the first of both 0.5 (epoch 1); buffers are of epoch 3."""
    keeper = EpochKeeper(tmp_path, score="ua", higher_is_better=True, patience=0, average=2)
    trainer = SavingTrainer()
    files = []
    for ua in (math.nan, 0.5, 0.5, 0.6, 0.1):
        trainer.epoch(keeper, ua)
        files.append({path.name for path in tmp_path.glob("top-*")})
    assert files == [
        {"top-0.ckpt"},
        {"top-0.ckpt", "top-1.ckpt"},
        {"top-1.ckpt", "top-2.ckpt"},
        {"top-1.ckpt", "top-3.ckpt"},
        {"top-1.ckpt", "top-3.ckpt"},
    ]
    assert [epoch for epoch, _ in keeper.kept] == [3, 1]
    keeper.average_best(["weight"])
    found = read_checkpoint(keeper.best)
    assert found["averaged"] == [3, 1]
    assert {name: value.tolist() for name, value in found["state_dict"].items()} == {
        "weight": [2.0],
        "buffer": [13.0],
    }
    assert found["state_dict"]["weight"].dtype == torch.float32
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt"]
    # a run that was killed right after finds it done
    again = EpochKeeper(tmp_path, score="ua", higher_is_better=True, patience=0, average=2)
    again.load_state_dict(keeper.state_dict())
    again.average_best(["weight"])
    assert read_checkpoint(keeper.best)["state_dict"]["weight"].tolist() == [2.0]


def test_the_lowest_errors_are_kept(tmp_path: Path) -> None:
    keeper = EpochKeeper(tmp_path, score="ua", higher_is_better=False, patience=0, average=2)
    trainer = SavingTrainer()
    for error in (0.9, 0.3, 0.4, 0.5):
        trainer.epoch(keeper, error)
    assert [epoch for epoch, _ in keeper.kept] == [1, 2]


def test_files_carry_the_record(tmp_path: Path) -> None:
    path = tmp_path / "new" / "last.ckpt"
    CheckpointFiles(RECORD).save_checkpoint({"state_dict": {"a": torch.ones(2)}}, path)
    found = read_checkpoint(path)
    assert found["sermm"] == RECORD
    assert found["state_dict"]["a"].tolist() == [1, 1]


def test_a_failed_write_leaves_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    files = CheckpointFiles(RECORD)
    files.save_checkpoint({"state_dict": {}, "epoch": 1}, path)

    def full(value: object, path: Path) -> None:
        path.write_bytes(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="no space left"):
        files.save_checkpoint({"state_dict": {}, "epoch": 2}, path)
    assert read_checkpoint(path)["epoch"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("this must not run",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no checkpoint at all",
        {"state_dict": {}},
        {"state_dict": {}, "sermm": "text"},
        {"sermm": RECORD},
        ["a", "list"],
        {"state_dict": {}, "sermm": RECORD, "more": Evil()},
    ],
    ids=["empty", "text", "foreign", "odd record", "no weights", "list", "code"],
)
def test_what_is_no_checkpoint_of_ours_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: object
) -> None:
    path = tmp_path / "model.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ModelError, match=r"model\.ckpt: expected a checkpoint written by sermm"):
        read_checkpoint(path)
    assert capsys.readouterr().out == ""


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected a checkpoint, got no file"):
        read_checkpoint(tmp_path / "none.ckpt")


def test_both_files_of_a_run_load_as_plain_data(place: Workplace) -> None:
    folder = place.fit("span") / "checkpoints"
    best, last = (
        torch.load(folder / name, weights_only=True) for name in ("best.ckpt", "last.ckpt")
    )
    assert best.keys() >= {"state_dict", "sermm", "epoch"}
    # three times the size of the weights, and of no use to who predicts
    assert "optimizer_states" not in best
    assert "optimizer_states" in last
    assert best["sermm"] == last["sermm"]
    assert best["sermm"]["config"]["model"]["task"] == "fusion"
    assert last["epoch"] == 2
