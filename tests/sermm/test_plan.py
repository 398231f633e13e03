"""Plans of runs. Their processes are copies of this one, which saves the import of torch."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest

from sermm import children, plan
from sermm.children import end_groups
from sermm.config import Config, DataConfig, ModelConfig, PlanConfig, TrainerConfig
from sermm.run_metrics import RunKey
from tests.sermm.workplace import (
    TASKS,
    Workplace,
    become_a_program,
    call_main,
    children_of,
    copy_of_this,
    has_ended,
    read_json,
    wait_for,
    wait_until,
)

CONFIG = Config(
    name="made",
    data=DataConfig(corpus="demo", labels="iemocap4", protocol="demo-session5"),
    model=ModelConfig(task="linear"),
)


def test_a_plan_is_folds_times_seeds_times_sizes() -> None:
    config = replace(CONFIG, plan=PlanConfig(folds=[2, 0], seeds=[0, 1], sizes=[10, "all"]))
    keys = plan.plan_runs(config, num_folds=5)
    assert len(set(keys)) == len(keys) == 8
    assert keys[:3] == [RunKey(2, 0, 10), RunKey(0, 0, 10), RunKey(2, 1, 10)]
    assert keys[-1] == RunKey(0, 1, None)
    assert plan.plan_runs(CONFIG, num_folds=3) == [RunKey(0, 0), RunKey(1, 0), RunKey(2, 0)]


def test_the_configuration_of_a_run() -> None:
    config = plan.config_of(CONFIG, RunKey(3, 1, 50))
    assert (config.fold, config.seed, config.size, config.name) == (3, 1, 50, "made")


@pytest.mark.parametrize(
    ("workers", "threads", "cores", "runs", "expected"),
    [
        (0, 1, 8, 20, 8),
        (0, 1, 8, 3, 3),
        (0, 4, 8, 20, 2),
        (0, 16, 8, 20, 1),
        (5, 1, 2, 20, 5),
        (5, 1, 2, 4, 4),
    ],
)
def test_as_many_at_once_as_the_cores_carry(
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
    threads: int,
    cores: int,
    runs: int,
    expected: int,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    config = replace(
        CONFIG, plan=PlanConfig(workers=workers), trainer=TrainerConfig(num_threads=threads)
    )
    assert plan.num_workers(config, runs) == expected


class Copies:
    """Stands in for ``subprocess`` in a plan: children are copies of this process.

    Attributes:
        commands: What was started, in order.
        prepare: Called in each child with its command first.
    """

    DEVNULL, STDOUT, TimeoutExpired = (
        subprocess.DEVNULL,
        subprocess.STDOUT,
        subprocess.TimeoutExpired,
    )

    def __init__(self) -> None:
        self.commands: list[Sequence[str]] = []
        self.environments: list[Mapping[str, str]] = []
        self.prepare: Callable[[Sequence[str]], None] = lambda command: None

    def Popen(  # noqa: N802  # its name in subprocess
        self, command: Sequence[str], *, stdout: IO[bytes], env: Mapping[str, str], **rest: Any
    ) -> Any:
        assert rest == {
            "stdin": self.DEVNULL,
            "stderr": self.STDOUT,
            "start_new_session": True,
        }
        assert command[:3] == [sys.executable, "-m", "sermm"]
        self.commands.append(command)
        self.environments.append(env)

        def run() -> int:
            os.setsid()
            become_a_program(stdout.fileno())
            self.prepare(command)
            return call_main(command[3:])

        return Copy(copy_of_this(run))

    def folds(self) -> list[str]:
        """Of what was started."""
        return sorted(word for command in self.commands for word in command if "fold=" in word)


class Copy:
    """The part of ``Popen`` that a plan uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def poll(self) -> int | None:
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def wait(self, timeout: float = 60.0) -> int:
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("copy", timeout)
            time.sleep(0.01)
        assert self.status is not None
        return self.status


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Copies:
    stand_in = Copies()
    monkeypatch.setattr(children, "subprocess", stand_in)
    monkeypatch.setattr(plan, "_can_be_copies", lambda config, on_gpu: False)
    monkeypatch.setattr(plan, "_POLL_S", 0.02)
    return stand_in


def settings(place: Workplace, *overrides: str) -> list[str]:
    return place.settings("linear", "plan.folds=[0, 1, 2]", "plan.workers=2", *overrides)


def run_folders(place: Workplace) -> list[Path]:
    return [place.run_folder("linear", f"fold={fold}") for fold in range(3)]


