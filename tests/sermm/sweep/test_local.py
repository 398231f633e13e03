"""Searching without an account. Trials are stand-ins that take no time, except in one test."""

from __future__ import annotations

import csv
import os
import signal
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from optuna.trial import TrialState

from data_modules.errors import DataError, RunFailedError
from sermm.compose import load_config
from sermm.sweep.best import write_best, write_trials
from sermm.sweep.check import check_sweep
from sermm.sweep.file import read_sweep
from sermm.sweep.local import Search, SearchOptions, how_many
from sermm.sweep.study import best_of, heard_out, open_study, values_of
from sermm.sweep.workers import is_alive, work_on
from tests.sermm.sweep.test_file import COMMAND, GOOD, write
from tests.sermm.workplace import (
    Workplace,
    copy_of_this,
    has_ended,
    read_json,
    wait_for,
    wait_until,
)

# what stands in for `sermm trial`: scores that rise to a peak at lr 0.05
STAND_IN = """
import json, os, pathlib, sys, time
given = dict(text.split("=", 1) for text in sys.argv[1:] if "=" in text)
lr = json.loads(given["optim.lr"])
top = 0.9 - abs(lr - 0.05) * 5
folder = pathlib.Path(given["runs"]) / given["name"]
run = folder / "fold=0,seed=0,size=all"
run.mkdir(parents=True, exist_ok=True)
(folder / "gpus").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "none"))
(folder / f"pid={os.getpid()}").touch()
with (folder / "times").open("a") as marker:
    marker.write("x")
behave = os.environ.get("BEHAVE", "")
if behave == "fail" or (behave == "fail once" and not pathlib.Path("failed").exists()):
    pathlib.Path("failed").touch()
    sys.exit("error: it does not work")
if behave == "die once" and not pathlib.Path("died").exists():
    pathlib.Path("died").touch()
    os.kill(os.getpid(), 9)
while behave == "hang" and not pathlib.Path("go").exists():
    time.sleep(0.02)
rows = ["epoch,val/ua"]
for epoch in range(9):
    rows.append(f"{epoch},{top * (epoch + 1) / 9}")
    # whole at every moment, as a run leaves it: the search reads while we write
    (run / "next").write_text("\\n".join(rows) + "\\n")
    (run / "next").replace(run / "history.csv")
    while behave == "hang when worse" and lr != 0.05 and epoch == 4:
        time.sleep(0.02)  # until it is given up
(folder / "trial.json").write_text(json.dumps({"score": "ua", "value": top, "runs": []}))
"""
SPACE = {"optim.lr": {"min": 0.001, "max": 0.1}, "data.batch_size": {"values": [8, 32]}}


@pytest.fixture
def trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to search in, where ``python -m sermm`` is the stand-in."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "stand_in" / "sermm"
    place.mkdir(parents=True)
    (place / "__init__.py").touch()
    (place / "__main__.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(place.parent))
    monkeypatch.setattr("sermm.sweep.local._POLL_S", 0.01)
    return tmp_path


def search(folder: Path, count: int = 6, workers: int = 2, **changes: Any) -> Search:
    sweep = read_sweep(str(write(folder, GOOD, **{"parameters": SPACE, **changes})))
    options = SearchOptions(workers=workers, count=count, seed=0, overrides=())
    return Search(sweep, check_sweep(sweep), options)


def states(study: Any) -> list[str]:
    return [trial.state.name for trial in study.get_trials()]


def test_a_search_finds_what_is_better_and_goes_on(trials: Path) -> None:
    first = search(trials, count=4)
    study = first.run()
    assert states(study) == ["COMPLETE"] * 4
    # the experiment's own values come first, as far as the sweep holds them
    assert values_of(study.get_trials()[0]) == {"optim.lr": 0.003, "data.batch_size": 32}
    assert study.get_trials()[0].user_attrs["default"]
    again = search(trials, count=9)
    study = again.run()
    assert states(study) == ["COMPLETE"] * 9
    best = best_of(heard_out(study), maximise=True)
    assert best is not None
    assert best.value == max(trial.value for trial in study.get_trials())
    assert best.value > (study.get_trials()[0].value or 0)
    # nothing is left to do
    assert len(search(trials, count=9).run().get_trials()) == 9


def test_what_is_written_can_be_run(trials: Path) -> None:
    found = search(trials)
    study = found.run()
    path = write_best(study, found.sweep, ("optim.epochs=4",), found.folder)
    assert path is not None
    config = load_config(str(path))
    best = best_of(heard_out(study), maximise=True)
    assert best is not None
    assert config.optim.lr == values_of(best)["optim.lr"]
    assert config.data.batch_size == values_of(best)["data.batch_size"]
    assert (config.name, config.test, config.optim.epochs) == ("tried_best", True, 4)
    # the whole plan again
    assert config.plan == load_config("linear_demo").plan
    assert "val/ua on fold 0" in config.description
    with write_trials(study, found.sweep, found.folder).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["val/ua"]) for row in rows] == pytest.approx(
        [trial.value for trial in study.get_trials()], abs=1e-6
    )


