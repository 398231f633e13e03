"""A sweep as W&B knows it: the file as it is, with the settings of the command line."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from data_modules.errors import ConfigError
from sermm.config import Config
from sermm.sweep.file import VALUES_MACROS, Sweep
from sermm.tracking import answered, logged_in


def tree_with(sweep: Sweep, overrides: Sequence[str]) -> dict[str, Any]:
    """The file's content; settings of the command line stand before the values of a trial."""
    tree: dict[str, Any] = copy.deepcopy(dict(sweep.tree))
    tree.setdefault("name", sweep.name)
    command = tree["command"]
    place = next(index for index, word in enumerate(command) if word in VALUES_MACROS)
    tree["command"] = [*command[:place], *overrides, *command[place:]]
    return tree


def register(sweep: Sweep, base: Config, overrides: Sequence[str]) -> str:
    """Create the sweep on the server.

    Returns:
        ``ENTITY/PROJECT/ID``, which agents are started with.

    Raises:
        ConfigError: Nobody is logged in, or the server does not answer.
    """
    if not logged_in():
        raise ConfigError(
            "--wandb",
            expected="a W&B account",
            got="nobody logged in",
            fix="run `wandb login`, or search here with --local",
        )
    import wandb

    entity = sweep.tree.get("entity") or base.tracking.entity
    project = sweep.tree.get("project") or base.tracking.project
    with answered("--wandb", "search here with --local"):
        name = wandb.sweep(tree_with(sweep, overrides), entity=entity, project=project)
        owner = entity or wandb.Api().default_entity
    return "/".join(part for part in (owner, project, name) if part)
