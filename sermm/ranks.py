"""Several processes that train one model: which is the first, what it does for all, who died.

Started by Lightning on one machine, or by torchrun or SLURM on one or several. The first one writes
files; the others only train and predict.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from data_modules.errors import STOPPED, ConfigError, RunFailedError
from sermm.config import Config

SRUN_IS_THERE = ".*`srun` command is available on your system but is not used.*"
"""What Lightning says on a machine of a cluster, where not every run is a job."""

_POLL_S = 1.0
# that the first rank may take to stop after another one
_STOP_S = 20.0
_LONGEST_PREPARATION = timedelta(days=2)
_ARRIVAL = timedelta(minutes=10)
_PORTS_AWAY = 10_000
# the process of the first rank, for those that Lightning starts from it
_FIRST_VARIABLE = "SERMM_FIRST_RANK"
T = TypeVar("T")


def num_ranks(config: Config) -> int:
    """Processes of one training."""
    return config.trainer.devices * config.trainer.num_nodes


def is_first(config: Config) -> bool:
    """Whether this process writes the files of the run."""
    if num_ranks(config) == 1:
        return True
    variables = {
        "torchrun": ("RANK",),
        "SLURM": ("SLURM_PROCID",),
        "Lightning": ("LOCAL_RANK", "NODE_RANK"),
    }
    return all(os.environ.get(name, "0") == "0" for name in variables[_starter()[0]])


def _starter() -> tuple[str, Any]:
    """Who starts the processes of this training, and how Lightning knows them.

    Raises:
        ConfigError: SLURM was asked for tasks in a way that Lightning does not take.
    """
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if TorchElasticEnvironment.detect():
        return "torchrun", TorchElasticEnvironment()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", SRUN_IS_THERE)
        is_slurm = SLURMEnvironment.detect()
    if is_slurm:
        try:
            return "SLURM", SLURMEnvironment()
        except RuntimeError as error:
            number = os.environ.get("SLURM_NTASKS", "")
            raise ConfigError(
                "srun",
                expected="tasks for each machine",
                got=f"--ntasks={number}",
                fix="say how many one machine has, such as --nodes=1 --ntasks-per-node=2",
            ) from error
    return "Lightning", LightningEnvironment()


def first_makes(config: Config, make: Callable[[], T], load: Callable[[], T]) -> T:
    """Let the first process make what all need, and the others load it once it is there.

    Raises:
        RunFailedError: The first process did not get so far.
    """
    if num_ranks(config) == 1:
        return make()
    if _is_child():
        return load()
    starter, environment = _starter()
    # Lightning starts its processes when everything is in place, but for the first of each machine
    alone = starter == "Lightning"
    waiting = (config.trainer.num_nodes if alone else num_ranks(config)) - 1
    if waiting == 0:
        return make()
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    first = is_first(config)
    try:
        store = TCPStore(
            environment.main_address,
            preparation_port(environment.main_port),
            is_master=first,
            wait_for_workers=False,
            timeout=_LONGEST_PREPARATION if not first else _ARRIVAL,
        )
        if not first:
            store.wait(["made"], _LONGEST_PREPARATION)
            store.add("seen", 1)
            return load()
    except RuntimeError as error:
        raise RunFailedError(
            "another rank",
            expected="the first process to bring the data into place",
            got=str(error),
            fix="see what it says; `sermm extract` beforehand shortens the wait",
        ) from None
    made = make()
    store.set("made", "1")
    deadline = time.monotonic() + _ARRIVAL.total_seconds()
    while store.add("seen", 0) < waiting and time.monotonic() < deadline:
        time.sleep(0.1)
    return made


def preparation_port(main_port: int) -> int:
    """The port where the others wait for the first one.

    Not a neighbour of the one that training will use, which is that of the next job: Lightning
    counts from 15000 by the last four digits of SLURM's job ids.
    """
    return main_port + _PORTS_AWAY if main_port + _PORTS_AWAY < 65_536 else main_port - _PORTS_AWAY


def _is_child() -> bool:
    """Whether Lightning started this process, after the first one had everything in place."""
    return _starter()[0] == "Lightning" and os.environ.get("LOCAL_RANK", "0") != "0"


def watch_ranks(world_size: int, launcher: Any, ending: threading.Event) -> None:
    """End this process with a message when one of the same training on this machine dies.

    A collective call would wait for it: half an hour, or for ever. torchrun and SLURM (``srun
    --kill-on-bad-exit``) do the same on their side. Called before processes are started, as one
    may die before it has met the others.

    Args:
        world_size: Ranks of the training.
        launcher: Lightning's, if there is one.
        ending: Set once this process ends its training by itself.
    """
    if world_size == 1:
        return
    if _is_child():
        parent = int(os.environ.get(_FIRST_VARIABLE, os.getppid()))
        threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()
    elif launcher is not None and not launcher.cluster_environment.creates_processes_externally:
        os.environ[_FIRST_VARIABLE] = str(os.getpid())
        threading.Thread(target=_watch_children, args=(launcher, ending), daemon=True).start()


def _watch_children(launcher: Any, ending: threading.Event) -> None:
    while len(launcher.procs) < launcher.num_processes - 1:
        time.sleep(_POLL_S)
    for rank, child in enumerate(launcher.procs, start=1):
        # to be asleep in `wait` is to be the first to know: Lightning's own watch, which would end
        # this process without a word, asks every five seconds
        arguments = (rank, child, launcher.procs, ending)
        threading.Thread(target=_wait_for, args=arguments, daemon=True).start()


def _wait_for(rank: int, child: Any, children: Sequence[Any], ending: threading.Event) -> None:
    status = child.wait()
    if status == -signal.SIGINT:  # stopped while it still imported
        status = STOPPED
    if status in (0, STOPPED):
        # of one that was stopped with this one, which may still be at work, Lightning would say
        # that it failed
        child.returncode = 0
        if status == 0 or ending.wait(_STOP_S):
            return
        # stopped alone, or with this one before they had met: then this one waits for it in torch,
        # where no signal reaches Python
    for other in children:
        if other is not child:
            other.kill()
    if status > 0:  # it has said why
        os._exit(status)
    error = RunFailedError(
        f"rank {rank}",
        expected="a process that trains to the end",
        got=f"signal {-status}",
        fix="look for what killed it, such as too little memory; the same command goes on from "
        "the last checkpoint",
    )
    print(f"error: {error}", file=sys.stderr, flush=True)
    os._exit(error.exit_status)


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    os.kill(os.getpid(), signal.SIGKILL)
