"""Is A better than B? Differences on the same test utterances, with intervals and tests.

Experiments are compared only where their numbers mean the same: one protocol, one set of targets of
one kind, the same test utterances with the same labels and speakers. Anything else is refused with
the reason. For each score of each pair:

- A minus B, with a bootstrap interval over speakers, the same speakers of both in each draw
  (``statistics.py``);
- how often chance gives as much: names swapped for whole speakers, and names dealt out anew among
  the runs of each fold (``permutation.py``);
- where there are several pairs, Holm's adjustment of the first of these, and intervals that hold
  together (Bonferroni: at 1 - 0.05 / pairs). Each score is a family of its own.

All of this is of the largest training size of each; what both have of smaller ones is compared in
``compare_sizes.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from data_modules.errors import DataError, first_ids
from sermm.compare_sizes import SizeComparison, compare_sizes
from sermm.metrics import MetricInfo
from sermm.permutation import Permutation, holm, run_test, speaker_test
from sermm.pool import Pool, fold_sums, pool_runs
from sermm.report.cells import notes_of
from sermm.results import Run, read_run
from sermm.run_metrics import RunKey, size_name
from sermm.scoring import Scoring
from sermm.statistics import LEAST_CLUSTERS, Interval, paired_cluster_bootstraps
from sermm.summary import read_summary

LEVEL = 0.95
ALPHA = 0.05


@dataclass(frozen=True)
class Difference:
    """One score of both, and what their difference is worth.

    Attributes:
        a: Pooled score of A.
        b: Pooled score of B.
        interval: A minus B, at 95 %.
        joint: The same, wide enough to hold for all pairs at once.
        speakers: Names swapped for whole speakers.
        runs: Names dealt out among the runs of each fold; None where folds or runs do not match.
        adjusted_p: Of ``speakers``, adjusted for the number of pairs.
    """

    a: float
    b: float
    interval: Interval
    joint: Interval
    speakers: Permutation
    runs: Permutation | None
    adjusted_p: float

    def verdict(self, num_pairs: int, *, higher_is_better: bool) -> str:
        """What follows, in words."""
        if self.interval.num_clusters < LEAST_CLUSTERS:
            return "too few speakers to tell"
        if math.isnan(self.adjusted_p) or not self.interval.is_known:
            return "no interval"
        if self.adjusted_p <= ALPHA:
            better = (self.interval.estimate > 0) == higher_is_better
            return "A is better" if better else "B is better"
        if num_pairs * self.speakers.least > ALPHA:
            return "too few speakers to tell"
        return "no difference shown"


@dataclass(frozen=True)
class Comparison:
    """What was found of one pair.

    Attributes:
        name_a: The first experiment.
        name_b: The second.
        protocol: Their protocol.
        leak: What leaks in it; empty if nothing.
        num_utterances: Test utterances.
        over: What was resampled.
        scoring: What the scores are.
        differences: Pooled scores by metric.
        notes: What a reader must know, such as runs that are missing.
        num_pairs: Of how many pairs it is one.
        sizes: The headline by training size; None where they have no two sizes in common.
    """

    name_a: str
    name_b: str
    protocol: str
    leak: str
    num_utterances: int
    over: str
    scoring: Scoring
    differences: Mapping[str, Difference]
    notes: tuple[str, ...]
    num_pairs: int = 1
    sizes: SizeComparison | None = None

    def verdict(self, metric: str) -> str:
        """What follows for a score."""
        info: MetricInfo = self.scoring.metrics[metric]
        return self.differences[metric].verdict(
            self.num_pairs, higher_is_better=info.higher_is_better
        )


@dataclass(frozen=True, eq=False)
class _Side:
    folder: Path
    summary: Mapping[str, Any]
    by_size: Mapping[int | None, Pool]  # ascending

    @property
    def pool(self) -> Pool:
        """Of the largest size."""
        return self.by_size[self.summary["size"]]


def compare(folder_a: Path, folder_b: Path, *, common: bool = False) -> Comparison:
    """Compare two experiments, as :func:`compare_all` does."""
    return compare_all([folder_a, folder_b], common=common)[0]


def compare_all(
    folders: Sequence[Path], *, common: bool = False, to_first: bool = False
) -> list[Comparison]:
    """Compare experiments on the runs that their ``summary.json`` counts.

    Args:
        folders: ``runs/NAME`` of two or more.
        common: Compare on the utterances that all of them scored, where they did not score the
            same.
        to_first: The first with each of the others, rather than each with each.

    Raises:
        DataError: A summary or a run is missing or damaged, or experiments differ in protocol,
            targets, test utterances, their labels or their speakers.
    """
    sides = [_read(folder) for folder in folders]
    for other in sides[1:]:
        _check_alike(sides[0], other)
    note: tuple[str, ...] = ()
    if common:
        sides, note = _on_common(sides)
    for other in sides[1:]:
        _check_same_test(sides[0], other)
    pairs = [(sides[0], o) for o in sides[1:]] if to_first else list(combinations(sides, 2))
    found = [_compare(a, b, len(pairs), note) for a, b in pairs]
    return _adjusted(found)


def _adjusted(found: Sequence[Comparison]) -> list[Comparison]:
    """With p-values adjusted over the pairs, each score for itself."""
    by_pair: list[dict[str, Difference]] = [dict(pair.differences) for pair in found]
    for metric in found[0].differences:
        values = holm([differences[metric].speakers.p for differences in by_pair])
        for differences, value in zip(by_pair, values, strict=True):
            differences[metric] = replace(differences[metric], adjusted_p=value)
    return [replace(pair, differences=own) for pair, own in zip(found, by_pair, strict=True)]


def _compare(a: _Side, b: _Side, num_pairs: int, note: tuple[str, ...]) -> Comparison:
    scoring = a.pool.scoring
    functions = {name: info.function for name, info in scoring.metrics.items()}
    sums = a.pool.sums(), b.pool.sums()
    intervals = paired_cluster_bootstraps(*sums, functions, level=LEVEL)
    joint = intervals
    if num_pairs > 1:
        joint = paired_cluster_bootstraps(*sums, functions, level=1 - ALPHA / num_pairs)
    by_speaker = speaker_test(*sums, functions)
    folds = fold_sums(a.pool, b.pool)
    by_run = run_test(*folds, functions) if folds else {}
    scores_a, scores_b = (scoring.scores(own.sum(axis=0)) for own in sums)
    return Comparison(
        name_a=a.summary["experiment"],
        name_b=b.summary["experiment"],
        protocol=a.summary["protocol"],
        leak=_both(a.summary["leak"], b.summary["leak"]),
        num_utterances=len(a.pool.references),
        over=a.summary["interval"]["over"],
        scoring=scoring,
        differences={
            name: Difference(
                a=scores_a[name],
                b=scores_b[name],
                interval=intervals[name],
                joint=joint[name],
                speakers=by_speaker[name],
                runs=by_run.get(name),
                adjusted_p=by_speaker[name].p,
            )
            for name in functions
        },
        notes=(*note, *_notes(a.summary, b.summary, has_runs=bool(folds))),
        num_pairs=num_pairs,
        sizes=compare_sizes(a.by_size, b.by_size, level=LEVEL),
    )


def _both(one: str, other: str) -> str:
    """What leaks in either: features may have seen what the protocol keeps apart."""
    return "; ".join(
        dict.fromkeys(part for text in (one, other) if text for part in text.split("; "))
    )


def _read(folder: Path) -> _Side:
    summary = read_summary(folder)
    keys = [RunKey(run["fold"], run["seed"], run["size"]) for run in summary["runs"]]
    runs: dict[int | None, list[Run]] = {}
    for key in sorted(keys, key=lambda key: key.order):
        runs.setdefault(key.size, []).append(read_run(folder / key.folder_name))
    return _Side(folder, summary, {size: pool_runs(own) for size, own in runs.items()})


def _on_common(sides: Sequence[_Side]) -> tuple[list[_Side], tuple[str, ...]]:
    """Experiments on the utterances that all of them scored, and how many those are."""
    shared = set.intersection(*(set(side.pool.references) for side in sides))
    if not shared:
        raise _refused(sides[0], sides[1], "test utterances", "some in common", "none")
    most = max(len(side.pool.references) for side in sides)
    if most == len(shared):
        return list(sides), ()
    note = f"only the {len(shared):,} utterances that all of them scored, of at most {most:,}"
    return [_restricted(side, shared) for side in sides], (note,)


def _restricted(side: _Side, ids: set[str]) -> _Side:
    """A side on some utterances; sizes that scored none of them are left out."""
    kept = {
        size: [run for run in (_only(run, ids) for run in pool.runs) if run.predictions.ids]
        for size, pool in side.by_size.items()
    }
    return replace(side, by_size={size: pool_runs(own) for size, own in kept.items() if own})


def _only(run: Run, ids: set[str]) -> Run:
    said = run.predictions
    kept = [row for row, name in enumerate(said.ids) if name in ids]
    return replace(
        run,
        predictions=replace(
            said,
            ids=tuple(said.ids[row] for row in kept),
            speakers=tuple(said.speakers[row] for row in kept),
            references=said.references[kept],
            outcomes=said.outcomes[kept],
            probabilities=None if said.probabilities is None else said.probabilities[kept],
        ),
    )


def _refused(
    a: _Side, b: _Side, what: str, one: str, other: str, way_out: str = "run one of them again"
) -> DataError:
    return DataError(
        b.folder,
        expected=f"the {what} of {a.folder.name} ({one})",
        got=other,
        fix=f"compare experiments that were scored alike, or {way_out}",
    )


def _check_alike(a: _Side, b: _Side) -> None:
    for key in ("protocol", "kind", "family", "classes"):
        one, other = a.summary[key], b.summary[key]
        if one != other:
            raise _refused(a, b, key, str(one), str(other))


def _check_same_test(side_a: _Side, side_b: _Side) -> None:
    a, b = side_a.pool, side_b.pool
    extra = sorted(set(b.references) - set(a.references))
    lacking = sorted(set(a.references) - set(b.references))
    if extra or lacking:
        parts = [
            f"{len(ids)} {word}: {first_ids(ids)}"
            for word, ids in (("more", extra), ("fewer", lacking))
            if ids
        ]
        raise _refused(
            side_a,
            side_b,
            "test utterances",
            str(len(a.references)),
            "; ".join(parts),
            "compare what they share with --common",
        )
    for what, one, other in (
        ("labels", a.references, b.references),
        ("speakers", a.speakers, b.speakers),
    ):
        changed = sorted(name for name in one if one[name] != other[name])
        if changed:
            raise _refused(
                side_a, side_b, what, f"{len(one)} utterances", f"others for {first_ids(changed)}"
            )


def _notes(a: Mapping[str, Any], b: Mapping[str, Any], *, has_runs: bool) -> tuple[str, ...]:
    notes = [*notes_of(a), *notes_of(b)]
    if a["data_sha256"] != b["data_sha256"]:
        notes.append("the data behind them differ (texts, word times, audio or training parts)")
    if a["size"] != b["size"]:
        sizes = f"{size_name(a['size'])} and {size_name(b['size'])}"
        notes.append(f"their training sizes differ: {sizes} utterances")
    if not has_runs:
        notes.append("no permutation over runs: their folds hold different utterances")
    return tuple(notes)
