"""Runs that are killed, stopped, moved and damaged: they end as if nothing had happened.

Most are copies of this process (``Workplace.fork``), which saves the import of torch.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sermm.build_checkpoint import load_task
from sermm.checkpoints import read_checkpoint
from sermm.rundir import alone_in
from tests.sermm.workplace import (
    TASKS,
    Workplace,
    probabilities,
    read_json,
    read_table,
    wait_for,
    wait_for_stop,
)


def num_epochs(folder: Path) -> int:
    path = folder / "history.csv"
    return len(read_table(path)) if path.is_file() else 0


def at_write(name: str, times: int, *, after: bool, act: Callable[[], None]) -> None:
    """Do something right before, or right after, the n-th time that a file of this name appears."""
    seen = 0
    replace = Path.replace

    def watched(path: Path, target: Path) -> Path:
        nonlocal seen
        seen += Path(target).name == name
        now = Path(target).name == name and seen == times
        if now and not after:
            act()
        result = replace(path, target)
        if now and after:
            act()
        return result

    Path.replace = watched  # type: ignore[assignment, method-assign]


def stop_here() -> None:
    """Stand still until somebody else goes on with this process, or kills it."""
    os.kill(os.getpid(), signal.SIGSTOP)


def kill_at(name: str, times: int = 1, *, after: bool = False) -> Callable[[], None]:
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    return lambda: at_write(name, times, after=after, act=die)


def assert_same_run(folder: Path, undisturbed: Path) -> None:
    for name in ("predictions.csv", "history.csv"):
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes(), name
    found, expected = read_json(folder / "metrics.json"), read_json(undisturbed / "metrics.json")
    assert found | {"seconds": 0} == expected | {"seconds": 0}
    # what the killed process was about to write is gone
    assert not list(folder.rglob("*.part"))


# file, which time, killed after it appeared (or before); three epochs
MOMENTS = [
    ("environment.json", 1, True),
    ("history.csv", 1, True),
    ("best.ckpt", 1, True),
    ("last.ckpt", 1, False),
    ("last.ckpt", 1, True),
    ("history.csv", 2, False),
    ("last.ckpt", 2, True),
    ("history.csv", 3, True),
    ("last.ckpt", 3, True),
    ("predictions.csv", 1, False),
    ("alignment.npz", 1, False),
    ("metrics.json", 1, False),
]


@pytest.mark.parametrize(("name", "times", "after"), MOMENTS)
def test_a_run_killed_while_files_are_written_goes_on(
    place: Workplace, name: str, times: int, after: bool
) -> None:
    # its best epoch is the first, which a resumed run has to remember
    undisturbed = place.fit("linear", "name=undisturbed")
    assert read_json(undisturbed / "metrics.json")["best_epoch"] == 0
    settings = place.settings("linear", "name=killed")
    killed = place.fork("fit", *settings, prepare=kill_at(name, times, after=after))
    assert wait_for(killed) == -signal.SIGKILL
    assert not (place.run_folder("linear", "name=killed") / "metrics.json").exists()
    assert_same_run(place.fit("linear", "name=killed"), undisturbed)


@pytest.mark.parametrize(
    ("name", "times", "after"),
    [
        ("top-1.ckpt", 1, True),
        ("last.ckpt", 2, True),
        ("last.ckpt", 4, True),
        ("best.ckpt", 2, False),
        ("best.ckpt", 2, True),
        ("metrics.json", 1, False),
    ],
)
def test_an_average_survives_a_kill(place: Workplace, name: str, times: int, after: bool) -> None:
    """Its best epoch is the first; the second time that the best is written, it is the mean."""
    averaged = ("optim.average=2", "optim.epochs=4")
    undisturbed = place.fit("linear", "name=undisturbed", *averaged)
    assert not list(undisturbed.rglob("top-*"))
    settings = place.settings("linear", "name=killed", *averaged)
    killed = place.fork("fit", *settings, prepare=kill_at(name, times, after=after))
    assert wait_for(killed) == -signal.SIGKILL
    assert_same_run(place.fit("linear", "name=killed", *averaged), undisturbed)
    assert not list(place.run_folder("linear", "name=killed").rglob("top-*"))


def test_the_mean_of_the_best_is_tested_and_saved(place: Workplace) -> None:
    folder = place.fit("linear", "name=averaged", "optim.average=3")
    best = read_checkpoint(folder / "checkpoints" / "best.ckpt")
    assert sorted(best["averaged"]) == [0, 1, 2]
    task, _, _ = load_task(folder / "checkpoints" / "best.ckpt")
    metrics = read_json(folder / "metrics.json")
    assert metrics["notes"] == ["weights are the mean of the 3 best on validation"]
    last = read_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"]["linear.weight"]
    assert not torch.equal(task.state_dict()["linear.weight"], last)
    # what is tested is what is saved, and its validation score is the one that is told
    single = place.fit("linear", "name=single")
    assert probabilities(folder) != probabilities(single)
    said = place.sermm("report", "averaged")
    assert said.status == 0
    assert "mean of the 3 best on validation" in said.out


def kill_somewhere(place: Workplace, task: str, draw: random.Random) -> None:
    """Kill a run twice at moments that have nothing to do with what it does, then let it end."""
    started = time.monotonic()
    undisturbed = place.fit(task, "name=undisturbed")
    took = time.monotonic() - started
    for _ in range(2):
        pid = place.fork("fit", *place.settings(task, "name=killed"))
        time.sleep(draw.uniform(0.1, 1.0) * took)
        os.kill(pid, signal.SIGKILL)
        # a fast one may have ended before
        assert wait_for(pid) in (-signal.SIGKILL, 0), place.said_by_fork()
    folder = place.run_folder(task, "name=killed")
    place.sermm("fit", *place.settings(task, "name=killed"))
    assert_same_run(folder, undisturbed)
    # every epoch once
    assert [row["epoch"] for row in read_table(folder / "history.csv")] == ["0", "1", "2"]


@pytest.mark.parametrize("task", ["span", "acoustic", "attention"])
def test_a_run_killed_anywhere_goes_on(place: Workplace, task: str) -> None:
    kill_somewhere(place, task, random.Random(task))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_a_run_killed_anywhere_goes_on_each_time(place: Workplace, number: int) -> None:
    kill_somewhere(place, list(TASKS)[number % len(TASKS)], random.Random(number))


# `sermm`, which stands still after its second epoch: it cannot end before it is killed
STANDS_STILL = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from sermm.__main__ import main
from tests.sermm.test_train import at_write, stop_here
at_write("history.csv", 2, after=True, act=stop_here)
main()
"""


