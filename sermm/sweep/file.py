"""A W&B sweep file as it stands in ``experiments/sweeps/``, read into typed parts.

Nothing is looked up in an experiment here: that is ``check.py``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_modules.corpora.release import is_file
from data_modules.errors import ConfigError
from sermm.compose import experiment_folders, read_mapping
from sermm.sweep.space import Parameter, read_parameter

METHODS = ("bayes", "random", "grid")
VALUES_MACROS = ("${args_no_hyphens}", "${args}")
"""How W&B's agent may hand over values: ``key=value`` or ``--key=value``."""

_KEYS = (
    *("program", "command", "method", "metric", "parameters", "early_terminate"),
    *("name", "description", "project", "entity", "run_cap"),
)
_COMMAND = "[${env}, ${program}, trial, EXPERIMENT, ${args_no_hyphens}]"


@dataclass(frozen=True)
class EarlyStop:
    """W&B's hyperband: at rungs of epochs, what is not among the best 1/eta so far is stopped.

    Attributes:
        first: Epochs at the lowest rung.
        eta: From a rung to the next, and what is kept.
    """

    first: int
    eta: int


@dataclass(frozen=True)
class Sweep:
    """What a file says.

    Attributes:
        path: Of the file.
        method: ``bayes``, ``random`` or ``grid``.
        metric: Name of what is optimised, such as ``val/ua``.
        maximise: Whether more of it is better.
        target: A value at which the search ends; None for none.
        parameters: What is searched.
        early: When a trial is given up; None for never.
        experiment: What the command trains.
        overrides: Settings that all trials share.
        run_cap: Trials at most; None: no limit.
        tree: The file as it is.
    """

    path: Path
    method: str
    metric: str
    maximise: bool
    target: float | None
    parameters: tuple[Parameter, ...]
    early: EarlyStop | None
    experiment: str
    overrides: tuple[str, ...]
    run_cap: int | None
    tree: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Of the file, which names its folder as well."""
        return self.path.stem


def sweep_names() -> list[str]:
    """Names of the sweep files at hand, sorted."""
    folders = [folder / "sweeps" for folder in experiment_folders()]
    return sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})


def find_sweep(name: str) -> Path:
    """The file of a sweep, by name or path.

    Raises:
        ConfigError: There is none; the message names the nearest.
    """
    if name.endswith((".yaml", ".yml")):
        if is_file(Path(name)):
            return Path(name)
        raise ConfigError(name, expected="a sweep file", got="no file", fix="check the path")
    for folder in experiment_folders():
        if is_file(folder / "sweeps" / f"{name}.yaml"):
            return folder / "sweeps" / f"{name}.yaml"
    names = sweep_names()
    near = difflib.get_close_matches(name, names, n=1)
    raise ConfigError(
        f"sweep {name!r}",
        expected=f"one of {', '.join(names)}",
        got=f"no experiments/sweeps/{name}.yaml",
        fix=f"did you mean {near[0]}?" if near else "choose one of these, or give a path",
    )


def read_sweep(name: str) -> Sweep:
    """Read a sweep file.

    Raises:
        ConfigError: It is no sweep file that W&B and we understand alike.
    """
    path = find_sweep(name)
    tree = read_mapping(path)
    for key in tree:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            raise ConfigError(
                path,
                expected="keys of a sweep",
                got=f"unknown key {key}",
                fix=f"did you mean {near[0]}?" if near else f"choose from {', '.join(_KEYS)}",
            )
    method = tree.get("method")
    if method not in METHODS:
        raise ConfigError(
            f"{path}: method",
            expected=f"one of {', '.join(METHODS)}",
            got=repr(method),
            fix="choose one of these",
        )
    metric, maximise, target = _metric(tree.get("metric"), f"{path}: metric")
    experiment, overrides = _command(tree, path)
    parameters = tuple(_parameters(tree.get("parameters"), f"{path}: parameters", ""))
    _expect_once(parameters, path)
    return Sweep(
        path=path,
        method=method,
        metric=metric,
        maximise=maximise,
        target=target,
        parameters=parameters,
        early=_early(tree.get("early_terminate"), f"{path}: early_terminate"),
        experiment=experiment,
        overrides=tuple(overrides),
        run_cap=_count(tree["run_cap"], f"{path}: run_cap") if "run_cap" in tree else None,
        tree=tree,
    )


def _metric(stated: Any, where: str) -> tuple[str, bool, float | None]:
    if not isinstance(stated, dict) or not isinstance(stated.get("name"), str):
        raise ConfigError(
            where, expected="name and goal", got=repr(stated), fix="write {name: val/ua, goal: ...}"
        )
    goal, target = stated.get("goal", "minimize"), stated.get("target")
    if goal not in ("minimize", "maximize"):
        raise ConfigError(
            f"{where}.goal", expected="minimize or maximize", got=repr(goal), fix="choose one"
        )
    if unknown := stated.keys() - {"name", "goal", "target"}:
        raise ConfigError(
            where, expected="name, goal and target", got=str(min(unknown)), fix="remove it"
        )
    if target is not None and (isinstance(target, bool) or not isinstance(target, int | float)):
        raise ConfigError(f"{where}.target", expected="a number", got=repr(target), fix="mend it")
    return stated["name"], goal == "maximize", target


def _command(tree: Mapping[str, Any], path: Path) -> tuple[str, list[str]]:
    """Experiment and settings of the command that every trial runs."""
    where, words = f"{path}: command", tree.get("command")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ConfigError(where, expected=_COMMAND, got=repr(words), fix="write it so")
    program = tree.get("program")
    words = [program if word == "${program}" else word for word in words if word != "${env}"]
    if words[:3] == ["${interpreter}", "-m", "sermm"]:
        words = words[2:]
    if words[:2] != ["sermm", "trial"] or len(words) < 3 or words[2].startswith(("$", "-")):
        raise ConfigError(
            where,
            expected=f"{_COMMAND}, program: sermm",
            got=" ".join(map(str, words)) or "nothing",
            fix="write it so; `sermm trial` trains and selects and leaves the test part alone",
        )
    rest = words[3:]
    macros = [word for word in rest if word.startswith("${")]
    if len(macros) != 1 or macros[0] not in VALUES_MACROS:
        raise ConfigError(
            where,
            expected=f"{' or '.join(VALUES_MACROS)}, once (others lose or change values)",
            got=" ".join(macros) or "none",
            fix="write ${args_no_hyphens}",
        )
    overrides = [word for word in rest if word not in VALUES_MACROS]
    if held := next((word for word in overrides if re.search(r"\$\{", word)), None):
        raise ConfigError(where, expected="key=value", got=held, fix="write the value itself")
    return words[2], overrides


def _parameters(stated: Any, where: str, prefix: str) -> list[Parameter]:
    """All parameters, those of sections below another ``parameters`` included."""
    if not isinstance(stated, dict) or not stated:
        raise ConfigError(
            where, expected="keys with the values to try", got=repr(stated), fix="name at least one"
        )
    found: list[Parameter] = []
    for name, entry in stated.items():
        here = f"{where}.{name}"
        if not isinstance(entry, dict):
            raise ConfigError(
                here, expected="{values: [...]}, {min: , max: } or {value: }",
                got=repr(entry), fix="write it so",
            )  # fmt: skip
        if "parameters" in entry:
            if len(entry) > 1:
                raise ConfigError(
                    here, expected="parameters alone", got=", ".join(entry), fix="remove the others"
                )
            found += _parameters(entry["parameters"], here, f"{prefix}{name}.")
        else:
            found.append(read_parameter(f"{prefix}{name}", entry, here))
    return found


def _expect_once(parameters: Sequence[Parameter], path: Path) -> None:
    keys = [parameter.key for parameter in parameters]
    twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None)
    if twice is not None:
        raise ConfigError(
            f"{path}: {twice}", expected="one parameter", got="two", fix="remove one of them"
        )


def _early(stated: Any, where: str) -> EarlyStop | None:
    """Rungs as W&B builds them: from ``min_iter`` up, or from ``max_iter`` down in ``s`` steps."""
    if stated is None:
        return None
    if not isinstance(stated, dict) or stated.get("type") != "hyperband":
        raise ConfigError(
            where, expected="{type: hyperband, min_iter: ...}", got=repr(stated), fix="write it so"
        )
    known = {"type", "min_iter", "max_iter", "s", "eta", "strict"}
    if unknown := stated.keys() - known:
        raise ConfigError(
            where, expected=", ".join(sorted(known)), got=str(min(unknown)), fix="remove it"
        )
    if stated.get("strict"):
        raise ConfigError(f"{where}.strict", expected="false", got="true", fix="remove it")
    eta = _count(stated.get("eta", 3), f"{where}.eta", lowest=2)
    if ("min_iter" in stated) == ("max_iter" in stated):
        raise ConfigError(
            where, expected="either min_iter or max_iter", got=repr(stated), fix="state one of them"
        )
    if "min_iter" in stated:
        return EarlyStop(_count(stated["min_iter"], f"{where}.min_iter"), eta)
    steps = _count(stated.get("s"), f"{where}.s")
    first = _count(stated["max_iter"], f"{where}.max_iter") / eta**steps
    return EarlyStop(max(1, int(first)), eta)


def _count(value: Any, where: str, lowest: int = 1) -> int:
    if type(value) is not int or value < lowest:
        raise ConfigError(
            where, expected=f"a whole number from {lowest}", got=repr(value), fix="correct it"
        )
    return value
