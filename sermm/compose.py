"""How a name, its YAML file, included fragments and overrides become one checked configuration.

``experiments/NAME.yaml`` may include fragments one level deep, then states its difference;
``key=value`` overrides come last. An unknown key is an error that names the nearest one.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from data_modules.errors import ConfigError
from sermm.config import Config, type_name, valid_keys, validate


def experiment_folders() -> list[Path]:
    """Where experiments are looked for, first match wins: here, the checkout, the installation."""
    package = Path(__file__).resolve().parent
    return [Path("experiments"), package.parent / "experiments", package / "experiments"]


def experiment_names() -> list[str]:
    """Names of the experiments at hand, sorted."""
    names = {path.stem for folder in experiment_folders() for path in folder.glob("*.yaml")}
    return sorted(names)


def find_experiment(name: str) -> Path:
    """The YAML file of an experiment, by name or by path.

    Raises:
        ConfigError: There is none; the message names the nearest.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if path.is_file():
            return path
        raise ConfigError(name, expected="a YAML file", got="no file", fix="check the path")
    for folder in experiment_folders():
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    names = experiment_names()
    near = difflib.get_close_matches(name, names, n=1)
    raise ConfigError(
        f"experiment {name!r}",
        expected=f"one of {', '.join(names)}" if len(names) <= 12 else "a file in experiments/",
        got=f"no experiments/{name}.yaml",
        fix=f"did you mean {near[0]}?" if near else "list them with `sermm experiment --list`",
    )


def _flatten(tree: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _check_key(key: str, where: str) -> None:
    keys = valid_keys()
    if key in keys:
        return
    sections = {k.rsplit(".", 1)[0] for k in keys if "." in k}
    if key in sections or any(section.startswith(f"{key}.") for section in sections):
        inside = [k for k in keys if k.startswith(f"{key}.")][:3]
        fix = f"set one of its keys, such as {', '.join(inside)}"
        raise ConfigError(where, expected="a key with a value", got=f"section {key}", fix=fix)
    near = difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
    if not near:
        # a right name in the wrong section is nearer to the user's mind than a similar string
        leaf = key.rsplit(".", 1)[-1]
        near = [k for k in keys if k.rsplit(".", 1)[-1] == leaf][:1]
    raise ConfigError(
        where,
        expected="a key of the configuration",
        got=f"unknown key {key}",
        fix=f"did you mean {near[0]}?" if near else "see them with `sermm config NAME`",
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = path if line is None else f"{path}:{line + 1}"
        problem = getattr(error, "problem", None) or "text that is not UTF-8"
        raise ConfigError(where, expected="YAML", got=problem, fix="mend the file") from None
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        got = type(tree).__name__
        raise ConfigError(path, expected="keys and values", got=got, fix="mend the file")
    return tree


def _layers(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The included fragments and then the file itself, each with its name for errors."""
    tree = _read_yaml(path)
    includes = tree.pop("include", [])
    if isinstance(includes, str):
        includes = [includes]
    layers = []
    for name in includes:
        options = [folder / f"{name}.yaml" for folder in (path.parent, *experiment_folders())]
        found = next((option for option in options if option.is_file()), None)
        if found is None:
            raise ConfigError(
                f"{path}: include",
                expected="a fragment below experiments/",
                got=f"no {name}.yaml",
                fix="check the name",
            )
        fragment = _read_yaml(found)
        if "include" in fragment:
            raise ConfigError(
                found,
                expected="a fragment without include (they go one level deep)",
                got=f"include: {fragment['include']}",
                fix=f"name it in {path} instead",
            )
        layers.append((str(found), fragment))
    return [*layers, (str(path), tree)]


def _merge(config: DictConfig, tree: Mapping[str, Any], where: str) -> DictConfig:
    for key, value in _flatten(tree).items():
        _check_key(key, where)
        try:
            OmegaConf.update(config, key, value, merge=False)
        except OmegaConfBaseException as error:
            problem = str(error).splitlines()[0]
            raise ConfigError(
                f"{where}: {key}" if where != key else key,
                expected=type_name(key),
                got=f"{value!r} ({problem})" if "Value" not in problem else repr(value),
                fix="mend the value",
            ) from None
    return config


def _parse_override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    # W&B agents and argparse users write --key=value
    key = key.removeprefix("--").strip()
    if not equals or not key:
        raise ConfigError(
            text, expected="key=value", got="no '='", fix="write it as key=value, such as seed=1"
        )
    try:
        return key, yaml.safe_load(value) if value.strip() else ""
    except yaml.YAMLError:
        return key, value


def load_config(name: str, overrides: Sequence[str] = ()) -> Config:
    """Resolve an experiment with its fragments and overrides to a checked configuration.

    Args:
        name: Name of a file in ``experiments/``, or a path to a YAML file.
        overrides: ``key=value`` texts; values are YAML.

    Raises:
        ConfigError: An unknown key, a wrong type or value, a required key without a value.
    """
    path = find_experiment(name)
    config = OmegaConf.structured(Config)
    for where, tree in _layers(path):
        config = _merge(config, tree, where)
    if OmegaConf.is_missing(config, "name"):
        config.name = path.stem
    for text in overrides:
        key, value = _parse_override(text)
        _check_key(key, text)
        config = _merge(config, {key: value}, key)
    for key in valid_keys():
        if OmegaConf.is_missing(*_parent(config, key)):
            raise ConfigError(
                f"{path}: {key}",
                expected=type_name(key),
                got="nothing",
                fix=f"state {key} in the file or as {key}=VALUE",
            )
    resolved = cast(Config, OmegaConf.to_object(config))
    validate(resolved)
    return resolved


def _parent(config: DictConfig, key: str) -> tuple[DictConfig, str]:
    section, _, leaf = key.rpartition(".")
    return (OmegaConf.select(config, section) if section else config), leaf


def from_dict(tree: Mapping[str, Any], where: str) -> Config:
    """A checked configuration from plain data, such as a checkpoint carries.

    Raises:
        ConfigError: As :func:`load_config`.
    """
    config = _merge(OmegaConf.structured(Config), tree, where)
    resolved = cast(Config, OmegaConf.to_object(config))
    validate(resolved)
    return resolved