def test_an_experiment_runs_its_plan_and_sums_it_up(place: Workplace, copies: Copies) -> None:
    alone = place.fit("linear", "name=alone", "fold=2")
    said = place.sermm("experiment", *settings(place))
    assert (said.status, said.err) == (0, ""), said
    assert copies.folds() == ["fold=0", "fold=1", "fold=2"]
    folders = run_folders(place)
    assert all((folder / "metrics.json").is_file() for folder in folders)
    # a run is the same in a plan and by itself
    for name in ("predictions.csv", "history.csv"):
        assert (folders[2] / name).read_bytes() == (alone / name).read_bytes()
    # what a child says stands in its log, and is one clean line
    assert (folders[0] / plan.LOG_NAME).read_text().startswith("fold 0, seed 0: ua 0.")
    assert (folders[0] / plan.LOG_NAME).read_text().count("\n") == 1
    summary = read_json(folders[0].parent / "summary.json")
    assert (summary["complete"], len(summary["runs"])) == (True, 3)
    page = folders[0].parent / "report.html"
    assert page.is_file()
    assert f"report: {page.relative_to(place.folder)}" in said.out
    assert copies.environments[0]["OMP_NUM_THREADS"] == "1"

    again = place.sermm("experiment", *settings(place))
    assert again.status == 0
    assert "3 of 3 runs were finished before" in again.out
    assert len(copies.commands) == 3


def test_a_failed_run_is_told_and_the_others_finish(place: Workplace, copies: Copies) -> None:
    folders = run_folders(place)
    broken = folders[1] / "checkpoints" / "last.ckpt"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"nonsense")
    (broken.parent / "best.ckpt").write_bytes(b"nonsense")
    said = place.sermm("experiment", *settings(place))
    assert said.status == 1
    assert said.err.startswith(
        "error: experiment linear_demo: expected all 3 runs to finish, got 1"
    )
    reason = "best.ckpt: expected a checkpoint written by sermm"
    assert reason in said.err
    assert f"(exit status 2; see runs/linear_demo/{folders[1].name}/log.txt)" in said.err
    assert said.err.count("\n") == 1
    assert reason in said.out.replace("\n", "")
    assert [(f / "metrics.json").is_file() for f in folders] == [True, False, True]
    assert read_json(folders[0].parent / "summary.json")["complete"] is False
    finished = [(folder / "metrics.json").stat().st_mtime_ns for folder in (folders[0], folders[2])]

    for path in broken.parent.iterdir():
        path.unlink()
    copies.commands.clear()
    assert place.sermm("experiment", *settings(place)).status == 0
    assert copies.folds() == ["fold=1"]
    again = [(folder / "metrics.json").stat().st_mtime_ns for folder in (folders[0], folders[2])]
    assert again == finished


def test_nothing_is_reported_where_all_failed(place: Workplace, copies: Copies) -> None:
    copies.prepare = lambda command: os._exit(7)
    said = place.sermm("experiment", *settings(place))
    assert said.status == 1
    assert said.err.count("no output (exit status 7; see ") == 3
    assert not (run_folders(place)[0].parent / "summary.json").exists()