def test_a_process_of_its_own_is_killed_and_goes_on_in_another(place: Workplace) -> None:
    settings = ("optim.epochs=30", "data.num_workers=1")
    undisturbed = place.fit("linear", "name=undisturbed", *settings)
    settings = (*settings, "name=killed")
    folder = place.run_folder("linear", "name=killed")
    with subprocess.Popen(
        [sys.executable, "-c", STANDS_STILL, "fit", *place.settings("linear", *settings)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    ) as process:
        wait_for_stop(process.pid)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        # loader workers see that their parent is gone; nothing was said until then
        assert process.stdout is not None
        assert process.stdout.read() == ""
    assert num_epochs(folder) == 2
    assert "fit linear_demo" in read_json(folder / "environment.json")["command"]
    assert_same_run(place.fit("linear", *settings), undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_so_and_goes_on(place: Workplace, number: signal.Signals) -> None:
    settings = ("optim.epochs=5",)
    undisturbed = place.fit("linear", "name=undisturbed", *settings)
    pid = place.fork(
        "fit",
        *place.settings("linear", "name=stopped", *settings),
        # where it waits for the signal, so that it cannot end before
        prepare=lambda: at_write("history.csv", 3, after=False, act=stop_here),
    )
    folder = place.run_folder("linear", "name=stopped")
    wait_for_stop(pid)
    os.kill(pid, number)
    os.kill(pid, signal.SIGCONT)
    assert wait_for(pid) == 130
    assert place.said_by_fork() == "stopped; run the same command again to go on\n"
    assert not list(folder.rglob("*.part"))
    assert not (folder / "metrics.json").exists()
    assert_same_run(place.fit("linear", "name=stopped", *settings), undisturbed)


def test_ctrl_c_works_again_after_a_stopped_run(place: Workplace) -> None:
    """Lightning switches it off for the process that it is about to end."""

    def stop() -> None:
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", Path.replace)  # restored at the end
        at_write("last.ckpt", 1, after=True, act=stop)
        said = place.sermm("fit", *place.settings("linear"))
    assert said.status == 130
    assert signal.getsignal(signal.SIGINT) == handler


def test_patience_ends_training_and_stays_ended(place: Workplace) -> None:
    settings = ("optim.patience=1", "optim.epochs=9")
    undisturbed = place.fit("linear", "name=undisturbed", *settings)
    epochs = len(read_table(undisturbed / "history.csv"))
    best = read_json(undisturbed / "metrics.json")["best_epoch"]
    assert epochs == best + 2 < 9
    # killed when training had ended: what follows is the test part, and no further epoch
    killed = place.fork(
        "fit", *place.settings("linear", "name=killed", *settings), prepare=kill_at("metrics.json")
    )
    assert wait_for(killed) == -signal.SIGKILL
    assert_same_run(place.fit("linear", "name=killed", *settings), undisturbed)


BY_STEPS = ("optim.steps=11", "optim.val_every_steps=4", "optim.accumulate=2", "optim.epochs=1")


def test_training_by_steps(place: Workplace) -> None:
    folder = place.fit("span", "name=undisturbed", *BY_STEPS)
    history = read_table(folder / "history.csv")
    assert [(row["epoch"], row["step"]) for row in history] == [("0", "4"), ("1", "8"), ("2", "11")]
    # the cosine has come to its end
    assert [float(row["lr"]) > 0 for row in history] == [True, True, False]
    scores = [float(row["val/ua"]) for row in history]
    assert read_json(folder / "metrics.json")["best_epoch"] == scores.index(max(scores))
    killed = place.fork(
        "fit",
        *place.settings("span", "name=killed", *BY_STEPS),
        prepare=kill_at("last.ckpt", 2, after=True),
    )
    assert wait_for(killed) == -signal.SIGKILL
    assert_same_run(place.fit("span", "name=killed", *BY_STEPS), folder)


def test_steps_without_validation_in_between_are_epochs_cut_short(place: Workplace) -> None:
    epochs = place.fit("linear", "name=epochs", "optim.epochs=2", "optim.warmup_share=1.0")
    num_train = read_json(epochs / "metrics.json")["num_train"]
    updates = -(-num_train // 8)
    folder = place.fit("linear", f"optim.steps={updates + 2}", "data.batch_seconds=0")
    assert len(read_table(folder / "history.csv")) == 2
    assert "step" not in read_table(folder / "history.csv")[0]
    seconds = place.fit("linear", "name=seconds", "optim.steps=7", "data.batch_seconds=20")
    assert len(read_table(seconds / "history.csv")) >= 1


def test_a_moved_run_remembers_its_best_epoch(place: Workplace) -> None:
    undisturbed = place.fit("linear", "name=undisturbed")
    killed = place.fork(
        "fit",
        *place.settings("linear", "name=killed"),
        prepare=kill_at("last.ckpt", 2, after=True),
    )
    assert wait_for(killed) == -signal.SIGKILL
    (place.folder / "runs" / "killed").rename(place.folder / "runs" / "moved")
    assert_same_run(place.fit("linear", "name=moved"), undisturbed)


# without last.ckpt a run starts again
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("last.ckpt", "cut"),
        ("last.ckpt", "foreign"),
        ("best.ckpt", "cut"),
        ("best.ckpt", "foreign"),
        ("best.ckpt", "gone"),
    ],
)
def test_a_damaged_checkpoint_is_named(place: Workplace, name: str, damage: str) -> None:
    killed = place.fork(
        "fit",
        *place.settings("linear"),
        prepare=kill_at("last.ckpt", 2, after=True),
    )
    assert wait_for(killed) == -signal.SIGKILL
    folder = place.run_folder("linear")
    path = folder / "checkpoints" / name
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:2000])
    elif damage == "gone":
        path.unlink()
    else:
        torch.save({"state_dict": {}}, path)
    said = place.sermm("fit", *place.settings("linear"))
    assert said.status == 2
    assert said.err.startswith(f"error: {path.relative_to(place.folder)}: expected a checkpoint")
    assert said.err.count("\n") == 1


def test_two_processes_do_not_share_a_run(place: Workplace) -> None:
    first = place.fork(
        "fit",
        *place.settings("linear"),
        prepare=lambda: at_write("last.ckpt", 1, after=True, act=stop_here),
    )
    wait_for_stop(first)
    said = place.sermm("fit", *place.settings("linear"))
    assert said.status == 1
    assert f"got process {first} at work on it" in said.err
    os.kill(first, signal.SIGKILL)
    wait_for(first)
    assert place.sermm("fit", *place.settings("linear")).status == 0


def test_leftovers_of_a_killed_process_are_cleared(tmp_path: Path) -> None:
    leftovers = [tmp_path / ".config.yaml.x1.part", tmp_path / "checkpoints" / ".last.ckpt.y2.part"]
    kept = tmp_path / "config.yaml"
    (tmp_path / "checkpoints").mkdir()
    for path in (*leftovers, kept):
        path.write_text("half")
    with alone_in(tmp_path):
        assert not any(path.exists() for path in leftovers)
    assert kept.exists()
    # and it can be held again
    with alone_in(tmp_path):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"
