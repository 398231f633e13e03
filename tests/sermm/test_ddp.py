"""Training in two processes on the CPU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sermm.workplace import Workplace, probabilities, read_json, read_table, wait_until

pytestmark = [pytest.mark.ddp, pytest.mark.slow]

TWO = ("trainer.devices=2", "trainer.strategy=ddp")
# nothing random but the initial weights, so that batches alone decide
STILL = (
    *("model.dropout=0", "model.augment.time_masks=0", "model.augment.noise=0"),
    *("model.text.word_dropout=0", "data.eval_batch_size=3"),
)


def start(place: Workplace, task: str, *overrides: str) -> subprocess.Popen[str]:
    """A process of its own: it starts the second by its own command line."""
    return subprocess.Popen(
        [sys.executable, "-m", "sermm", "fit", *place.settings(task, *overrides)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, _ = process.communicate(timeout=600)
    return process.returncode, out


def test_two_processes_train_and_predict_as_one(place: Workplace) -> None:
    """19 validation batches of 3 are uneven for two; an update is 2 x 4 utterances or 8."""
    one = place.fit("span", "name=one", *STILL)
    process = start(place, "span", "name=two", *STILL, *TWO, "data.batch_size=4")
    status, out = end(process)
    assert status == 0, out
    two = place.run_folder("span", "name=two")
    # each test utterance once, in the same order
    ids = [row["utterance_id"] for row in read_table(one / "predictions.csv")]
    assert [row["utterance_id"] for row in read_table(two / "predictions.csv")] == ids
    # the same updates, so the same weights but for the order of sums
    for name, values in probabilities(one).items():
        assert probabilities(two)[name] == pytest.approx(values, abs=2e-4)
    for mine, theirs in zip(
        read_table(one / "history.csv"), read_table(two / "history.csv"), strict=True
    ):
        assert float(mine["val/loss"]) == pytest.approx(float(theirs["val/loss"]), abs=2e-4)
    update = read_json(two / "environment.json")["update"]
    assert (update["ranks"], update["batches_a_rank"]) == (2, 1)


def test_the_same_weights_predict_the_same_in_two_processes(place: Workplace) -> None:
    """Byte for byte: a run that was killed after training is scored by two processes."""
    one = place.fit("span", "name=one", *STILL)
    expected = (one / "predictions.csv").read_bytes()
    for name in ("metrics.json", "predictions.csv", "environment.json"):
        (one / name).unlink()
    status, out = end(start(place, "span", "name=one", *STILL, *TWO))
    assert status == 0, out
    assert (one / "predictions.csv").read_bytes() == expected


def test_a_dead_rank_ends_the_run_and_a_stopped_run_goes_on(place: Workplace) -> None:
    settings = ("optim.epochs=60", "trainer.checkpoint_steps=2", *TWO)
    process = start(place, "linear", "name=run", *settings)
    folder = place.run_folder("linear", "name=run")
    wait_until((folder / "history.csv").exists, 300)
    os.kill(children_of(process.pid)[0], signal.SIGKILL)
    status, out = end(process)
    assert status == 1
    assert "error: rank 1: expected a process that trains to the end, got signal 9" in out
    # and SIGTERM to the first stops both after the update
    process = start(place, "linear", "name=run", *settings)
    rows = len(read_table(folder / "history.csv"))
    wait_until(lambda: len(read_table(folder / "history.csv")) > rows, 300)
    process.send_signal(signal.SIGTERM)
    status, out = end(process)
    assert status == 130, out
    status, out = end(start(place, "linear", "name=run", *settings))
    assert status == 0, out
    undisturbed = place.run_folder("linear", "name=undisturbed")
    status, out = end(start(place, "linear", "name=undisturbed", *settings))
    assert status == 0, out
    for name in ("predictions.csv", "history.csv"):
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes(), name


def children_of(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
