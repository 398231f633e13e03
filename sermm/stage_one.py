"""Encoders that another experiment has trained: which run they come from, and whether they may.

A second stage takes the encoder of the same fold, seed and size: that of another fold has learned
from this one's test part. Imports no torch; encoders are loaded in ``tuned.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data_modules.errors import ConfigError
from data_modules.plain_yaml import YamlFileError, read_yaml
from sermm.config import TUNED, Config, needs_speech, needs_text, second_speech
from sermm.run_metrics import RunKey, read_json_object

# what decides which utterances an encoder has learned from
_SHARED = ("corpus", "labels", "protocol", "draw")


def stage_ones(config: Config) -> dict[str, str]:
    """Experiments whose encoders are taken, by the key that names them."""
    model = config.model
    used: dict[str, str] = {}
    if needs_speech(config) and model.speech.upstream == TUNED:
        used["model.speech.name"] = model.speech.name
    if second_speech(config) is not None and model.speech2.upstream == TUNED:
        used["model.speech2.name"] = model.speech2.name
    if needs_text(config) and model.text.name == TUNED:
        used["model.text.experiment"] = model.text.experiment
    return used


def stage_one_folder(config: Config, name: str) -> Path:
    """Folder of an experiment: a path, or a name among the runs."""
    return Path(name) if "/" in name else Path(config.runs) / name


def stage_one_run(config: Config, name: str) -> Path:
    """Folder of its run with the fold, seed and size of this one."""
    key = RunKey(config.fold, config.seed, config.size)
    return stage_one_folder(config, name) / key.folder_name


def check_stage_ones(config: Config) -> None:
    """Whether the runs that encoders are taken from are there, finished, and of the same data.

    Raises:
        ConfigError: One is missing or unfinished, or has another protocol, corpus or labels.
    """
    for key, name in stage_ones(config).items():
        run = stage_one_run(config, name)
        if not (run / "metrics.json").is_file():
            got = "one that is not finished" if run.is_dir() else "none"
            raise ConfigError(
                f"{key}={name}",
                expected=f"a finished run in {run}",
                got=got,
                fix=f"run `sermm experiment {name}` first, with these folds, seeds and sizes",
            )
        data = _read(run / "config.yaml").get("data", {})
        for part in _SHARED:
            here, there = getattr(config.data, part), data.get(part)
            if here != there:
                raise ConfigError(
                    f"{key}={name}",
                    expected=f"data.{part}={here}, as here",
                    got=str(there),
                    fix="choose another experiment: what this one tests may have trained that one",
                )


def check_test_part(config: Config, test: Iterable[str]) -> None:
    """Whether encoders have been tested on the same utterances, so that none has learned from them.

    Raises:
        ConfigError: One was not.
    """
    expected = set(test)
    for key, name in stage_ones(config).items():
        from sermm.predictions import predictions_file, read_predictions

        run = stage_one_run(config, name)
        found = set(read_predictions(run / predictions_file()).ids)
        if found != expected:
            raise ConfigError(
                f"{key}={name}",
                expected=f"a run with the {len(expected)} test utterances of this one",
                got=f"{len(found ^ expected)} others in {run}",
                fix="run both on the same data",
            )


def stage_one_state(config: Config) -> list[str]:
    """What tells the first stages of an experiment from others, for the hash of its data."""
    told = []
    for _, name in sorted(stage_ones(config).items()):
        for path in sorted(stage_one_folder(config, name).glob("*/environment.json"))[:1]:
            record = read_json_object(path)
            told.append(f"{record['fingerprint']} {record['data_sha256']}")
    return told


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = read_yaml(path)
    except YamlFileError as error:
        raise ConfigError(
            error.where(path), expected="YAML", got=error.problem, fix="run it again"
        ) from None
    return tree if isinstance(tree, dict) else {}
