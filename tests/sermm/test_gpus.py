"""Which runs share which GPU. What nvidia-smi says is a stand-in's: there is no GPU here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data_modules.errors import ConfigError
from sermm.gpus import (
    Memory,
    Packing,
    gpu_environment,
    gpu_groups,
    gpu_memory,
    visible_gpus,
)


def test_gpus_that_may_be_used() -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "2, 3"}) == ["2", "3"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == []
    # CUDA reads up to the first that is none
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "1,-1,0"}) == ["1"]
    assert gpu_environment([]) == {}


def test_gpus_are_shared_out() -> None:
    assert gpu_groups([], 1, "key") == []
    assert gpu_groups(["0", "1", "2"], 1, "key") == [["0"], ["1"], ["2"]]
    assert gpu_groups(["4", "5", "6", "7", "8"], 2, "key") == [["4", "5"], ["6", "7"]]
    with pytest.raises(ConfigError, match=r"trainer\.devices: expected at most 1, the GPUs here"):
        gpu_groups(["0"], 2, "trainer.devices")


def test_runs_go_where_the_fewest_are() -> None:
    packing = Packing([["0"], ["1"]], per_gpu=2)
    assert [packing.place(run) for run in "abcd"] == [["0"], ["1"], ["0"], ["1"]]
    assert packing.place("e") is None
    assert packing.leave("b")
    assert packing.place("e") == ["1"]
    for run in "ade":
        packing.leave(run)
    assert not packing.leave("c")  # it was alone


def test_where_memory_ran_out_fewer_runs_go() -> None:
    packing = Packing([["0"]], per_gpu=3)
    for run in "abc":
        packing.place(run)
    assert packing.leave("b", out_of_memory=True)
    assert packing.place("b") is None
    packing.leave("a")
    assert packing.place("b") == ["0"]
    packing.leave("c", out_of_memory=True)
    assert packing.place("c") is None
    # alone, it is not the company
    assert not packing.leave("b", out_of_memory=True)
    assert packing.place("c") == ["0"]


def test_as_many_as_fit_by_what_the_first_has_taken() -> None:
    """A GPU of 10,000 MiB, of which somebody has 1,000 and each run takes 2,500 in the end."""
    runs: list[str] = []
    takes = 400  # until the first validation it is less
    packing = Packing([["0"]], 0, lambda: {"0": Memory(1000 + takes * len(runs), 10_000)})

    def start(run: str, *settled: str) -> bool:
        placed = packing.place(run, settled) is not None
        runs.extend([run] if placed else [])
        return placed

    assert start("a")
    assert not start("b")  # nobody knows yet
    takes = 2500
    assert start("b", "a")
    assert not start("c", "a")  # until b has shown what it takes
    # 4,000 are left, and 1.25 x 2,500 are enough; then 1,500 are left
    assert start("c", "a", "b")
    assert not start("d", "a", "b", "c")
    packing.leave("a")
    runs.remove("a")
    assert start("d", "b", "c")


def test_memory_is_asked_of_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, GPU-aa, 512, 81559'\necho '1, GPU-bb, [N/A], [N/A]'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert gpu_memory() == {"0": Memory(512, 81559), "GPU-aa": Memory(512, 81559)}
    with pytest.raises(ConfigError, match=r"plan\.runs_per_gpu: .*got none such as 1; say how"):
        Packing([["0"], ["1"]], 0)
    program.write_text("#!/bin/sh\nexit 9\n")
    assert gpu_memory() == {}
    Packing([["0"], ["1"]], 1)  # nothing is asked
