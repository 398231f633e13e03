"""From the run folders of an experiment to ``summary.json``: the numbers that may be quoted.

Everything is computed from ``predictions.csv``. For each score, training sizes apart:

- ``mean`` and ``sd`` over runs (folds × seeds): how a single run fares, and how runs vary;
- ``sd_seeds``: standard deviation over seeds of the score pooled over folds;
- ``pooled``: the score of all test utterances together, each weighing one however many seeds
  scored it;
- ``ci95``: of the pooled score, over speakers (``statistics.py``).

The headline is the largest training size; ``by_size`` has each. Beside it stand predictors that
hear nothing (``trivial.py``), where the errors lie (``breakdown.py``), and the same model where a
modality is missing (``conditions``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_modules.atomic import write_json
from data_modules.errors import DataError
from data_modules.protocols import find_protocol
from sermm.breakdown import by_class, by_fold, by_name, by_speaker, by_value, ends, run_scores, sd
from sermm.learning_curve import learning_curve
from sermm.metrics import FloatArray, Metric
from sermm.pool import Outcome, Pool, condition_outcome, model_outcome, pool_runs, whole_seeds
from sermm.results import Run, find_runs, is_finished, read_environment, read_run
from sermm.run_metrics import RunKey, read_json_object, size_name
from sermm.statistics import METHOD, NUM_DRAWS, cluster_bootstraps
from sermm.trivial import TRIVIAL, less_trivial

FILE_NAME = "summary.json"
KEYS = (
    *("experiment", "protocol", "protocol_description", "leak", "complete", "kind", "family"),
    *("classes", "git_revision", "data_sha256", "fingerprint", "size", "metrics", "interval"),
    *("runs", "by_size", "trivial", "conditions", "per_fold", "per_class", "per_name"),
    *("per_value", "per_speaker", "confusion", "excluded", "alignment", "seconds", "num_folds"),
    *("notes", "expected", "missing", "other_runs", "learning_curve"),
)
# what summaries of before there were other targets than classes do not have
_ADDED: Mapping[str, Any] = {
    "kind": "classes",
    "family": "classes",
    "conditions": {},
    "per_name": {},
    "per_value": {},
    "learning_curve": None,
}
Which = tuple[str, str]
_MODEL: Which = ("model", "")
_DIGITS = 10  # the last digits of a float depend on the processor; nobody quotes them


def summarise(
    folder: Path, expected: Sequence[tuple[int, int, int | None]], num_folds: int | None = None
) -> dict[str, Any]:
    """Sum up the finished runs of a plan.

    Args:
        folder: ``runs/NAME``.
        expected: (fold, seed, size) of every run of the plan.
        num_folds: Folds of the protocol; a plan that leaves some out gets a note. It stands in the
            summary, for the next call.

    Returns:
        What ``summary.json`` holds: plain JSON values.

    Raises:
        DataError: No run is finished, one is damaged, or runs do not belong together.
    """
    plan = sorted({RunKey(*key) for key in expected}, key=lambda key: key.order)
    finished = [key for key in plan if is_finished(folder / key.folder_name)]
    if not finished:
        raise DataError(
            folder,
            expected=f"a finished run among the {len(plan)} of the plan",
            got="none",
            fix=f"run `sermm experiment {folder.name}`",
        )
    runs = [read_run(folder / key.folder_name) for key in finished]
    first = runs[0].metrics
    _check_agreement(runs)
    sizes = {key.size: [run for run in runs if run.key.size == key.size] for key in finished}
    pools = {size: pool_runs(own) for size, own in sizes.items()}
    size, pool = list(pools.items())[-1]
    sums, headline = pool.sums(), pool.scoring.headline
    is_classifier = first.kind == "classes"
    trivial = {("trivial", name): known.outcome for name, known in TRIVIAL[first.kind].items()}
    conditions = {("condition", name): condition_outcome(name) for name in first.conditions}
    found = _scores(pool, {_MODEL: model_outcome, **trivial, **conditions})
    for which, outcome in trivial.items():
        for name, difference in less_trivial(pool, outcome).items():
            found[which][name] |= {
                "difference": difference.estimate,
                "difference_ci95": ends(difference),
            }
    by_size = {
        key: found[_MODEL] if key == size else _scores(part, {_MODEL: model_outcome})[_MODEL]
        for key, part in pools.items()
    }
    revisions = {read_environment(run.folder).get("git_revision") or "unknown" for run in runs}
    summary = {
        "experiment": folder.name,
        "protocol": first.protocol,
        "protocol_description": first.protocol_description
        or find_protocol(first.protocol).description,
        "leak": first.leak,
        "complete": len(finished) == len(plan),
        "kind": first.kind,
        "family": first.family,
        "classes": list(first.classes),
        "git_revision": ", ".join(sorted(revisions)),
        "data_sha256": first.data_sha256,
        "fingerprint": first.fingerprint,
        "size": size,
        "metrics": found[_MODEL],
        "interval": {
            "method": METHOD,
            "over": _unit(pool),
            "count": len(pool.clusters()),
            "level": 0.95,
            "num_draws": NUM_DRAWS,
            "seed": 0,
        },
        "runs": [_run_record(run) for run in runs],
        "by_size": {size_name(key): scores for key, scores in by_size.items()},
        "trivial": {key[1]: found[key] for key in trivial},
        "conditions": {key[1]: found[key] for key in conditions},
        "per_fold": by_fold(pool),
        "per_class": by_class(pool, sums) if is_classifier else {},
        "per_name": by_name(pool),
        "per_value": by_value(pool),
        "per_speaker": by_speaker(pool, sums),
        "confusion": sums.sum(axis=0).tolist() if is_classifier else [],
        "excluded": {"count": first.excluded.count, "reasons": dict(first.excluded.reasons)},
        "alignment": _mean_shares([run.metrics.alignment for run in pool.runs]),
        "seconds": sum(run.metrics.seconds for run in runs),
        "num_folds": num_folds,
        "notes": _notes(runs, plan, num_folds),
        "expected": [key._asdict() for key in plan],
        "missing": [key.folder_name for key in plan if key not in finished],
        "other_runs": [key.folder_name for key in find_runs(folder) if key not in plan],
        "learning_curve": learning_curve(sizes, headline, pool.scoring.metrics[headline]),
    }
    return {key: _plain(value) for key, value in summary.items()}


def write_summary(folder: Path, summary: Mapping[str, Any]) -> Path:
    """Write ``summary.json`` of an experiment, whole or not at all."""
    write_json(folder / FILE_NAME, summary)
    return folder / FILE_NAME


def read_summary(folder: Path) -> dict[str, Any]:
    """Read ``summary.json`` of an experiment. Raises DataError if it is missing or damaged."""
    fix = f"run `sermm report {folder.name}`, after `sermm experiment {folder.name}`"
    summary = read_json_object(folder / FILE_NAME, fix=fix)
    summary |= {key: value for key, value in _ADDED.items() if key not in summary}
    for key in KEYS:
        if key not in summary:
            raise DataError(folder / FILE_NAME, expected=f"a key {key}", got="none", fix=fix)
    return summary


def planned_runs(folder: Path) -> list[RunKey]:
    """The runs of the plan that ``summary.json`` was made for. Raises as :func:`read_summary`."""
    stated = read_summary(folder)["expected"]
    try:
        keys = [RunKey(**key) for key in stated]
        good = all(
            type(key.fold) is type(key.seed) is int and type(key.size) in (int, type(None))
            for key in keys
        )
    except TypeError:
        good = False
    if not good:
        raise DataError(
            folder / FILE_NAME,
            expected="runs by fold, seed and size under expected",
            got=repr(stated),
            fix=f"remove it, then run `sermm report {folder.name}`",
        )
    return keys


def _plain(value: Any) -> Any:
    """Values as JSON has them: NaN is null, floats are rounded."""
    if isinstance(value, float):
        return round(value, _DIGITS) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _check_agreement(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        for name in _OF_ALL_RUNS:
            expected, got = getattr(first.metrics, name), getattr(run.metrics, name)
            if name == "conditions":
                expected, got = list(expected), list(got)
            if got != expected:
                raise DataError(
                    run.folder / "metrics.json",
                    expected=f"the {name} of {first.folder.name} ({expected})",
                    got=str(got),
                    fix="remove the runs of the other configuration or data, and run the "
                    "experiment again",
                )


_OF_ALL_RUNS = (
    *("protocol", "leak", "kind", "family", "classes", "data_sha256", "fingerprint", "excluded"),
    "conditions",
)


def _scores(pool: Pool, outcomes: Mapping[Which, Outcome]) -> dict[Which, dict[str, Any]]:
    """Scores by metric of each outcome, all on the same bootstrap draws."""
    metrics = pool.scoring.metrics
    sums = np.stack([pool.sums(outcome) for outcome in outcomes.values()], axis=1)  # (S, K, ...)
    axis = 1 - sums.ndim
    intervals = cluster_bootstraps(
        sums,
        {
            (which, name): _of_outcome(info.function, index, axis)
            for index, which in enumerate(outcomes)
            for name, info in metrics.items()
        },
        ranges={(which, name): info.range for which in outcomes for name, info in metrics.items()},
    )
    seeds = whole_seeds(pool).values()
    found = {}
    for which, outcome in outcomes.items():
        by_run = [run_scores(run, outcome) for run in pool.runs]
        by_seed = [pool.scoring.scores(part.sums(outcome).sum(axis=0)) for part in seeds]
        found[which] = {
            name: {
                "mean": float(np.mean([run[name] for run in by_run])),
                "sd": sd([run[name] for run in by_run]),
                "sd_seeds": sd([seed[name] for seed in by_seed]),
                "ci95": ends(intervals[which, name]),
                "pooled": intervals[which, name].estimate,
            }
            for name in metrics
        }
    return found


def _of_outcome(function: Metric, index: int, axis: int) -> Metric:
    def score(sums: FloatArray) -> FloatArray:
        return function(np.take(sums, index, axis=axis))

    return score


def _unit(pool: Pool) -> str:
    named = [bool(speaker) for speaker in pool.speakers.values()]
    if all(named):
        return "speakers"
    return "speakers and utterances without one" if any(named) else "utterances"


def _run_record(run: Run) -> dict[str, Any]:
    metrics = run.metrics
    return {
        "fold": metrics.fold,
        "seed": metrics.seed,
        "size": metrics.size,
        "metrics": run_scores(run),
        "num_train": metrics.num_train,
        "num_val": metrics.num_val,
        "num_test": metrics.num_test,
        "seconds": metrics.seconds,
        "best_epoch": metrics.best_epoch,
        "val": dict(metrics.val),
    }


def _mean_shares(shares: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean over runs: the folds of a protocol may differ in which words they have."""
    names = sorted({name for share in shares for name in share})
    return {
        name: float(np.mean([float(share.get(name, 0.0)) for share in shares])) for name in names
    }


def _notes(runs: Sequence[Run], plan: Sequence[RunKey], num_folds: int | None) -> list[str]:
    notes = list(dict.fromkeys(note for run in runs for note in run.metrics.notes))
    folds = {key.fold for key in plan}
    if num_folds is not None and len(folds) < num_folds:
        notes.append(f"only {len(folds)} of the {num_folds} folds of the protocol are in the plan")
    return notes
