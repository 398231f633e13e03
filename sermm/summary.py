"""From the run folders of an experiment to ``summary.json``: the numbers that may be quoted.

Everything is computed from ``predictions.csv``. For each score, training sizes apart:

- ``mean`` and ``sd`` over runs (folds × seeds): how a single run fares, and how runs vary;
- ``sd_seeds``: standard deviation over seeds of the score pooled over folds;
- ``pooled``: the score of all test utterances together, each weighing one however many seeds
  scored it;
- ``ci95``: of the pooled score, over speakers (``statistics.py``).

The headline is the largest training size; ``by_size`` has each. Beside it stand two predictors
that hear nothing: ``majority`` names the most frequent class of the training part, ``prior`` draws
a class as often as the training part has it (its expected confusion matrix is scored).
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
from sermm.metrics import (
    CLASS_METRICS,
    FloatArray,
    class_metrics,
    per_class,
    recalls,
)
from sermm.pool import Outcome, Pool, model_outcome, pool_runs
from sermm.results import Run, find_runs, is_finished, read_environment, read_run
from sermm.run_metrics import RunKey, read_json_object, size_name
from sermm.statistics import NUM_DRAWS, Interval, cluster_bootstrap, cluster_confusions

FILE_NAME = "summary.json"
KEYS = (
    *("experiment", "protocol", "protocol_description", "leak", "complete", "classes"),
    *("git_revision", "data_sha256", "fingerprint", "size", "metrics", "interval", "runs"),
    *("by_size", "trivial", "per_fold", "per_class", "per_speaker", "confusion", "excluded"),
    *("alignment", "seconds", "num_folds", "notes", "expected", "missing", "other_runs"),
)
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
    revisions = {read_environment(run.folder).get("git_revision") or "unknown" for run in runs}
    summary = {
        "experiment": folder.name,
        "protocol": first.protocol,
        "protocol_description": first.protocol_description
        or find_protocol(first.protocol).description,
        "leak": first.leak,
        "complete": len(finished) == len(plan),
        "classes": list(first.classes),
        "git_revision": ", ".join(sorted(revisions)),
        "data_sha256": first.data_sha256,
        "fingerprint": first.fingerprint,
        "size": size,
        "metrics": _scores(pool),
        "interval": {
            "method": "expanded percentile bootstrap",
            "over": _unit(pool),
            "count": len(pool.clusters()),
            "level": 0.95,
            "num_draws": NUM_DRAWS,
            "seed": 0,
        },
        "runs": [_run_record(run) for run in runs],
        "by_size": {size_name(own): _scores(part) for own, part in pools.items()},
        "trivial": {"majority": _scores(pool, _majority), "prior": _scores(pool, _prior)},
        "per_fold": _per_fold(pool),
        "per_class": _per_class(pool),
        "per_speaker": _per_speaker(pool),
        "confusion": pool.confusions().sum(axis=0).tolist(),
        "excluded": {"count": first.excluded.count, "reasons": dict(first.excluded.reasons)},
        "alignment": _mean_shares([run.metrics.alignment for run in pool.runs]),
        "seconds": sum(run.metrics.seconds for run in runs),
        "num_folds": num_folds,
        "notes": _notes(runs, plan, num_folds),
        "expected": [key._asdict() for key in plan],
        "missing": [key.folder_name for key in plan if key not in finished],
        "other_runs": [key.folder_name for key in find_runs(folder) if key not in plan],
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
    for key in KEYS:
        if key not in summary:
            raise DataError(folder / FILE_NAME, expected=f"a key {key}", got="none", fix=fix)
    return summary


def planned_runs(folder: Path) -> list[RunKey]:
    """The runs of the plan that ``summary.json`` was made for. Raises as :func:`read_summary`."""
    return [RunKey(**key) for key in read_summary(folder)["expected"]]


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
        for name in ("protocol", "leak", "classes", "data_sha256", "fingerprint", "excluded"):
            expected, got = getattr(first.metrics, name), getattr(run.metrics, name)
            if got != expected:
                raise DataError(
                    run.folder / "metrics.json",
                    expected=f"the {name} of {first.folder.name} ({expected})",
                    got=str(got),
                    fix="remove the runs of the other configuration or data, and run the "
                    "experiment again",
                )


def _majority(run: Run) -> FloatArray:
    counts = [run.metrics.train_counts[name] for name in run.predictions.classes]
    return np.tile(np.eye(len(counts))[int(np.argmax(counts))], (len(run.predictions.ids), 1))


def _prior(run: Run) -> FloatArray:
    counts = np.array([run.metrics.train_counts[name] for name in run.predictions.classes])
    return np.tile(counts / counts.sum(), (len(run.predictions.ids), 1))


def _run_scores(run: Run, outcome: Outcome) -> dict[str, float]:
    said = run.predictions
    everyone = ["all"] * len(said.ids)
    return class_metrics(
        cluster_confusions(said.labels, outcome(run), everyone, len(said.classes))[0]
    )


def _sd(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _ends(interval: Interval) -> list[float] | None:
    return None if math.isnan(interval.low) else [interval.low, interval.high]


def _scores(pool: Pool, outcome: Outcome = model_outcome) -> dict[str, dict[str, Any]]:
    by_run = [_run_scores(run, outcome) for run in pool.runs]
    by_seed = [class_metrics(part.confusions(outcome).sum(axis=0)) for part in _whole_seeds(pool)]
    confusions = pool.confusions(outcome)
    scores = {}
    for name, info in CLASS_METRICS.items():
        interval = cluster_bootstrap(confusions, info.function)
        scores[name] = {
            "mean": float(np.mean([run[name] for run in by_run])),
            "sd": _sd([run[name] for run in by_run]),
            "sd_seeds": _sd([seed[name] for seed in by_seed]),
            "ci95": _ends(interval),
            "pooled": interval.estimate,
        }
    return scores


def _whole_seeds(pool: Pool) -> list[Pool]:
    """The runs of each seed that finished every fold: seeds without one are not comparable."""
    folds = {run.key.fold for run in pool.runs}
    seeds = sorted({run.key.seed for run in pool.runs})
    parts = [[run for run in pool.runs if run.key.seed == seed] for seed in seeds]
    return [pool_runs(part) for part in parts if len(part) == len(folds)]


def _per_fold(pool: Pool) -> list[dict[str, Any]]:
    folds = []
    for fold in sorted({run.key.fold for run in pool.runs}):
        own = [run for run in pool.runs if run.key.fold == fold]
        scores = [_run_scores(run, model_outcome) for run in own]
        folds.append(
            {
                "fold": fold,
                "speakers": sorted(set(own[0].predictions.speakers) - {""}),
                "num_test": len(own[0].predictions.ids),
                "num_runs": len(own),
                "metrics": {
                    name: {
                        "mean": float(np.mean([score[name] for score in scores])),
                        "sd": _sd([score[name] for score in scores]),
                    }
                    for name in CLASS_METRICS
                },
            }
        )
    return folds


def _per_class(pool: Pool) -> dict[str, dict[str, Any]]:
    confusions = pool.confusions()
    table = {}
    for index, (name, scores) in enumerate(
        zip(pool.classes, per_class(confusions.sum(axis=0)), strict=True)
    ):

        def recall(matrices: Any, index: int = index) -> FloatArray:
            return recalls(matrices)[..., index]

        # speakers without this class say nothing of its recall
        speaking = confusions[confusions.sum(axis=-1)[:, index] > 0]
        interval = cluster_bootstrap(speaking, recall) if len(speaking) else None
        table[name] = {
            "recall": scores.recall,
            "recall_ci95": _ends(interval) if interval else None,
            "precision": scores.precision,
            "f1": scores.f1,
            "support": scores.support,
        }
    return table


def _per_speaker(pool: Pool) -> dict[str, dict[str, Any]]:
    named = set(pool.speakers.values()) - {""}
    return {
        cluster: {**class_metrics(matrix), "num_test": round(float(matrix.sum()))}
        for cluster, matrix in zip(pool.clusters(), pool.confusions(), strict=True)
        if cluster in named
    }


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
        "metrics": _run_scores(run, model_outcome),
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