def test_same_seed_and_one_worker_propose_the_same(trials: Path) -> None:
    proposed = []
    for name in ("one", "two"):
        (trials / name).mkdir()
        os.chdir(trials / name)
        study = search(trials / name, count=4, workers=1, method="bayes").run()
        proposed.append([values_of(trial) for trial in study.get_trials()])
    assert proposed[0] == proposed[1]


def test_a_grid_is_tried_once_and_whole(trials: Path) -> None:
    space = {"optim.lr": {"values": [0.01, 0.05, 0.1]}, "data.batch_size": {"min": 8, "max": 9}}
    found = search(trials, count=99, method="grid", parameters=space)
    assert how_many(found.sweep, None) == 6
    study = found.run()
    tried = sorted(tuple(values_of(trial).values()) for trial in study.get_trials())
    assert tried == [(lr, size) for lr in (0.01, 0.05, 0.1) for size in (8, 9)]


def test_a_grid_with_a_killed_trial_is_whole(trials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEHAVE", "die once")
    space = {"optim.lr": {"values": [0.01, 0.05]}}
    study = search(trials, count=2, workers=1, method="grid", parameters=space).run()
    assert states(study) == ["FAIL", "COMPLETE", "COMPLETE"]
    kept = sorted(values_of(trial)["optim.lr"] for trial in heard_out(study))
    assert kept == [0.01, 0.05]


def test_a_killed_trial_is_tried_again_in_its_folder(
    trials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEHAVE", "die once")
    found = search(trials, count=3, workers=1)
    study = found.run()
    assert states(study) == ["FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    first, second, *_ = study.get_trials()
    assert values_of(first) == values_of(second)
    assert first.user_attrs["folder"] == second.user_attrs["folder"]
    assert (found.folder / first.user_attrs["folder"] / "times").read_text() == "xx"


def test_a_trial_that_fails_is_not_tried_again(
    trials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEHAVE", "fail once")
    study = search(trials, count=2, workers=1).run()
    assert states(study) == ["FAIL", "COMPLETE", "COMPLETE"]
    assert values_of(study.get_trials()[0]) != values_of(study.get_trials()[1])


def test_trial_after_trial_that_fails_ends_the_search(
    trials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEHAVE", "fail")
    with pytest.raises(RunFailedError, match="error: it does not work"):
        search(trials, count=50, workers=1).run()


def test_what_is_worse_is_given_up(trials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEHAVE", "hang when worse")
    early = {"type": "hyperband", "min_iter": 2, "eta": 2}
    space = {"optim.lr": {"values": [0.05, 0.01, 0.1]}}
    found = search(trials, 3, 1, early_terminate=early, parameters=space, method="grid")
    study = found.run()
    assert states(study) == ["COMPLETE", "PRUNED", "PRUNED"]
    for trial in study.get_trials()[1:]:
        assert len(trial.intermediate_values) == 2
        history = found.folder / trial.user_attrs["folder"] / "fold=0,seed=0,size=all/history.csv"
        assert len(history.read_text().splitlines()) <= 6
    best = best_of(heard_out(study), maximise=True)
    assert best is not None
    assert values_of(best) == {"optim.lr": 0.05}


def test_the_search_ends_at_the_target(trials: Path) -> None:
    metric = {"name": "val/ua", "goal": "maximize", "target": 0.0}
    assert len(search(trials, count=50, workers=1, metric=metric).run().get_trials()) == 1


def test_trials_of_another_question_are_not_mixed(trials: Path) -> None:
    search(trials, count=1).run()
    with pytest.raises(DataError, match="those of another"):
        search(trials, count=1, method="bayes").run()


def test_a_killed_worker_loses_its_trials_to_the_next(
    trials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEHAVE", "hang")
    found = search(trials, count=3, workers=2)
    pid = copy_of_this(found.run)
    wait_until(lambda: len(list(found.folder.glob("*/times"))) == 2)
    os.kill(pid, signal.SIGKILL)
    wait_for(pid)
    (trials / "go").touch()
    # a trial ends with its worker, and no other one meets it in its folder
    lost_pids = [int(path.name[4:]) for path in found.folder.glob("*/pid=*")]
    wait_until(lambda: all(map(has_ended, lost_pids)))
    study = search(trials, count=3, workers=2).run()
    assert sorted(states(study)) == ["COMPLETE"] * 3 + ["FAIL"] * 2
    lost = [values_of(t) for t in study.get_trials(states=(TrialState.FAIL,))]
    kept = [values_of(t) for t in heard_out(study)]
    assert all(values in kept for values in lost)


def test_a_worker_that_was_killed_as_it_began_a_trial_holds_nobody_up(trials: Path) -> None:
    found = search(trials, count=1)
    open_study(found.sweep, found.folder, seed=0).ask()
    assert states(found.run()) == ["FAIL", "COMPLETE"]


def test_a_trial_that_ends_while_its_worker_is_looked_for_is_left_alone(
    trials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = search(trials, count=1)
    found.study, found.number = open_study(found.sweep, found.folder, seed=0), 1
    trial = found.study.ask()
    trial.set_user_attr("worker", 2)

    def ends_and_goes(folder: Path, number: int) -> bool:
        found.study.tell(trial, 0.5)
        return False

    monkeypatch.setattr("sermm.sweep.local.is_alive", ends_and_goes)
    found._requeue_orphans()
    assert states(found.study) == ["COMPLETE"]


def test_two_processes_share_a_sweep(trials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEHAVE", "hang")  # until both have begun a trial
    found = search(trials, count=8, workers=1)
    children = [copy_of_this(found.run) for _ in range(2)]
    try:
        wait_until(lambda: len(list(found.folder.glob("*/times"))) == 2)
    finally:
        (trials / "go").touch()
    assert [wait_for(pid) for pid in children] == [0, 0]
    study = open_study(found.sweep, found.folder, seed=0)
    # both may begin the last one in the same moment
    assert 8 <= len(heard_out(study)) <= 9
    assert len({trial.user_attrs["worker"] for trial in heard_out(study)}) == 2
    drawn = [values_of(trial)["optim.lr"] for trial in heard_out(study)]
    assert len(set(drawn)) >= len(drawn) - 1


@pytest.mark.parametrize(
    ("workers", "devices", "expected"),
    [(2, 1, ["4", "7"]), (4, 1, ["4", "4", "7", "7"]), (1, 2, ["4,7"]), (2, 2, ["4,7", "4,7"])],
)
def test_trials_are_spread_over_gpus(
    trials: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
    devices: int,
    expected: list[str],
) -> None:
    """What each of the trials that run at once sees; there is no GPU here."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    monkeypatch.setenv("BEHAVE", "hang")
    sweep = read_sweep(str(write(trials, GOOD, parameters=SPACE)))
    settings = (f"trainer.devices={devices}", *(("trainer.strategy=ddp",) if devices > 1 else ()))
    options = SearchOptions(workers=workers, count=workers, seed=0, overrides=settings)
    found = Search(sweep, check_sweep(sweep, settings), options)

    def release() -> None:
        try:
            wait_until(lambda: len(list(found.folder.glob("*/times"))) == workers)
        finally:
            (trials / "go").touch()

    releaser = Thread(target=release)
    releaser.start()
    assert states(found.run()) == ["COMPLETE"] * workers
    releaser.join()
    assert sorted(path.read_text() for path in found.folder.glob("*/gpus")) == expected


def test_a_freed_gpu_is_used_again_and_the_cpu_needs_none(
    trials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    found = search(trials, count=3, workers=1)
    found.run()
    assert {path.read_text() for path in found.folder.glob("*/gpus")} == {"4"}
    config = check_sweep(found.sweep, ["trainer.accelerator=cpu"])
    assert Search(found.sweep, config, found.options).packing is None


def test_a_damaged_journal_is_told(trials: Path) -> None:
    found = search(trials, count=2)
    found.run()
    journal = found.folder / "journal.log"
    lines = journal.read_text().splitlines()
    lines[3] = lines[3][:10]
    journal.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="a damaged one"):
        search(trials, count=3).run()


def test_workers_are_numbered_and_known_to_live(tmp_path: Path) -> None:
    reader, writer = os.pipe()

    def work() -> None:
        with work_on(tmp_path) as number:
            os.write(writer, bytes([number]))
            signal.pause()

    pid = copy_of_this(work)
    assert os.read(reader, 1) == b"\x01"
    assert is_alive(tmp_path, 1)
    assert not is_alive(tmp_path, 2)
    with work_on(tmp_path) as number:
        assert number == 2
    os.kill(pid, signal.SIGKILL)
    wait_for(pid)
    assert not is_alive(tmp_path, 1)
    os.close(reader)
    os.close(writer)


@pytest.mark.slow
def test_a_real_sweep(place: Workplace) -> None:
    settings = [text for text in place.settings("linear")[1:] if not text.startswith("optim.lr=")]
    path = write(place.folder, GOOD, command=COMMAND, method="bayes", parameters=SPACE)
    settings = [text for text in settings if not text.startswith("data.batch_size=")]
    wanted = ["sweep", str(path), "--local", "--workers", "2", "--count", "3", *settings]
    said = place.sermm(*wanted)
    assert (said.status, said.err) == (0, ""), said
    folder = place.folder / "runs" / "sweeps" / "tried"
    trial = read_json(folder / "trial=0000" / "trial.json")
    assert trial["runs"][0]["num_val"] > 0
    assert not list(folder.rglob("predictions.csv"))
    tree = yaml.safe_load((folder / "best.yaml").read_text())
    assert tree["plan"]["folds"] is None
    said = place.sermm("experiment", str(folder / "best.yaml"), "plan.folds=[0]")
    assert said.status == 0, said
    assert (place.folder / "runs" / "tried_best" / "summary.json").is_file()
