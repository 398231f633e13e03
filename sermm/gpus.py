"""Which GPUs a run of a plan gets, and how many runs share one.

Imports no torch, which would take seconds: the driver's files and ``nvidia-smi`` say what is
needed.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from data_modules.errors import ConfigError
from sermm.config import Config

# of what a run has taken so far: batches that come later may be longer
_RESERVE = 1.25


@dataclass(frozen=True)
class Memory:
    """Of one GPU, in MiB, by all processes."""

    used: int
    total: int


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    stated = environment.get("CUDA_VISIBLE_DEVICES")
    if stated is not None:
        names = [name.strip() for name in stated.split(",") if name.strip()]
        return list(takewhile(lambda name: name != "-1", names))  # as CUDA reads it
    return sorted(
        (path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")), key=int
    )


def run_gpus(config: Config) -> list[list[str]]:
    """The GPUs of each run of a plan that goes on this machine; none where runs use the CPU.

    Raises:
        ConfigError: There are GPUs, but fewer than a run needs.
    """
    trainer = config.trainer
    if trainer.accelerator not in ("auto", "gpu", "cuda"):
        return []
    return gpu_groups(visible_gpus(os.environ), trainer.devices, "trainer.devices")


def gpu_groups(gpus: Sequence[str], devices: int, key: str) -> list[list[str]]:
    """GPUs, so many at a time.

    Args:
        gpus: Their names.
        devices: Of each group.
        key: Where that number was stated, for the error.

    Raises:
        ConfigError: There are some, but fewer than a group needs.
    """
    if gpus and len(gpus) < devices:
        raise ConfigError(
            key,
            expected=f"at most {len(gpus)}, the GPUs here",
            got=str(devices),
            fix="correct it",
        )
    starts = range(0, len(gpus) - devices + 1, devices)
    return [list(gpus[start : start + devices]) for start in starts]


def gpu_environment(gpus: Sequence[str]) -> dict[str, str]:
    """By which a process sees these GPUs alone."""
    if not gpus:
        return {}
    # numbers as nvidia-smi has them, not the fastest first
    order = os.environ.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    return {"CUDA_VISIBLE_DEVICES": ",".join(gpus), "CUDA_DEVICE_ORDER": order}


def gpu_memory() -> dict[str, Memory]:
    """What ``nvidia-smi`` says, by number and by UUID; nothing where it cannot be asked."""
    query = "--query-gpu=index,uuid,memory.used,memory.total"
    try:
        said = subprocess.run(
            ["nvidia-smi", query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return {}
    found: dict[str, Memory] = {}
    for line in said.splitlines():
        index, uuid, *sizes = (cell.strip() for cell in line.split(","))
        if all(size.isdigit() for size in sizes):  # of some, such as those cut by MIG, it says N/A
            found[index] = found[uuid] = Memory(*map(int, sizes))
    return found


@dataclass
class _Group:
    gpus: list[str]
    most: int | None  # runs at once; None: by memory
    runs: list[Hashable] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)  # MiB used when it had no run of ours


class Packing:
    """Which GPUs the next run of a plan gets, if there is room for it.

    Args:
        groups: GPUs of a run; several runs may share one group.
        per_gpu: Runs at once on each group; 0: as many as fit. Then another one is added once
            those that are there have shown what they take, by a first validation.
        memory: Of the GPUs by name.

    Raises:
        ConfigError: Memory is to be measured, and cannot.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[str]],
        per_gpu: int,
        memory: Callable[[], Mapping[str, Memory]] = gpu_memory,
    ) -> None:
        self._groups = [_Group(list(gpus), per_gpu or None) for gpus in groups]
        self._memory = memory
        known = memory() if not per_gpu else {}
        missing = [name for gpus in groups for name in gpus if name not in known]
        if not per_gpu and missing:
            raise ConfigError(
                "plan.runs_per_gpu",
                expected="GPUs of which nvidia-smi says how much memory is used",
                got=f"none such as {missing[0]}",
                fix="say how many runs fit, such as plan.runs_per_gpu=2",
            )

    def place(self, run: Hashable, settled: Collection[Hashable] = ()) -> list[str] | None:
        """GPUs for a run; None while there is no room.

        Args:
            run: What is to be placed.
            settled: Runs that have shown how much memory they take.
        """
        for group in sorted(self._groups, key=lambda group: len(group.runs)):
            if self._has_room(group, settled):
                group.runs.append(run)
                return group.gpus
        return None

    def leave(self, run: Hashable, *, out_of_memory: bool = False) -> bool:
        """A run has ended.

        Args:
            run: That was placed.
            out_of_memory: Whether it ended for want of memory; fewer runs go there from now on.

        Returns:
            Whether it was not alone where it was.
        """
        group = next(group for group in self._groups if run in group.runs)
        shared = len(group.runs) > 1
        if out_of_memory and shared:
            group.most = len(group.runs) - 1
        group.runs.remove(run)
        return shared

    def _has_room(self, group: _Group, settled: Collection[Hashable]) -> bool:
        if group.most is not None:
            return len(group.runs) < group.most
        if not group.runs:
            known = self._memory()
            group.before = {name: known[name].used for name in group.gpus if name in known}
            return True
        if not all(run in settled for run in group.runs):
            return False
        known = self._memory()
        return all(
            name in known
            and name in group.before
            and known[name].total - known[name].used
            > _RESERVE * (known[name].used - group.before[name]) / len(group.runs)
            for name in group.gpus
        )
