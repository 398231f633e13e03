"""The values that a sweep tries for one key: W&B's distributions, as far as we search them too."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_modules.errors import ConfigError

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

# distribution: the keys that it needs
_NEEDS: dict[str, tuple[str, ...]] = {
    "constant": ("value",),
    "categorical": ("values",),
    "int_uniform": ("min", "max"),
    "uniform": ("min", "max"),
    "q_uniform": ("min", "max", "q"),
    "log_uniform": ("min", "max"),
    "log_uniform_values": ("min", "max"),
    "q_log_uniform_values": ("min", "max", "q"),
}
_KEYS = {"distribution", *(key for needed in _NEEDS.values() for key in needed)}
_MOST_IN_GRID = 1000


@dataclass(frozen=True)
class Parameter:
    """One key of the configuration and what it may be.

    Attributes:
        key: Dotted.
        distribution: W&B's name of it.
        values: Of ``constant`` (one) and ``categorical``.
        low: Lowest value of a range.
        high: Highest.
        step: What values of a ``q_`` range are rounded to multiples of; 0: nothing.
    """

    key: str
    distribution: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: float = 0.0

    def corners(self) -> list[Any]:
        """Every listed value, or both ends of a range."""
        if self.values:
            return list(self.values)
        return [self.round(self.low), self.round(self.high)]

    def all_values(self) -> list[Any] | None:
        """Everything that a grid tries; None for a range without an end to its values."""
        if self.values:
            return list(self.values)
        step = 1.0 if self.distribution == "int_uniform" else self.step
        if self.distribution not in ("int_uniform", "q_uniform"):
            return None
        first, last = _multiples(self.low, self.high, step)
        if last - first >= _MOST_IN_GRID:
            return None
        return [self.round(step * count) for count in range(first, last + 1)]

    def contains(self, value: Any) -> bool:
        """Whether a search can come upon a value."""
        if self.values:
            return any(value == known and type(value) is type(known) for known in self.values)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high and self.round(value) == value

    def round(self, value: float) -> Any:
        """A number as the distribution gives it: whole, or a multiple of its step."""
        if self.distribution == "int_uniform":
            return round(value)
        if not self.step:
            return float(value)
        # within the range: the nearest multiple may lie beyond it
        first, last = _multiples(self.low, self.high, self.step)
        count = min(max(round(value / self.step), first), last)
        whole = float(self.step).is_integer()
        return int(count * self.step) if whole else float(f"{count * self.step:.12g}")

    def suggest(self, trial: BaseTrial) -> Any:
        """A value that Optuna proposes."""
        if self.distribution == "constant":
            return self.values[0]
        if self.values:
            # text, since Optuna stores nothing but scalars
            return json.loads(trial.suggest_categorical(self.key, self.choices()))
        if self.distribution == "int_uniform":
            return trial.suggest_int(self.key, int(self.low), int(self.high))
        log = "log" in self.distribution
        return self.round(trial.suggest_float(self.key, self.low, self.high, log=log))

    def choices(self) -> list[str]:
        """The values as JSON."""
        return [json.dumps(value) for value in self.values]

    def stored(self, value: Any) -> Any:
        """A value as Optuna stores it."""
        return json.dumps(value) if self.values else value


def _multiples(low: float, high: float, step: float) -> tuple[int, int]:
    """Which multiples of a step lie between two numbers: the first and the last."""
    slack = 1e-9  # 0.3 / 0.1 is less than 3
    return math.ceil(low / step - slack), math.floor(high / step + slack)


def read_parameter(key: str, stated: Mapping[str, Any], where: str) -> Parameter:
    """One entry of ``parameters`` that is not nested.

    Args:
        key: Dotted.
        stated: What the file says of it.
        where: File and key, for errors.

    Raises:
        ConfigError: An unknown key or distribution, a value missing or of a wrong type.
    """
    unknown = [name for name in stated if name not in _KEYS]
    if unknown and stated.get("distribution") in (None, *_NEEDS):
        raise ConfigError(
            f"{where}.{unknown[0]}",
            expected=f"one of {', '.join(sorted(_KEYS))}",
            got=str(unknown[0]),
            fix="remove it (nested keys stand below another `parameters`)",
        )
    distribution = stated.get("distribution") or _implied(stated, where)
    if distribution not in _NEEDS:
        raise ConfigError(
            f"{where}.distribution",
            expected=f"one of {', '.join(_NEEDS)}",
            got=repr(distribution),
            fix="choose one of these",
        )
    needed = {*_NEEDS[distribution], "distribution"}
    for name in sorted(needed ^ {*stated, "distribution"}):
        missing = name in needed
        raise ConfigError(
            f"{where}.{name}",
            expected="a value" if missing else f"no {name} beside {distribution}",
            got="none" if missing else repr(stated[name]),
            fix="state it" if missing else "remove it",
        )
    if distribution == "constant":
        return Parameter(key, distribution, (stated["value"],))
    if distribution == "categorical":
        return Parameter(key, distribution, _list(stated["values"], f"{where}.values"))
    return _range(key, distribution, stated, where)


def _implied(stated: Mapping[str, Any], where: str) -> str:
    """The distribution that W&B takes where none is named."""
    if "value" in stated:
        return "constant"
    if "values" in stated:
        return "categorical"
    if "min" in stated and "max" in stated:
        whole = all(type(stated[name]) is int for name in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    raise ConfigError(
        where,
        expected="value, values, or min and max",
        got=", ".join(map(str, stated)) or "nothing",
        fix="state one of these",
    )


def _list(values: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(values, list) or not values:
        raise ConfigError(where, expected="a list", got=repr(values), fix="list the values")
    for number, value in enumerate(values):
        if any(value == known and type(value) is type(known) for known in values[:number]):
            raise ConfigError(
                where, expected="each value once", got=f"{value!r} twice", fix="remove one"
            )
    return tuple(values)


def _range(key: str, distribution: str, stated: Mapping[str, Any], where: str) -> Parameter:
    numbers = {name: _number(stated[name], f"{where}.{name}") for name in _NEEDS[distribution]}
    low, high, step = numbers["min"], numbers["max"], numbers.get("q", 0.0)
    if distribution == "log_uniform":  # W&B means exponents of e
        low, high, distribution = math.exp(low), math.exp(high), "log_uniform_values"
    if distribution == "int_uniform":
        for name in ("min", "max"):
            if type(stated[name]) is not int:
                raise ConfigError(
                    f"{where}.{name}",
                    expected="a whole number",
                    got=repr(stated[name]),
                    fix="write it without a point, or choose distribution: uniform",
                )
    if low >= high:
        raise ConfigError(
            f"{where}.max", expected=f"more than {low:g}", got=f"{high:g}", fix="swap min and max"
        )
    if "log" in distribution and low <= 0:
        raise ConfigError(
            f"{where}.min",
            expected="more than 0 on a logarithmic scale",
            got=f"{low:g}",
            fix="raise it, or choose distribution: uniform",
        )
    if "q" in numbers and (step <= 0 or operator.gt(*_multiples(low, high, step))):
        raise ConfigError(
            f"{where}.q",
            expected="more than 0, with a multiple between min and max",
            got=f"{step:g}",
            fix="choose another",
        )
    return Parameter(key, distribution, (), low, high, step)


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        # YAML 1.1, which W&B reads too, takes 1e-5 for text
        raise ConfigError(
            where, expected="a number", got=repr(value), fix="write it as in 0.001 or 1.0e-3"
        )
    return float(value)
