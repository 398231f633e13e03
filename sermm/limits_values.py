"""One value alone: whether it is among the choices, in its range, or a list that may be."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from data_modules.errors import ConfigError


def check_choice(key: str, value: str, choices: Sequence[str]) -> None:
    """A value has to be one of those there are.

    Raises:
        ConfigError: It is not; the nearest is offered.
    """
    if value in choices:
        return
    near = difflib.get_close_matches(value, choices, n=1)
    raise ConfigError(
        key,
        expected=f"one of {', '.join(choices)}",
        got=repr(value),
        fix=f"did you mean {near[0]}?" if near else "choose one of these",
    )


def check_range(key: str, value: float | None, low: float, high: float, *, positive: bool) -> None:
    """A number has to lie between two, and above 0 if ``positive``; None is no number.

    Raises:
        ConfigError: It does not.
    """
    # written so that NaN, which compares false with everything, is outside
    if value is None or (low <= value <= high and not (positive and value == 0)):
        return
    above = "more than 0" if positive else f"at least {low:g}"
    bounds = above if high > 1 else f"between {low:g} and {high:g}"
    if value > high > 1:
        bounds = f"at most {high:g}"
    raise ConfigError(key, expected=bounds, got=str(value), fix="choose another value")


def check_list(
    key: str, values: list[Any] | None, lowest: int | None, may_be_empty: bool, *, once: bool
) -> None:
    """Elements of a list have to be there, large enough and, if ``once``, different; None is none.

    Raises:
        ConfigError: They are not.
    """
    if values is None:
        return
    if not values and not may_be_empty:
        raise ConfigError(key, expected="at least one", got="an empty list", fix="name one")
    low = [value for value in values if lowest is not None and value < lowest]
    if low:
        raise ConfigError(
            key, expected=f"values of at least {lowest}", got=str(low[0]), fix="choose another"
        )
    twice = [value for i, value in enumerate(values) if value in values[:i]]
    if twice and once:
        raise ConfigError(
            key, expected="each value once", got=f"{twice[0]} twice", fix="remove the second"
        )
