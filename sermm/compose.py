"""How a name, its YAML file, included fragments and overrides become one checked configuration.

``experiments/NAME.yaml`` may include fragments one level deep, then states its difference;
``key=value`` overrides come last. An unknown key is an error that names the nearest one.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from data_modules.corpora.release import is_file
from data_modules.errors import ConfigError
from data_modules.plain_yaml import YamlFileError, parse_yaml, read_yaml
from sermm.config import Config, type_name, valid_keys
from sermm.limits import validate


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
        if is_file(path):
            return path
        raise ConfigError(name, expected="a YAML file", got="no file", fix="check the path")
    for folder in experiment_folders():
        if is_file(folder / f"{name}.yaml"):
            return folder / f"{name}.yaml"
    names = experiment_names()
    near = difflib.get_close_matches(name, names, n=1)
    raise ConfigError(
        f"experiment {name!r}",
        expected=f"one of {', '.join(names)}" if len(names) <= 12 else "a file in experiments/",
        got=f"no experiments/{name}.yaml",
        fix=f"did you mean {near[0]}?" if near else "list them with `sermm experiment --list`",
    )


def _flatten(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def check_key(key: str, where: str) -> None:
    """Raise ConfigError, with the nearest valid one, unless a key is one of the configuration."""
    keys = valid_keys()
    if key in keys:
        return
    inside = [k for k in keys if k.startswith(f"{key}.")][:3]
    if inside:
        fix = f"set one of its keys, such as {', '.join(inside)}"
        raise ConfigError(where, expected="a key with a value", got=f"section {key}", fix=fix)
    near = _nearest_key(key, keys)
    raise ConfigError(
        where,
        expected="a key of the configuration",
        got=f"unknown key {key}",
        fix=f"did you mean {near}?" if near else "see them with `sermm config NAME`",
    )


def _nearest_key(key: str, keys: Sequence[str]) -> str | None:
    """The key that was probably meant."""
    # a right name in the wrong section is nearer to the user's mind than a similar string
    section, _, leaf = key.rpartition(".")
    same_leaf = [k for k in keys if k.rpartition(".")[2] == leaf]
    if same_leaf:
        top = section.partition(".")[0]
        # of several: the same last parts, then the same first part, then the shortest
        return max(same_leaf, key=lambda k: (k.endswith(key), k.startswith(top), -k.count(".")))
    near = difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
    return near[0] if near else None


def read_mapping(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file; raises ConfigError if it holds something else."""
    try:
        tree = read_yaml(path)
    except YamlFileError as error:
        where, got = error.where(path), error.problem
        raise ConfigError(where, expected="YAML", got=got, fix="mend the file") from None
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        got = type(tree).__name__
        raise ConfigError(path, expected="keys and values", got=got, fix="mend the file")
    return tree


