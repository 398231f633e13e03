"""What a local sweep leaves behind: the best configuration as an experiment, and all trials."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import yaml

from data_modules.atomic import write_atomically, write_text
from sermm.compose import load_config
from sermm.config import to_dict
from sermm.sweep.check import as_override
from sermm.sweep.file import Sweep
from sermm.sweep.study import best_of, heard_out, values_of

if TYPE_CHECKING:
    import optuna

BEST_NAME = "best.yaml"
TRIALS_NAME = "trials.csv"
# of a single run, or of trials alone
_LEFT_OUT = ("fold", "seed", "size", "test", "runs")


def write_best(
    study: optuna.Study, sweep: Sweep, overrides: tuple[str, ...], folder: Path
) -> Path | None:
    """Write the best trial's configuration with the whole plan of its experiment.

    Args:
        study: Of the sweep.
        sweep: As read.
        overrides: Settings that all trials shared.
        folder: Of the sweep.

    Returns:
        The file, which `sermm experiment` takes; None if no trial finished.
    """
    kept = heard_out(study)
    best = best_of(kept, maximise=sweep.maximise)
    if best is None:
        return None
    texts = [as_override(key, value) for key, value in values_of(best).items()]
    config = load_config(sweep.experiment, [*sweep.overrides, *overrides, *texts])
    plain = load_config(sweep.experiment, [t for t in overrides if not t.startswith("plan.")])
    folds = f"fold{'' if len(config.plan.folds or []) == 1 else 's'}"
    numbers = ", ".join(map(str, config.plan.folds or []))
    config = replace(
        config,
        name=f"{sweep.name}_best",
        description=f"{sweep.experiment} with the settings of trial {best.number} of {len(kept)} "
        f"of sweep {sweep.name}, chosen by {sweep.metric} on {folds} {numbers}.",
        plan=plain.plan,
    )
    tree = {key: value for key, value in to_dict(config).items() if key not in _LEFT_OUT}
    head = (
        f"# {sweep.metric} {best.value:.4f} on validation, the best of {len(kept)} trials: higher "
        "than the\n# same settings would reach on speakers that no trial was compared on.\n"
        if sweep.maximise
        else f"# {sweep.metric} {best.value:.4f} on validation, the best of {len(kept)} trials: "
        "lower than the\n# same settings would reach on speakers that no trial was compared on.\n"
    )
    path = folder / BEST_NAME
    write_text(path, head + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))
    return path


def write_trials(study: optuna.Study, sweep: Sweep, folder: Path) -> Path:
    """Write ``trials.csv``: every trial with state, score, seconds and values."""
    path = folder / TRIALS_NAME
    keys = [parameter.key for parameter in sweep.parameters]

    def write(stream: IO[str]) -> None:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["trial", "state", sweep.metric, "epochs", "seconds", "folder", *keys])
        for trial in study.get_trials(deepcopy=False):
            values, ended = values_of(trial), trial.duration
            steps = trial.intermediate_values
            pruned = trial.state.name == "PRUNED" and steps
            score = steps[max(steps)] if pruned else trial.value
            writer.writerow(
                [
                    trial.number,
                    trial.state.name.lower(),
                    "" if score is None else f"{score:.6f}",
                    len(steps) or "",
                    "" if ended is None else f"{ended.total_seconds():.1f}",
                    trial.user_attrs.get("folder", ""),
                    *(values.get(key, "") for key in keys),
                ]
            )

    write_atomically(path, write)
    return path
