"""A plan on a SLURM cluster of one node, which these tests start and stop."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

CLUSTER = Path(__file__).with_name("cluster")
SMALL = (
    *("linear_demo", "data.demo.utterances_per_speaker=24", "optim.epochs=40"),
    *("trainer.accelerator=cpu", "trainer.checkpoint_steps=2", "tracking.wandb=disabled"),
)
PLAN = ("plan.folds=[0,1]", "plan.seeds=[0,1,2,3,4]")


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    missing = [name for name in ("munged", "slurmctld", "slurmd", "srun") if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        pytest.skip(f"no SLURM to start: needs root and slurm-wlm and munge ({missing} missing)")
    folder = tmp_path / "slurm"
    subprocess.run([CLUSTER, "start", folder], check=True, env={**os.environ})
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    yield
    subprocess.run([CLUSTER, "stop", folder], check=True)


def sermm(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "sermm", *arguments]


def test_runs_of_an_array_that_are_requeued_and_preempted_end_the_same(
    slurm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = subprocess.Popen(sermm("experiment", *SMALL, *PLAN, "--on", "slurm"))
    disturbed: dict[int, tuple[str, ...]] = {}
    ways = [("scontrol", "requeue"), ("scancel", "--signal=USR2"), ("scontrol", "requeue")]
    while plan.poll() is None:
        for index in range(10):
            folder = run_folder(index)
            history = folder / "history.csv"
            if index in disturbed or not ways or not history.is_file():
                continue
            if (folder / "metrics.json").exists() or len(history.read_text().splitlines()) < 4:
                continue
            job = max(int(path.name.split("_")[0]) for path in jobs(folder).glob("*_submission.sh"))
            disturbed[index] = ways.pop(0)
            subprocess.run([*disturbed[index], f"{job}_{index}"], check=True)
        time.sleep(0.2)
    assert plan.returncode == 0
    assert len(disturbed) == 3
    for index in disturbed:
        folder = run_folder(index)
        alone = ("runs=alone", f"fold={index % 2}", f"seed={index // 2}")
        subprocess.run(sermm("fit", *SMALL, *alone), check=True)
        other = Path("alone", *folder.parts[1:])
        for name in ("predictions.csv", "history.csv"):
            assert (folder / name).read_bytes() == (other / name).read_bytes(), (index, name)


def run_folder(index: int) -> Path:
    return Path("runs", "linear_demo", f"fold={index % 2},seed={index // 2},size=all")


def jobs(folder: Path) -> Path:
    return folder.parent / "jobs"
