"""W&B's agents on this machine: one for each GPU, or for each group of GPUs that a trial uses.

An agent starts one trial after the other with the values on its command line. A multi-GPU trial is
one process to its agent and starts its ranks itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from data_modules.errors import ConfigError, RunFailedError
from sermm.children import end_groups
from sermm.gpus import gpu_environment, gpu_groups, visible_gpus
from sermm.terminal import say
from sermm.tracking import logged_in

_POLL_S = 0.5


def run_agents(sweep_id: str, *, devices: int, count: int | None) -> None:
    """Start agents and wait for them; all end together, with all that they started.

    Args:
        sweep_id: ``ENTITY/PROJECT/ID``.
        devices: GPUs of one trial.
        count: Trials of each agent; None: until the sweep is done.

    Raises:
        ConfigError: Fewer GPUs than a trial needs, nobody is logged in, or a rank of a job that is
            no agent's place.
        RunFailedError: An agent failed.
    """
    if os.environ.get("SLURM_LOCALID", "0") != "0":
        raise ConfigError(
            "SLURM_LOCALID",
            expected="one task a node, as an agent starts the ranks of a trial itself",
            got=f"task {os.environ['SLURM_LOCALID']} of a node",
            fix="start it with srun --ntasks-per-node=1",
        )
    if not logged_in():
        raise ConfigError(
            "sermm agent",
            expected="a W&B account",
            got="nobody logged in",
            fix="run `wandb login`, or search here with `sermm sweep NAME --local`",
        )
    # one agent without any where there are none
    places = gpu_groups(visible_gpus(os.environ), devices, "--devices") or [[]]
    command = [sys.executable, "-m", "wandb", "agent"]
    command += ["--count", str(count)] if count is not None else []
    running: list[subprocess.Popen[bytes]] = []
    statuses: list[int] = []
    try:
        for gpus in places:
            running.append(
                subprocess.Popen(
                    [*command, sweep_id],
                    env=agent_environment(os.environ, gpus),
                    start_new_session=True,
                )
            )
        say(f"{len(places)} agents on {sweep_id}; Ctrl-C ends them and their trials")
        while any(process.poll() is None for process in running):
            time.sleep(_POLL_S)
        statuses = [process.returncode for process in running]
    finally:
        end_groups(running)
    if failed := [status for status in statuses if status]:
        raise RunFailedError(
            f"agents of {sweep_id}",
            expected="all to end well",
            got=f"{len(failed)} of {len(running)} with status {failed[0]}",
            fix="look at what they printed above",
        )


def agent_environment(environment: Mapping[str, str], gpus: list[str]) -> dict[str, str]:
    """What an agent and its trials see.

    Its GPUs alone; this installation's programs first, so that the command of the sweep file finds
    `sermm`; and nothing by which a trial would take itself for a task of a SLURM job step.
    """
    found = {name: value for name, value in environment.items() if name not in _STEP_VARIABLES}
    found["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), found.get("PATH", "")])
    return found | gpu_environment(gpus)


_STEP_VARIABLES = ("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID")
