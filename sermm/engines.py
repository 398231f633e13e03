"""Where jobs run: processes of this machine, or SLURM, with the options of submitit."""

from __future__ import annotations

import difflib
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from data_modules.errors import ConfigError

# submitit lets a job end after minutes by default; one on SLURM that runs out of time goes on
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "local": {"timeout_min": 60 * 24 * 365},
    "slurm": {"timeout_min": 60 * 24},
}
OPTIONS = (
    *("timeout_min", "mem_gb", "cpus_per_task", "gpus_per_node", "nodes", "tasks_per_node"),
    *("slurm_partition", "slurm_time", "slurm_account", "slurm_qos", "slurm_constraint"),
    *("slurm_gres", "slurm_mem", "slurm_array_parallelism", "slurm_setup", "slurm_exclude"),
    *("slurm_additional_parameters", "slurm_mail_user", "slurm_mail_type", "slurm_use_srun"),
)
"""Options that a misspelt one is compared with; all of submitit's are taken."""


@dataclass(frozen=True)
class Engine:
    """Where jobs run.

    Attributes:
        kind: ``local`` or ``slurm``.
        at_once: How many run at a time; None on SLURM: as many as it gives.
        options: Of submitit (``update_parameters``), by its names.
    """

    kind: Literal["local", "slurm"]
    at_once: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def parse_engine(on: str, options: Sequence[str] = ()) -> Engine:
    """What ``--on`` and ``--on-option`` say.

    Args:
        on: ``local:N``, ``slurm``, or ``slurm:N``; N jobs at a time.
        options: ``key=value`` each, such as ``slurm_partition=gpu`` or ``timeout_min=600``.

    Raises:
        ConfigError: It is none of these.
    """
    matched = re.fullmatch(r"(local):([1-9]\d*)|(slurm)(?::([1-9]\d*))?", on)
    if matched is None:
        raise ConfigError(
            "--on", expected="local:N, slurm or slurm:N", got=repr(on), fix="choose one of these"
        )
    given: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not (equals and key.isidentifier()):
            raise ConfigError(
                "--on-option", expected="key=value", got=repr(option), fix="write it so"
            )
        try:
            given[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(
                "--on-option", expected="a value in YAML", got=repr(option), fix="correct it"
            ) from None
        if matched[1] and key.startswith("slurm_"):
            raise ConfigError(
                "--on-option", expected="--on slurm beside it", got=f"--on {on}", fix=f"drop {key}"
            )
    if matched[1]:
        return Engine("local", int(matched[2]), given)
    return Engine("slurm", int(matched[4]) if matched[4] else None, given)


def build_executor(engine: Engine, folder: Path, title: str) -> Any:
    """Submitit's executor.

    Args:
        engine: Where jobs run.
        folder: For logs and what submitit keeps.
        title: By which the user finds jobs in a queue.

    Raises:
        ConfigError: An option of the engine is wrong, or there is no SLURM.
    """
    import submitit

    options = {**_DEFAULTS[engine.kind], **engine.options}
    if engine.kind == "slurm" and engine.at_once is not None:
        options["slurm_array_parallelism"] = engine.at_once
    name = re.sub(r"\W+", "_", f"sermm_{title}")
    python = {"slurm_python": slurm_python()} if engine.kind == "slurm" else {}
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=engine.kind, **python)
    except RuntimeError as error:
        raise ConfigError(
            "--on", expected="a machine with SLURM's commands", got=str(error), fix="use local:N"
        ) from None
    try:
        executor.update_parameters(**{"name": name, "stderr_to_stdout": True, **options})
    except (NameError, AssertionError, ValueError, TypeError) as error:
        near = [
            f"did you mean {match[0]}?"
            for key in engine.options
            if key not in OPTIONS and (match := difflib.get_close_matches(key, OPTIONS, n=1))
        ]
        raise ConfigError(
            "--on-option",
            expected=f"options as submitit names them, such as {', '.join(OPTIONS[:4])}",
            got=str(error).splitlines()[0],
            fix=near[0] if near else "correct it",
        ) from None
    return executor


def slurm_python() -> str:
    """How a job of SLURM starts Python: deaf to preemption until submitit listens.

    The signal would end a Python that is still importing, and SLURM queues nothing again that has
    ended by itself; a deaf one is queued again after its time of grace.
    """
    from submitit import JobEnvironment

    deaf = f'trap "" {JobEnvironment.USR_SIG} TERM; exec "$@"'
    return f"/bin/sh -c {shlex.quote(deaf)} sh {shlex.quote(sys.executable)}"
