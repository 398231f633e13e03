"""The memory of a local sweep: an Optuna study in a journal file that several machines share."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from data_modules.errors import DataError
from sermm.config import Config, value_of
from sermm.sweep.file import Sweep

JOURNAL_NAME = "journal.log"
VALUES = "values"
KEPT = (TrialState.COMPLETE, TrialState.PRUNED)
"""States of trials that were heard out; failed ones count for nothing."""


def open_study(sweep: Sweep, folder: Path, *, seed: int) -> optuna.Study:
    """The study of a sweep, created if there is none.

    Args:
        sweep: What is searched.
        folder: Of the sweep; its journal is read and continued.
        seed: Of the proposals. Processes that share a journal need different ones.

    Raises:
        DataError: The journal is damaged.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    path = str((folder / JOURNAL_NAME).resolve())
    # by an exclusive file: it works on network file systems, and a dead process' lock expires
    backend = JournalFileBackend(path, lock_obj=JournalFileOpenLock(path))
    try:
        return optuna.create_study(
            storage=JournalStorage(backend),
            study_name=sweep.name,
            direction="maximize" if sweep.maximise else "minimize",
            sampler=_sampler(sweep, seed),
            pruner=_pruner(sweep),
            load_if_exists=True,
        )
    except (ValueError, KeyError) as error:
        raise DataError(
            path,
            expected="the journal of this sweep",
            got=f"a damaged one ({error})",
            fix="remove its broken line, or the folder to begin anew",
        ) from None


def _sampler(sweep: Sweep, seed: int) -> BaseSampler:
    if sweep.method != "bayes":
        return RandomSampler(seed=seed)
    # trials that still run count as bad ones, so that several workers do not propose alike
    return TPESampler(seed=seed, multivariate=True, constant_liar=True)


def _pruner(sweep: Sweep) -> BasePruner:
    """W&B's hyperband has one ladder of rungs, which is successive halving as Optuna calls it."""
    if sweep.early is None:
        return NopPruner()
    return SuccessiveHalvingPruner(min_resource=sweep.early.first, reduction_factor=sweep.early.eta)


def grid(sweep: Sweep) -> Iterator[dict[str, Any]]:
    """Every set of values of a grid, the last key changing fastest."""
    lists = [parameter.all_values() or [] for parameter in sweep.parameters]
    for choice in itertools.product(*lists):
        yield {p.key: value for p, value in zip(sweep.parameters, choice, strict=True)}


def propose(study: optuna.Study, sweep: Sweep) -> tuple[optuna.Trial, dict[str, Any]] | None:
    """A new trial with its values, which it also carries in the study.

    Returns:
        None if a grid has none left.
    """
    if sweep.method != "grid":
        trial = study.ask()
        values = {parameter.key: parameter.suggest(trial) for parameter in sweep.parameters}
        trial.set_user_attr(VALUES, values)
        return trial, values
    # Optuna's own grid ends a search in ways that only its own loop understands
    begun = study.get_trials(deepcopy=False, states=(*KEPT, TrialState.RUNNING, TrialState.FAIL))
    known = [values_of(trial) for trial in begun]
    left = next((values for values in grid(sweep) if values not in known), None)
    if left is None and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        return None
    trial = study.ask()
    again: dict[str, Any] | None = trial.user_attrs.get(VALUES)
    chosen = again or left
    if chosen is None:  # another process took the waiting one
        study.tell(trial, state=TrialState.FAIL)
        return None
    trial.set_user_attr(VALUES, chosen)
    return trial, chosen


def defaults(sweep: Sweep, base: Config) -> dict[str, Any] | None:
    """The values that the experiment has by itself; None if the sweep cannot propose them."""
    found = {parameter.key: value_of(base, parameter.key) for parameter in sweep.parameters}
    if not all(parameter.contains(found[parameter.key]) for parameter in sweep.parameters):
        return None
    return found


def enqueue(
    study: optuna.Study, sweep: Sweep, values: dict[str, Any], attributes: dict[str, Any]
) -> None:
    """Let these values be tried next."""
    stored = {
        parameter.key: parameter.stored(values[parameter.key])
        for parameter in sweep.parameters
        if parameter.distribution != "constant"
    }
    with warnings.catch_warnings():
        # a re-queued trial may have values that rounding moved to an end of the range
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.enqueue_trial(stored, user_attrs=attributes)


def values_of(trial: FrozenTrial) -> dict[str, Any]:
    """The values of a trial by key, as they went to its command line."""
    values: dict[str, Any] = trial.user_attrs.get(VALUES, {})
    return values


def heard_out(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that finished or were stopped early."""
    return study.get_trials(deepcopy=False, states=KEPT)


def best_of(trials: Sequence[FrozenTrial], *, maximise: bool) -> FrozenTrial | None:
    """The finished trial with the best value, the first of equals."""
    finished = [t for t in trials if t.state == TrialState.COMPLETE and t.value is not None]
    if not finished:
        return None
    sign = -1 if maximise else 1
    return min(finished, key=lambda trial: (sign * (trial.value or 0.0), trial.number))
