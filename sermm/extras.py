"""Packages that some speech upstreams run in and that are extras: found, or told how to get them.

Imports none of them, so that a missing one is told in a fraction of a second.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

from data_modules.errors import ModelError


@dataclass(frozen=True)
class Extra:
    """What a speech upstream needs beyond the dependencies of sermm.

    Attributes:
        package: What it imports.
        title: What people call it, with what its licence restricts.
        name: Of the extra in sermm's own package.
    """

    package: str
    title: str
    name: str


EXTRAS: Mapping[str, Extra] = {
    "opensmile": Extra(
        "opensmile", "openSMILE (licensed for research and private use alone)", "opensmile"
    ),
}
"""By ``model.speech.upstream``."""


def expect_extra(upstream: str) -> None:
    """Make sure that an upstream's extra, if it needs one, is installed.

    Raises:
        ModelError: It is not.
    """
    extra = EXTRAS.get(upstream)
    if extra is None or importlib.util.find_spec(extra.package) is not None:
        return
    raise ModelError(
        f"model.speech.upstream={upstream}",
        expected=extra.title,
        got=f"no package {extra.package}",
        fix=f"install it with `pip install sermm[{extra.name}]`, or choose another upstream",
    )
