"""What `sermm sweep` does once its file is known to be right."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from data_modules.errors import ConfigError
from sermm.config import Config
from sermm.inputs import check_inputs
from sermm.sweep.file import Sweep
from sermm.terminal import say


def search_locally(
    sweep: Sweep,
    base: Config,
    overrides: Sequence[str],
    *,
    workers: int,
    count: int | None,
    seed: int,
) -> None:
    """Search with Optuna and write the best configuration.

    Raises:
        ConfigError: Nobody says how many trials there are to be.
        RunFailedError: Trial after trial fails.
    """
    check_inputs(base)
    from sermm.sweep.best import write_best, write_trials
    from sermm.sweep.local import Search, SearchOptions, how_many
    from sermm.sweep.table import print_best

    number = how_many(sweep, count)
    if number is None:
        raise ConfigError(
            "--count", expected="a number of trials", got="nothing", fix="add --count 50, say"
        )
    options = SearchOptions(workers=workers, count=number, seed=seed, overrides=tuple(overrides))
    search = Search(sweep, base, options)
    study = search.run()
    print_best(study, sweep)
    say(f"trials: {write_trials(study, sweep, search.folder)}")
    best = write_best(study, sweep, options.overrides, search.folder)
    if best is None:
        say("no trial finished, so there is no best one", style="red")
    else:
        say(f"the best as an experiment: sermm experiment {shlex.quote(str(best))}")


def register_sweep(sweep: Sweep, base: Config, overrides: Sequence[str]) -> None:
    """Register with W&B and print what starts agents."""
    from sermm.sweep.wandb_sweep import register

    path = register(sweep, base, overrides)
    say(f"registered {path}; work on it, on as many machines as you like, with")
    say(f"  make agent SWEEP={path}")
    devices = base.trainer.devices
    say(f"  sermm agent {path}" + (f" --devices {devices}" if devices > 1 else ""))
