"""The folder of a run: its name, whether it is finished, and what it says of its circumstances.

``metrics.json`` is written last; a folder without it is an unfinished run.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data_modules.errors import ConfigError, RunFailedError
from sermm.config import Config, fingerprint, result_keys
from sermm.run_metrics import RunKey, read_json_object

# A plan tells its runs what started it.
COMMAND_VARIABLE = "SERMM_COMMAND"

_PACKAGES = ("sermm", "torch", "torchaudio", "lightning", "transformers", "torchmetrics", "numpy")


VALIDATION_NAME = "validation.json"
"""What a run writes last that trains and selects alone."""


def experiment_folder(config: Config) -> Path:
    """``runs/NAME``."""
    return Path(config.runs) / config.name


def run_folder(config: Config) -> Path:
    """``runs/NAME/fold=F,seed=S,size=N``."""
    return experiment_folder(config) / RunKey(config.fold, config.seed, config.size).folder_name


def is_done(config: Config, data_sha256: str) -> bool:
    """Whether the run of this configuration on this data is already there.

    Raises:
        ConfigError: The folder holds a finished or begun run of another configuration or of other
            data, which must not be mixed with this one.
    """
    # results reads tables with numpy, which a misspelt key should not wait for
    from sermm.results import is_finished

    folder = run_folder(config)
    begun = folder / "environment.json"
    if not begun.is_file():
        return False
    record = read_json_object(begun)
    if record["fingerprint"] != fingerprint(config):
        raise ConfigError(
            folder,
            expected="a run of this configuration",
            got=f"one with {_differences(record['result_keys'], result_keys(config))}",
            fix=f"give this one another name (name={config.name}_2), or remove the folder",
        )
    if record["data_sha256"] != data_sha256:
        raise ConfigError(
            folder,
            expected="a run on the data as it is now",
            got="one on other data (labels, texts, words, audio, folds or first stages differ)",
            fix=f"give this one another name (name={config.name}_2), or remove the folder",
        )
    return is_finished(folder) if config.test else (folder / VALIDATION_NAME).is_file()


def _differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    changed = [
        f"{key}={json.dumps(before.get(key))} (now {json.dumps(now.get(key))})"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    ]
    rest = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return ", ".join(changed[:3]) + rest


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a run folder against other processes, and clear it of what a killed one left half done.

    Raises:
        RunFailedError: Another process holds it.
    """
    # no such module on Windows, where nothing holds the folder
    import fcntl

    with (folder / ".lock").open("a+", encoding="ascii") as stream:
        try:
            # a record lock: it ends with the process, and loader workers do not inherit it
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            stream.seek(0)
            raise RunFailedError(
                folder,
                expected="a run that no other process works on",
                got=f"process {stream.read().strip()} at work on it",
                fix="wait until it has ended, or stop it",
            ) from None
        stream.truncate(0)
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        for leftover in folder.rglob(".*.part"):
            leftover.unlink()
        yield


def environment(config: Config, data_sha256: str) -> dict[str, Any]:
    """Everything around a run that a number may depend on."""
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "fingerprint": fingerprint(config),
        "result_keys": result_keys(config),
        "data_sha256": data_sha256,
        "git_revision": git_revision(),
        "command": user_command(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cpu_count": os.cpu_count(),
        "num_threads": config.trainer.num_threads,
        "gpus": gpus,
    }


def user_command() -> str:
    """The command that the user typed: of the plan, if this run is part of one."""
    return os.environ.get(COMMAND_VARIABLE) or shlex.join(["sermm", *sys.argv[1:]])


def git_revision() -> str | None:
    """Revision of the checkout that sermm runs from, ``-dirty`` if it was changed since."""
    git = shutil.which("git")
    root = Path(__file__).resolve().parents[1]
    if git is None or not (root / ".git").exists():
        return None
    shown = subprocess.run(
        [git, "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return shown.stdout.strip() or None


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
