"""What ``--on`` says, and how a job of SLURM starts. Jobs themselves are in ``test_jobs.py``."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from data_modules.errors import ConfigError
from sermm.engines import Engine, parse_engine, slurm_python


def test_engines() -> None:
    assert parse_engine("local:3") == Engine("local", 3, {})
    assert parse_engine("slurm") == Engine("slurm", None, {})
    options = ["slurm_partition=gpu", "timeout_min=600", "mem_gb=7.5"]
    assert parse_engine("slurm:8", options) == Engine(
        "slurm", 8, {"slurm_partition": "gpu", "timeout_min": 600, "mem_gb": 7.5}
    )


@pytest.mark.parametrize(
    ("on", "options", "expected"),
    [
        ("local", [], r"--on: expected local:N, slurm or slurm:N, got 'local'"),
        ("local:0", [], "--on: expected"),
        ("pbs", [], "--on: expected"),
        ("slurm", ["partition"], "--on-option: expected key=value, got 'partition'"),
        (
            "slurm",
            ["timeout_min=[1"],
            "--on-option: expected a value in YAML",
        ),
        ("local:2", ["slurm_partition=gpu"], "--on-option: expected --on slurm beside it, got"),
    ],
)
def test_other_engines_are_refused(on: str, options: list[str], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        parse_engine(on, options)


def test_a_job_of_slurm_that_still_starts_is_not_ended_by_preemption() -> None:
    """By default Python ends of both signals."""
    code = (
        "import os, signal\n"
        "for number in (signal.SIGUSR2, signal.SIGTERM): os.kill(os.getpid(), number)\n"
        "print('goes on')"
    )
    command = f"{slurm_python()} -u -c {shlex.quote(code)}"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "goes on\n")
