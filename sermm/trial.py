"""One trial of a sweep: the runs of a plan, trained and selected on validation, never tested.

A sweep's agent, local or of W&B, calls it with one set of values on its command line. Every rank of
a multi-GPU job runs the same command line, so all ranks have the values.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import sys
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from data_modules.atomic import write_json
from data_modules.errors import DataError
from sermm.config import Config
from sermm.inputs import check_inputs
from sermm.plan import config_of, plan_runs
from sermm.run_metrics import read_json_object
from sermm.rundir import experiment_folder, run_folder
from sermm.terminal import say
from sermm.validation import Validation, read_validation

FILE_NAME = "trial.json"
AGENT_VARIABLE = "SERMM_SWEEP"
"""Set where our own agent starts a trial."""

# of W&B's agent; a rank that inherits them would open the sweep's run a second time
_SWEEP_VARIABLES = ("WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_RUN_ID")
# how launchers number processes: Lightning's own, torchrun, SLURM
_RANK_VARIABLES = ("LOCAL_RANK", "RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")


@dataclass(frozen=True)
class Trial:
    """What a trial came to.

    Attributes:
        score: The validation score, such as ``ua``.
        value: Its mean over the runs.
        runs: Of each run, in the order of the plan.
    """

    score: str
    value: float
    runs: tuple[Validation, ...]


def run_trial(config: Config) -> Trial:
    """Do the runs of a plan without their test parts and write ``trial.json``.

    Args:
        config: Of the experiment, with the values of the trial.

    Raises:
        SermmError: Whatever is wrong with configuration, corpus or training.
    """
    config = in_sweep_folder(replace(config, test=False), os.environ)
    if AGENT_VARIABLE in os.environ or "WANDB_SWEEP_ID" in os.environ:
        end_with_parent()
    if is_child_rank(os.environ):
        strip_sweep_variables(os.environ)
    check_inputs(config)
    # torch waits until the input is known to be right
    from sermm.run import fit
    from sermm.stages import make_ready, make_selection
    from sermm.tracking import log_trial

    first = replace(config, fold=(config.plan.folds or [0])[0])
    num_folds = len(make_selection(first, make_ready(first)).folds)
    keys = plan_runs(config, num_folds)
    # a single run is the W&B run of its trial; of several the trial has one for all
    single = len(keys) == 1
    quiet = replace(config.tracking, wandb="disabled")
    runs = []
    for key in keys:
        one = config_of(config if single else replace(config, tracking=quiet), key)
        done = fit(one, make_ready(one))
        runs.append(done if isinstance(done, Validation) else read_validation(run_folder(one)))
    value = sum(run.value for run in runs) / len(runs)
    trial = Trial(runs[0].score, round(value, 6), tuple(runs))
    folder = experiment_folder(config)
    if not single:
        log_trial(config, folder, {f"val/{trial.score}": trial.value})
    write_json(folder / FILE_NAME, _record(trial))
    say(f"val/{trial.score} {trial.value:.4f}: {_in_words(runs)}")
    return trial


def _record(trial: Trial) -> dict[str, Any]:
    undefined = math.isnan(trial.value)
    runs = [asdict(run) | ({"value": None} if math.isnan(run.value) else {}) for run in trial.runs]
    return {"score": trial.score, "value": None if undefined else trial.value, "runs": runs}


def _in_words(runs: list[Validation]) -> str:
    return ", ".join(
        f"fold {run.fold} seed {run.seed} {run.value:.4f} (epoch {run.best_epoch})" for run in runs
    )


def read_trial_value(folder: Path) -> float:
    """The value that a finished trial wrote into its folder; NaN where it is undefined.

    Raises:
        DataError: There is none, or it is damaged.
    """
    path = folder / FILE_NAME
    value = read_json_object(path).get("value", "")
    if value is not None and not isinstance(value, float | int):
        raise DataError(path, expected="a number as value", got=repr(value), fix="remove the file")
    return math.nan if value is None else float(value)


def in_sweep_folder(config: Config, environment: MutableMapping[str, str]) -> Config:
    """Under W&B's agent: the configuration with a folder of the trial's own.

    A run that W&B resumes has the same id, so it finds its checkpoint.
    """
    sweep, run = environment.get("WANDB_SWEEP_ID"), environment.get("WANDB_RUN_ID")
    if not (sweep and run):
        return config
    return replace(config, runs=str(Path(config.runs) / "sweeps" / sweep), name=run)


def is_child_rank(environment: MutableMapping[str, str]) -> bool:
    """Whether a launcher started this process as another rank than the first."""
    return any(environment.get(name, "0") not in ("", "0") for name in _RANK_VARIABLES)


def strip_sweep_variables(environment: MutableMapping[str, str]) -> None:
    """Forget the sweep: the values are on the command line, and rank 0 alone reports."""
    for name in _SWEEP_VARIABLES:
        environment.pop(name, None)


def end_with_parent() -> None:
    """Let the kernel end this process when the one that started it dies (Linux).

    An agent that is killed cannot stop its trial, which would hold the GPU for hours, and so with a
    rank whose first rank is gone: github.com/wandb/wandb/issues/1579.
    """
    if sys.platform == "linux":
        parent = os.getppid()
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel knew
            os.kill(os.getpid(), signal.SIGKILL)
