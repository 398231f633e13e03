from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from data_modules.errors import DataError
from sermm.history import HistoryWriter

FIGURES = {"train/loss": 1.25, "val/loss": 1 / 3, "val/ua": 0.5, "val/wa": 0.625, "other": 9.0}
HEADER = "epoch,train/loss,val/loss,val/ua,val/wa,lr\n"


def trainer_at(epoch: int, figures: dict[str, float] = FIGURES, *, rank: int = 0) -> Any:
    return SimpleNamespace(
        current_epoch=epoch,
        is_global_zero=rank == 0,
        callback_metrics={name: torch.tensor(value) for name, value in figures.items()},
        optimizers=[SimpleNamespace(param_groups=[{"lr": 0.001}, {"lr": 5.0}])],
    )


def write(path: Path, first: int, last: int) -> None:
    history = HistoryWriter(path, scores=("ua", "wa"))
    module: Any = None
    history.on_train_start(trainer_at(first), module)
    for epoch in range(first, last + 1):
        history.on_train_epoch_end(trainer_at(epoch), module)


def row(epoch: int) -> str:
    return f"{epoch},1.25,0.333333,0.5,0.625,0.001\n"


def test_one_row_an_epoch(tmp_path: Path) -> None:
    write(tmp_path / "history.csv", 0, 1)
    assert (tmp_path / "history.csv").read_text() == HEADER + row(0) + row(1)


def test_a_resumed_run_keeps_the_epochs_that_it_does_not_repeat(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    write(path, 0, 3)
    # killed after the row of epoch 3 and before its checkpoint
    path.write_text(path.read_text().replace("1.25", "1.75"))
    write(path, 3, 4)
    kept = [row(epoch).replace("1.25", "1.75") for epoch in range(3)]
    assert path.read_text() == HEADER + "".join(kept) + row(3) + row(4)


def test_a_run_from_the_start_forgets_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    write(path, 0, 3)
    write(path, 0, 0)
    assert path.read_text() == HEADER + row(0)


@pytest.mark.parametrize(
    "content",
    ["", "epoch\n0\n", HEADER + row(0) + row(2), "epoch\n0\nx\n", "other\n1\n2\n", "\x00"],
)
def test_a_damaged_history_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "history.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=r"history\.csv: expected a row for each of the 2 epochs"):
        write(path, 2, 2)
    path.write_bytes(b"\xff")
    with pytest.raises(DataError, match="expected a row for each"):
        write(path, 2, 2)


def test_what_was_not_measured_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    history = HistoryWriter(path, scores=("ua", "wa"))
    history.on_train_epoch_end(trainer_at(0, {"train/loss": 2.0}), None)  # type: ignore[arg-type]
    assert path.read_text() == HEADER + "0,2,,,,0.001\n"


def test_one_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    history = HistoryWriter(path, scores=("ua", "wa"))
    history.on_train_epoch_end(trainer_at(0, rank=1), None)  # type: ignore[arg-type]
    assert not path.exists()
