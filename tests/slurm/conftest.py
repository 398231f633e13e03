"""A SLURM cluster of one node that comes and goes with a test, and commands that end with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CLUSTER = Path(__file__).with_name("cluster")

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start a cluster, and work in a folder of its own that all its jobs see."""
    missing = [name for name in ("munged", "slurmctld", "slurmd", "srun") if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        pytest.skip(f"no SLURM to start: needs root and slurm-wlm and munge ({missing} missing)")
    folder = tmp_path / "slurm"
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    monkeypatch.chdir(tmp_path)
    try:
        subprocess.run([CLUSTER, "start", folder], check=True)
        yield
    finally:
        subprocess.run([CLUSTER, "stop", folder], check=True)


@pytest.fixture
def start(slurm: None) -> Iterator[Start]:
    """Start a command of sermm; one that still runs when a test fails ends before the cluster."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "sermm", *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=60)


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and output."""
    out, _ = process.communicate(timeout=600)
    return process.returncode, out
