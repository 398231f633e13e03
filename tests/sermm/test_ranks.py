"""Who starts processes that train together. How they train is in ``test_ddp.py``."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from data_modules.errors import ConfigError
from sermm.compose import load_config
from sermm.ranks import is_first, preparation_port, watch_ranks
from tests.sermm.workplace import become_a_program, copy_of_this, has_ended, wait_for, wait_until

TWO = ("trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu")


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> None:
    """What srun sets for the second of two tasks."""
    for name in ("TORCHELASTIC_RUN_ID", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    here = {"SLURM_JOB_NAME": "sermm", "SLURM_NTASKS": "2", "SLURM_PROCID": "1"}
    for name, value in here.items():
        monkeypatch.setenv(name, value)


def test_tasks_of_slurm_are_counted_by_machine(task: None, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config("fusion_demo", TWO)
    with pytest.raises(ConfigError, match=r"got --ntasks=2; .* --nodes=1 --ntasks-per-node=2"):
        is_first(config)
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")
    assert not is_first(config)
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert is_first(config)


def become(folder: Path, work: Callable[[], None]) -> int:
    """A copy of this process that does its work and then waits; its output goes to ``said``."""

    def run() -> None:
        become_a_program(os.open(folder / "said", os.O_WRONLY | os.O_CREAT))
        work()
        signal.pause()

    return copy_of_this(run)


def test_jobs_that_start_together_do_not_meet() -> None:
    """Lightning's ports of SLURM's jobs, and those of torchrun and of users."""
    of_jobs = range(15_000, 25_000)
    assert not {preparation_port(port) for port in of_jobs} & set(of_jobs)
    assert all(1024 <= preparation_port(port) < 65_536 for port in range(11_024, 65_536))


def starting(num_ranks: int) -> SimpleNamespace:
    """The part of Lightning's launcher that matters, before it has started anything."""
    here = SimpleNamespace(creates_processes_externally=False)
    return SimpleNamespace(procs=[], num_processes=num_ranks, cluster_environment=here)


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("kill -9 $$", 1, "error: rank 2: expected a process that trains to the end, got signal 9"),
        ("exit 3", 3, ""),  # it has said why
    ],
)
def test_the_first_rank_ends_with_a_dead_one_and_ends_the_others(
    tmp_path: Path, command: str, status: int, said: str
) -> None:
    """Also before they have met."""
    launcher = starting(3)

    def lead() -> None:
        watch_ranks(3, launcher, threading.Event())
        other = subprocess.Popen(["sleep", "600"])
        (tmp_path / "other").write_text(str(other.pid))
        launcher.procs += [other, subprocess.Popen(["sh", "-c", command])]

    assert wait_for(become(tmp_path, lead)) == status
    text = (tmp_path / "said").read_text()
    assert text.startswith(said)
    assert bool(text) == bool(said)
    wait_until(lambda: has_ended(int((tmp_path / "other").read_text())))


def test_ranks_that_are_stopped_together_end_each_by_itself(tmp_path: Path) -> None:
    """One may be done with it while the first still closes its files."""
    launcher = starting(2)

    def lead() -> None:
        ending = threading.Event()
        ending.set()
        watch_ranks(2, launcher, ending)
        launcher.procs.append(subprocess.Popen(["sh", "-c", "exit 130"]))
        wait_until(lambda: launcher.procs[0].returncode == 0)
        os._exit(0)

    assert wait_for(become(tmp_path, lead)) == 0


@pytest.mark.parametrize("end", ["exit 130", "kill -INT $$"])
def test_a_rank_that_is_stopped_alone_stops_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """It would wait for it, before they have met, where no signal reaches Python."""
    monkeypatch.setattr("sermm.ranks._STOP_S", 0.1)
    launcher = starting(2)

    def lead() -> None:
        watch_ranks(2, launcher, threading.Event())
        launcher.procs.append(subprocess.Popen(["sh", "-c", end]))

    assert wait_for(become(tmp_path, lead)) == 130


def test_a_rank_ends_when_the_first_was_gone_before_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("LOCAL_RANK", "1"), ("SERMM_FIRST_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert wait_for(become(tmp_path, lambda: watch_ranks(2, None, threading.Event()))) == -9
