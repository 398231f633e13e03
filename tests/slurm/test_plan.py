"""A plan on a SLURM cluster of one node: an array whose jobs are requeued and preempted."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.slurm.conftest import Start, end

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

SMALL = (
    *("linear_demo", "data.demo.utterances_per_speaker=24", "optim.epochs=60"),
    *("trainer.accelerator=cpu", "trainer.checkpoint_steps=2", "tracking.wandb=disabled"),
)
PLAN = ("plan.folds=[0,1]", "plan.seeds=[0,1,2,3,4]")


def test_runs_of_an_array_that_are_requeued_and_preempted_end_the_same(start: Start) -> None:
    plan = start("experiment", *SMALL, *PLAN, "--on", "slurm")
    # a job that takes the whole node preempts what runs there
    urgent = ("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=true")
    ways = [("scontrol", "requeue", "JOB"), urgent, ("scontrol", "requeue", "JOB")]
    disturbed: dict[int, str] = {}
    while plan.poll() is None:
        for index in range(10):
            if ways and index not in disturbed and num_epochs(index) in range(3, 20):
                command = [job_id(index) if word == "JOB" else word for word in ways[0]]
                said = subprocess.run(command, capture_output=True, text=True, check=False)
                if said.returncode == 0:  # it may be on its way back to the queue, preempted
                    disturbed[index] = ways.pop(0)[0]
                    time.sleep(10)  # until it is over
        time.sleep(0.2)
    status, said = end(plan)
    assert status == 0, said
    assert "10 jobs of SLURM: " in said
    assert list(disturbed.values()) == ["scontrol", "sbatch", "scontrol"]
    for index, how in disturbed.items():
        folder = run_folder(index)
        (log,) = (folder.parent / "jobs").glob(f"*_{index}_0_log.out")
        assert log.read_text().count("Starting with JobEnvironment") == 2
        assert "this run is finished already" not in log.read_text()
        assert ("this job is preempted" in log.read_text()) == (how == "sbatch")
        alone = ("runs=alone", f"fold={index % 2}", f"seed={index // 2}")
        assert end(start("fit", *SMALL, *alone))[0] == 0
        other = Path("alone", *folder.parts[1:])
        for name in ("predictions.csv", "history.csv"):
            assert (folder / name).read_bytes() == (other / name).read_bytes(), (index, name)


def run_folder(index: int) -> Path:
    return Path("runs", "linear_demo", f"fold={index % 2},seed={index // 2},size=all")


def num_epochs(index: int) -> int:
    """Epochs that a run has finished; 0 once it is over."""
    history = run_folder(index) / "history.csv"
    if not history.is_file() or (run_folder(index) / "metrics.json").exists():
        return 0
    return len(history.read_text().splitlines()) - 1


def job_id(index: int) -> str:
    """Of a run of the plan: the array's, and its place in it."""
    (script,) = (run_folder(index).parent / "jobs").glob("*_submission.sh")
    return f"{script.name.partition('_')[0]}_{index}"
