"""What the table of runs tells: the score so far, and the time that is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sermm.config import Config, DataConfig, ModelConfig, OptimConfig
from sermm.plan_progress import TimeLeft
from sermm.run_metrics import RunKey

CONFIG = Config(
    name="made",
    data=DataConfig(corpus="demo", labels="iemocap4", protocol="demo-session5"),
    model=ModelConfig(task="linear"),
    optim=OptimConfig(epochs=10),
)
KEYS = [RunKey(fold, 0) for fold in range(3)]


def write_history(runs: Path, fold: int, rows: int) -> None:
    folder = runs / "made" / RunKey(fold, 0).folder_name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "history.csv").write_text("epoch\n" + "0\n" * rows)


def test_time_left_counts_runs_under_way_by_their_share(tmp_path: Path) -> None:
    config = replace(CONFIG, runs=str(tmp_path))
    now = 100.0
    write_history(tmp_path, 0, 4)  # of an earlier attempt, so no work of this one
    left = TimeLeft(config, KEYS, lambda: now)
    now += 30
    assert left.text() == ""
    # 0.6 of a run in 30 s; 2 of 3 runs are left
    write_history(tmp_path, 0, 7)
    write_history(tmp_path, 1, 3)
    assert left.text() == "about 2 min left"
    # a finished run counts whole, however many epochs it took
    (tmp_path / "made" / RunKey(0, 0).folder_name / "metrics.json").touch()
    assert left.text() == "about 57 s left"
    now += 40_000
    assert left.text().endswith(" h left")


def test_runs_without_a_known_length_count_when_they_are_finished(tmp_path: Path) -> None:
    optim = OptimConfig(val_every_steps=10)
    config = replace(CONFIG, runs=str(tmp_path), optim=optim)
    now = 0.0
    left = TimeLeft(config, KEYS, lambda: now)
    now = 600.0
    write_history(tmp_path, 0, 4)
    assert left.text() == ""
    (tmp_path / "made" / RunKey(0, 0).folder_name / "metrics.json").touch()
    assert left.text() == "about 20 min left"