def test_a_killed_child_and_the_log_of_an_earlier_attempt(place: Workplace, copies: Copies) -> None:
    def die(command: Sequence[str]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    folder = run_folders(place)[0]
    folder.mkdir(parents=True)
    (folder / plan.LOG_NAME).write_text("error: what an earlier attempt said\n")
    copies.prepare = die
    said = place.sermm("experiment", *settings(place, "plan.folds=[0]"))
    assert said.status == 1
    assert "no output (signal 9; see " in said.err
    assert "earlier attempt" not in said.err


def test_leaving_with_status_0_does_not_make_a_run_finished(
    place: Workplace, copies: Copies
) -> None:
    copies.prepare = lambda command: os._exit(0)
    said = place.sermm("experiment", *settings(place, "plan.folds=[0]"))
    assert said.status == 1
    assert "(exit status 0; see " in said.err


def test_another_configuration_is_refused_before_anything_starts(
    place: Workplace, copies: Copies
) -> None:
    place.fit("linear", "fold=2")
    said = place.sermm("experiment", *settings(place, "optim.epochs=4"))
    assert said.status == 2
    assert "optim.epochs=3 (now 4)" in said.err
    assert not copies.commands
    assert not (place.folder / "runs" / "linear_demo" / "experiment.yaml").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopping_a_plan_leaves_no_process_and_no_half_file(
    place: Workplace, copies: Copies, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    # neither do the runs end by themselves nor are they killed before they have ended
    arguments = settings(place, "optim.epochs=1000000", "data.num_workers=1")
    monkeypatch.setattr(children, "_STOP_S", 600.0)
    folders = run_folders(place)
    pid = place.fork("experiment", *arguments)
    wait_until(lambda: all((folder / "history.csv").exists() for folder in folders[:2]))
    runs = [int((folder / ".lock").read_text()) for folder in folders[:2]]
    workers = [worker for run in runs for worker in children_of(run)]
    assert len(workers) >= 2
    assert not any(map(has_ended, (*runs, *workers)))
    os.kill(pid, number)
    assert wait_for(pid) == 130
    assert place.said_by_fork().endswith("stopped; run the same command again to go on\n")
    assert all(map(has_ended, runs))
    wait_until(lambda: all(map(has_ended, workers)))
    assert not list((place.folder / "runs").rglob("*.part"))
    assert not (folders[2] / "environment.json").exists()


def test_runs_are_packed_on_gpus(
    place: Workplace, copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two stand-ins for GPUs; one of two runs that share the first finds no memory there."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    monkeypatch.setattr(plan, "num_workers", lambda config, num_runs: 9)
    seen = place.folder / "seen"
    seen.mkdir()
    fold = re.compile(r"fold=\d").search

    def work(command: Sequence[str]) -> None:
        """Fail for want of memory beside another, which stays until then; then succeed."""
        found = fold(" ".join(command))
        assert found is not None
        name = found[0]
        (seen / f"{name} {copies.environments[-1]['CUDA_VISIBLE_DEVICES']}").touch()
        if name == "fold=2" and not list(seen.glob("failed *")):
            (seen / f"failed {os.getpid()}").touch()
            print("error: memory in training: expected enough for every batch, got too little")
            os._exit(1)
        wait_until(company_has_gone)

    def company_has_gone() -> bool:
        """The plan has fetched the status of the one that failed."""
        return any(
            not Path("/proc", path.name.split()[1]).exists() for path in seen.glob("failed *")
        )

    copies.prepare = work
    arguments = settings(place, "trainer.accelerator=auto", "plan.runs_per_gpu=2")
    said = place.sermm("experiment", *arguments, "trainer.precision=32-true")
    assert (said.status, said.err) == (0, ""), said
    assert sorted(path.name for path in seen.glob("fold=*"))[:2] == ["fold=0 4", "fold=1 7"]
    assert len(copies.commands) == 4
    assert "size=all goes on once more after: error: memory in training" in said.out


def test_one_run_at_a_time_on_a_gpu(
    place: Workplace, copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    running = place.folder / "running"

    def work(command: Sequence[str]) -> None:
        running.touch(exist_ok=False)
        time.sleep(0.1)
        running.unlink()

    copies.prepare = work
    said = place.sermm("experiment", *settings(place, "trainer.accelerator=auto"))
    assert (said.status, said.err) == (0, ""), said


STUBBORN = """
import signal
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
open("ready", "w").close()
signal.pause()
"""


def stubborn(tmp_path: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", STUBBORN], start_new_session=True)
    wait_until((tmp_path / "ready").exists)
    return process


def test_a_child_that_does_not_listen_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(children, "_STOP_S", 0.2)
    process = stubborn(tmp_path)
    end_groups([process])
    assert process.returncode == -signal.SIGKILL


def test_a_second_ctrl_c_kills_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(children, "_STOP_S", 600.0)
    process = stubborn(tmp_path)
    handler = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    impatient = threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGUSR1])
    # not before it has begun to wait
    monkeypatch.setattr(process, "terminate", impatient.start)
    try:
        with pytest.raises(KeyboardInterrupt):
            end_groups([process])
    finally:
        impatient.cancel()
        signal.signal(signal.SIGUSR1, handler)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_plan_in_processes_of_its_own(place: Workplace) -> None:
    """As above, without stand-ins: stop a real plan with Ctrl-C, then let it end."""
    arguments = settings(place, "optim.epochs=200", "plan.folds=[0, 1]")
    folders = run_folders(place)[:2]
    command = [sys.executable, "-m", "sermm", "experiment", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        wait_until(lambda: all((folder / "history.csv").exists() for folder in folders))
        runs = [int((folder / ".lock").read_text()) for folder in folders]
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert process.stdout is not None
        assert process.stdout.read().endswith("stopped; run the same command again to go on\n")
    assert all(map(has_ended, runs))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for fold, folder in enumerate(folders):
        undisturbed = place.fit("linear", "name=undisturbed", "optim.epochs=200", f"fold={fold}")
        for name in ("predictions.csv", "history.csv"):
            assert (folder / name).read_bytes() == (undisturbed / name).read_bytes()
    assert TASKS["linear"][0] in done.stdout
