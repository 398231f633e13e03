"""Commands as jobs on this machine. SLURM's side is tested where there is a SLURM."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from data_modules.errors import ConfigError
from sermm.engines import Engine
from sermm.gpus import Packing
from sermm.jobs import Command, Job, _end_with_parent, run_jobs
from sermm.jobs_watch import Queue, last_line
from tests.sermm.workplace import wait_until


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"timeout_mim": 3}, r"--on-option: .*; did you mean timeout_min\?"),
        ({"mem_gb": "much"}, "--on-option: "),
        ({"slurm_partitoin": "gpu"}, r"did you mean slurm_partition\?"),
    ],
)
def test_options_that_submitit_does_not_know(
    tmp_path: Path, options: dict[str, object], expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        run_jobs([Job("a", ("config",))], Engine("local", 1, options), tmp_path, title="t")


def test_slurm_is_missed_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"--on: expected a machine with SLURM's commands"):
        run_jobs([Job("a", ("config",))], Engine("slurm"), tmp_path, title="t")


def test_what_sbatch_says_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("srun", "sbatch"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'no controller' >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(ConfigError, match=r"--on slurm: expected sbatch .* got no controller;"):
        run_jobs([Job("a", ("doctor",))], Engine("slurm"), tmp_path / "jobs", title="t")


def test_jobs_run_and_a_failed_one_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [
        Job("one", ("config", "fusion_demo", "seed=7")),
        Job("wrong", ("config", "fusion_demo", "optim.lrr=1")),
        Job("two", ("config", "linear_demo")),
    ]
    polls: list[None] = []
    outcome = run_jobs(
        jobs, Engine("local", 2), tmp_path, title="test", on_poll=lambda: polls.append(None)
    )
    assert sorted(outcome.finished) == ["one", "two"]
    (why,) = outcome.failed.values()
    assert why.startswith("error: optim.lrr=1: expected ")
    assert "(exit status 2; see " in why
    assert polls
    logs = [path.read_text() for path in tmp_path.glob("*_log.out")]
    assert sum("seed: 7" in log for log in logs) == 1
    assert "  one finished" in capsys.readouterr().out


def test_jobs_on_this_machine_share_its_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two GPUs and three jobs: the third waits for one of them."""
    packing = Packing([["3"], ["5"]], per_gpu=1)
    jobs = [Job(name, ("config", "linear_demo")) for name in "abc"]
    commands: list[Command] = []

    def noted(job: Job, engine: Engine) -> Command:
        commands.append(Command(job, engine))
        return commands[-1]

    monkeypatch.setattr("sermm.jobs.Command", noted)
    outcome = run_jobs(jobs, Engine("local", 3), tmp_path, title="test", packing=packing)
    assert sorted(outcome.finished) == ["a", "b", "c"]
    gpus = [command.environment["CUDA_VISIBLE_DEVICES"] for command in commands]
    assert gpus[:2] == ["3", "5"]
    assert gpus[2] in ("3", "5")


def processes_that(say: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().decode()
        except OSError:
            continue
        if say in line and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def test_an_interruption_ends_the_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Lasting(Command):
        def __call__(self) -> int:
            _end_with_parent()
            (tmp_path / f"{os.getpid()} began").touch()
            time.sleep(600)
            return 0

    def interrupt() -> None:
        if len(list(tmp_path.glob("* began"))) == 2:
            assert processes_that(str(tmp_path))
            raise KeyboardInterrupt

    monkeypatch.setattr("sermm.jobs.Command", Lasting)
    with pytest.raises(KeyboardInterrupt):
        run_jobs(
            [Job(f"j{i}", ("config", "fusion_demo")) for i in range(2)],
            Engine("local", 2),
            tmp_path,
            title="t",
            on_poll=interrupt,
        )
    wait_until(lambda: not processes_that(str(tmp_path)))


def test_a_job_that_left_the_queue_without_a_result_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho '12_0 RUNNING'\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    now = [0.0]
    monkeypatch.setattr("sermm.jobs_watch.time", SimpleNamespace(monotonic=lambda: now[0]))
    queue = Queue()
    for now[0], vanished in ((0.0, False), (20.0, False), (31.0, True)):
        assert not queue.has_vanished("12_0")
        assert queue.has_vanished("12_1") is vanished
    assert queue.states == {"12_0": "RUNNING"}
    # a controller that does not answer: nobody knows
    squeue.write_text("#!/bin/sh\nexit 1\n")
    now[0] = 60.0
    assert not queue.has_vanished("12_1")


def test_last_lines_are_those_of_the_job(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_text("hello\nerror: x\n\nsubmitit INFO (2026) - Exiting\n")
    assert last_line(log) == "error: x"