def _layers(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The included fragments and then the file itself, each with its name for errors."""
    tree = read_mapping(path)
    includes = tree.pop("include", [])
    if isinstance(includes, str):
        includes = [includes]
    if not isinstance(includes, list) or not all(isinstance(name, str) for name in includes):
        raise ConfigError(
            f"{path}: include",
            expected="the name of a fragment, or a list of names",
            got=repr(includes),
            fix="mend the file",
        )
    layers = []
    for name in includes:
        options = [folder / f"{name}.yaml" for folder in (path.parent, *experiment_folders())]
        found = next((option for option in options if is_file(option)), None)
        if found is None:
            raise ConfigError(
                f"{path}: include",
                expected="a fragment below experiments/",
                got=f"no {name}.yaml",
                fix="check the name",
            )
        fragment = read_mapping(found)
        if "include" in fragment:
            raise ConfigError(
                found,
                expected="a fragment without include (they go one level deep)",
                got=f"include: {fragment['include']}",
                fix=f"name it in {path} instead",
            )
        layers.append((str(found), fragment))
    return [*layers, (str(path), tree)]


def _merge(config: DictConfig, pairs: Iterable[tuple[str, Any]], where: str) -> DictConfig:
    """Set keys, each once.

    Args:
        config: What was known before.
        pairs: Dotted keys and values.
        where: File of the keys; empty for an override, which its key names.
    """
    seen: set[str] = set()
    for key, value in pairs:
        place = f"{where}: {key}" if where else key
        check_key(key, where or f"{key}={value}")
        if key in seen:
            raise ConfigError(place, expected="one value", got="two", fix="remove one")
        seen.add(key)
        if problem := _not_plain(type_name(key), value):
            raise ConfigError(place, expected=type_name(key), got=repr(value), fix=problem)
        try:
            OmegaConf.update(config, key, value, merge=False)
        except (OmegaConfBaseException, OverflowError):
            # a whole number may be too large for a float
            raise ConfigError(
                place, expected=type_name(key), got=repr(value), fix="mend the value"
            ) from None
    return config


def _not_plain(kind: str, value: Any) -> str | None:
    """What to do about a value that OmegaConf would take for another one; None if it is fine.

    It makes text of numbers (``007`` would become ``7``) and True of 5, reads ``${...}`` as a
    reference to other values or the environment and ``???`` as "not stated".
    """
    values = value if isinstance(value, list) else [value]
    if any(isinstance(v, str) and ("${" in v or v == "???") for v in values):
        return "write the value itself"
    if kind.startswith(("str", "list[str]")) and not all(isinstance(v, str | None) for v in values):
        return "put it in quotes"
    if kind.startswith("list") and not isinstance(value, list | None):
        return f"write it in brackets: [{value}]"
    if kind == "bool" and not isinstance(value, bool):
        return "write true or false"
    return None


def _parse_override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    # W&B agents and argparse users write --key=value
    key = key.removeprefix("--").strip()
    if not equals or not key:
        raise ConfigError(
            text, expected="key=value", got="no '='", fix="write it as key=value, such as seed=1"
        )
    kind = type_name(key) if key in valid_keys() else ""
    return key, _parse_value(value.strip(), kind=kind)


def _parse_value(value: str, *, kind: str) -> Any:
    """A value as YAML; text stays as it is written unless it is quoted or null.

    W&B's agent writes lists, mappings and null as Python does, so these are read too.

    Args:
        value: As it stands behind the key.
        kind: Type of the key; empty for a section.
    """
    if value == "None" and kind.endswith("None"):
        return None
    is_text = kind.startswith("str")
    if not value or (is_text and value not in ("null", "~") and value[0] not in "'\""):
        return value
    if value[0] in "[{" and ("None" in value or "\\" in value):  # where the two differ
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            literal = ast.literal_eval(value)
            if isinstance(literal, list | dict):
                return literal
    try:
        return parse_yaml(value)
    except YamlFileError:
        return value


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
        config = _merge(config, _flatten(tree), where)
    if OmegaConf.is_missing(config, "name"):
        config.name = path.stem
    for text in overrides:
        key, value = _parse_override(text)
        config = _merge(config, _flatten({key: value}), "")
    return _finish(config, str(path))


def from_dict(tree: Mapping[str, Any], where: str) -> Config:
    """A checked configuration from plain data, such as a checkpoint carries.

    Args:
        tree: As :func:`sermm.config.to_dict` gives it.
        where: Where the data stands, for errors.

    Raises:
        ConfigError: As :func:`load_config`.
    """
    return _finish(_merge(OmegaConf.structured(Config), _flatten(tree), where), where)


def _finish(config: DictConfig, where: str) -> Config:
    """The checked configuration, every required key stated."""
    for key in valid_keys():
        section, _, leaf = key.rpartition(".")
        if OmegaConf.is_missing(OmegaConf.select(config, section) if section else config, leaf):
            raise ConfigError(
                f"{where}: {key}",
                expected=type_name(key),
                got="nothing",
                fix=f"state {key} in the file or as {key}=VALUE",
            )
    resolved = cast(Config, OmegaConf.to_object(config))
    validate(resolved)
    return resolved
