"""Training in two processes on the CPU."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest
import torch

from sermm.checkpoints import read_checkpoint
from tests.sermm.test_pretraining import arguments
from tests.sermm.test_train import assert_same_run, kill_at
from tests.sermm.workplace import (
    Workplace,
    children_of,
    probabilities,
    read_json,
    read_table,
    wait_for,
    wait_until,
)

pytestmark = pytest.mark.ddp

TWO = ("trainer.devices=2", "trainer.strategy=ddp")
# nothing random but the initial weights, so that batches alone decide
STILL = (
    *("model.dropout=0", "model.augment.time_masks=0", "model.augment.noise=0"),
    *("model.text.word_dropout=0", "data.eval_batch_size=6"),
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


def run_in_two(
    place: Workplace, *arguments: str, prepare: Callable[[], None] = lambda: None
) -> list[int]:
    """The exit statuses of two processes that train together.

    They are copies of this one, started as a batch system would start them, which saves two imports
    of torch; the corpus is in place before.

    Args:
        place: Where.
        arguments: Of the command line.
        prepare: Called in the first process before it begins.
    """

    def become(rank: int) -> None:
        here = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "NODE_RANK": "0"}
        os.environ.update(here | {"LOCAL_RANK": str(rank), "WORLD_SIZE": "2"})
        if rank == 0:
            prepare()

    with socket.socket() as held:
        # nobody else is given this port, while rank 0 may listen there, which also says that it
        # will share
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("", 0))
        port = str(held.getsockname()[1])
        pids = [place.fork(*arguments, prepare=partial(become, rank)) for rank in (0, 1)]
        first = wait_for(pids[0])
        if first:
            os.kill(pids[1], signal.SIGKILL)
        return [first, wait_for(pids[1])]


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_train_and_predict_as_one(place: Workplace, strategy: str) -> None:
    """3 validation batches of 6 are uneven for two; an update is 2 x 4 utterances or 8."""
    one = place.fit("span", "name=one", *STILL)
    settings = (*STILL, *TWO, "data.batch_size=4", f"trainer.strategy={strategy}")
    assert run_in_two(place, "fit", *place.settings("span", "name=two", *settings)) == [0, 0], (
        place.said_by_fork()
    )
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
        for column in ("train/loss", "val/loss"):
            assert float(mine[column]) == pytest.approx(float(theirs[column]), abs=2e-4)
    update = read_json(two / "environment.json")["update"]
    assert (update["ranks"], update["batches_a_rank"]) == (2, 1)
    # whole weights, which a single process reads
    weights = [
        read_checkpoint(folder / "checkpoints" / "best.ckpt")["state_dict"] for folder in (one, two)
    ]
    assert list(weights[0]) == list(weights[1])
    for name, values in weights[0].items():
        torch.testing.assert_close(weights[1][name], values, atol=2e-4, rtol=1e-3)
    metrics = [read_json(folder / "metrics.json") for folder in (one, two)]
    assert metrics[0]["num_parameters"] == metrics[1]["num_parameters"]


def test_two_processes_pretrain_as_one(place: Workplace) -> None:
    """What a batch weighs is its hidden frames; repeated validation batches count once."""
    settings = ("model.dropout=0", "data.eval_batch_size=6", "optim.epochs=2", "optim.accumulate=2")
    one = arguments(place, "name=one", *settings, "data.batch_size=4")
    assert place.sermm("fit", "pretrain_demo", *one).status == 0
    two = arguments(place, "name=two", *settings, "data.batch_size=2", *TWO)
    assert run_in_two(place, "fit", "pretrain_demo", *two) == [0, 0], place.said_by_fork()
    folders = [place.run_folder("span", f"name={name}") for name in ("one", "two")]
    for name in ("predictions.csv", "history.csv"):
        mine, theirs = (read_table(folder / name) for folder in folders)
        assert len(mine) == len(theirs)
        for row, twin in zip(mine, theirs, strict=True):
            for column in row.keys() - {"utterance_id", "speaker"}:
                assert float(twin[column]) == pytest.approx(float(row[column]), rel=5e-4), column


@pytest.mark.parametrize("strategy", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_two_killed_processes_go_on_as_if_nothing_had_happened(
    place: Workplace, strategy: str
) -> None:
    """Dropout, masks and word dropout at work, killed in the middle of the second epoch."""
    place.fit("span", "name=prepared", "optim.epochs=1")
    settings = (*TWO, "trainer.checkpoint_steps=3", f"trainer.strategy={strategy}")
    settings = (*settings, "data.batch_size=3")
    undisturbed = place.settings("span", "name=undisturbed", *settings)
    assert run_in_two(place, "fit", *undisturbed) == [0, 0], place.said_by_fork()
    killed = place.settings("span", "name=killed", *settings)
    first, _ = run_in_two(place, "fit", *killed, prepare=kill_at("last.ckpt", 6, after=True))
    assert first == -signal.SIGKILL, place.said_by_fork()
    folder = place.run_folder("span", "name=killed")
    position = read_checkpoint(folder / "checkpoints" / "last.ckpt")["position"]
    assert position["period"] == 1
    assert position["num_done"] > 0
    assert run_in_two(place, "fit", *killed) == [0, 0], place.said_by_fork()
    assert_same_run(folder, place.run_folder("span", "name=undisturbed"))


@pytest.mark.slow
def test_trained_encoders_are_divided_too(place: Workplace) -> None:
    """Layers of both encoders are gathered one by one, and computed again in the backward pass."""
    settings = (
        *("model.speech.upstream=huggingface", "model.speech.name=scratch", "optim.epochs=2"),
        *("model.speech.frozen=false", "model.speech.normalise=none", *STILL),
        *("optim.accumulate=2", "trainer.gradient_checkpointing=true"),
    )
    one = place.fit("span", "name=one", *settings)
    two = place.settings(
        "span", "name=two", *settings, *TWO, "trainer.strategy=fsdp", "data.batch_size=4"
    )
    assert run_in_two(place, "fit", *two) == [0, 0], place.said_by_fork()
    found = probabilities(place.run_folder("span", "name=two"))
    for name, values in probabilities(one).items():
        assert found[name] == pytest.approx(values, abs=5e-4)


def test_the_same_weights_predict_the_same_in_two_processes(place: Workplace) -> None:
    """Byte for byte: a run that was killed after training is scored by two processes."""
    one = place.fit("span", "name=one", *STILL)
    expected = (one / "predictions.csv").read_bytes()
    for name in ("metrics.json", "predictions.csv", "environment.json"):
        (one / name).unlink()
    settings = place.settings("span", "name=one", *STILL, *TWO)
    assert run_in_two(place, "fit", *settings) == [0, 0], place.said_by_fork()
    assert (one / "predictions.csv").read_bytes() == expected


@pytest.mark.slow
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
