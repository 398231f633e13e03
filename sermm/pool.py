"""Several runs as one table of test utterances, in which each utterance weighs one.

Folds score different utterances, seeds the same ones again. A row is one utterance in one run; its
weight is one over the number of runs that scored it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from data_modules.errors import DataError
from sermm.metrics import FloatArray, NumberArray
from sermm.results import Run
from sermm.scoring import Scoring
from sermm.statistics import cluster_sums

# What a run says of its N test utterances, as ``Scoring.contributions`` takes it.
Outcome = Callable[[Run], NumberArray]


def model_outcome(run: Run) -> NumberArray:
    """What the model predicted."""
    return run.predictions.outcomes


def condition_outcome(condition: str) -> Outcome:
    """What the model predicted where it had to do without something."""
    return lambda run: run.conditions[condition].outcomes


@dataclass(frozen=True, eq=False)
class Pool:
    """Runs of one training size on one corpus.

    Attributes:
        runs: The runs.
        scoring: Their scores.
        references: Utterance id to class index, ratings or labels.
        speakers: Utterance id to speaker, empty where the corpus does not say.
    """

    runs: tuple[Run, ...]
    scoring: Scoring
    references: dict[str, object]
    speakers: dict[str, str]

    def sums(self, outcome: Outcome = model_outcome) -> FloatArray:
        """Sums of each cluster (S, ...), in the order of :meth:`clusters`."""
        place = {name: index for index, name in enumerate(self.clusters())}
        total: FloatArray | None = None
        # a run at a time: contributions of all of them at once may be large
        for run, weights in zip(self.runs, self.weights(), strict=True):
            said = run.predictions
            added = cluster_sums(
                self.scoring.contributions(said.references, outcome(run)), said.clusters, weights
            )
            if total is None:
                total = np.zeros((len(place), *added.shape[1:]))
            total[[place[name] for name in sorted(set(said.clusters))]] += added
        assert total is not None
        return total

    def weights(self) -> list[FloatArray]:
        """Weight of each utterance in each run, (N,) a run."""
        times = Counter(name for run in self.runs for name in run.predictions.ids)
        return [np.array([1 / times[name] for name in run.predictions.ids]) for run in self.runs]

    def clusters(self) -> list[str]:
        """What is resampled, sorted: speakers, and utterances whose speaker nobody names."""
        return sorted({name for run in self.runs for name in run.predictions.clusters})


def pool_runs(runs: Sequence[Run]) -> Pool:
    """Put runs together.

    Raises:
        DataError: Two runs disagree on kind or names of the targets, on label or speaker of an
            utterance, or runs of one fold scored different utterances.
    """
    first = runs[0]
    references: dict[str, object] = {}
    speakers: dict[str, str] = {}
    of_fold: dict[int, Run] = {}
    for run in runs:
        said = run.predictions
        for what in ("kind", "family", "classes"):
            expected, got = getattr(first.metrics, what), getattr(run.metrics, what)
            if got != expected:
                raise _differ(first, run, what, expected, got)
        twin = of_fold.setdefault(run.key.fold, run)
        if said.ids != twin.predictions.ids:
            other = sorted(set(said.ids) ^ set(twin.predictions.ids))
            raise _differ(
                twin, run, "test utterances in one fold", "the same", ", ".join(other[:5])
            )
        for name, label, speaker in zip(
            said.ids, map(_plain, said.references.tolist()), said.speakers, strict=True
        ):
            if references.setdefault(name, label) != label:
                raise _differ(first, run, f"label of {name}", references[name], label)
            if speakers.setdefault(name, speaker) != speaker:
                raise _differ(first, run, f"speaker of {name}", speakers[name], speaker)
    return Pool(tuple(runs), first.metrics.scoring, references, speakers)


def _plain(reference: object) -> object:
    return tuple(reference) if isinstance(reference, list) else reference


def _differ(first: Run, run: Run, what: str, expected: object, got: object) -> DataError:
    return DataError(
        run.folder,
        expected=f"the {what} of {first.folder.name} ({expected})",
        got=str(got),
        fix="remove the runs that were made from other data, and run the experiment again",
    )


def whole_seeds(pool: Pool) -> dict[int, Pool]:
    """The runs of each seed that finished every fold: seeds without one are not comparable."""
    folds = {run.key.fold for run in pool.runs}
    parts: dict[int, list[Run]] = {}
    for run in pool.runs:
        parts.setdefault(run.key.seed, []).append(run)
    return {
        seed: pool_runs(part) for seed, part in sorted(parts.items()) if len(part) == len(folds)
    }


def fold_sums(a: Pool, b: Pool) -> tuple[list[FloatArray], list[FloatArray]] | None:
    """Sums of each run by fold (R, ...); None where the folds are not the same utterances."""
    ids = [{run.key.fold: run.predictions.ids for run in pool.runs} for pool in (a, b)]
    if ids[0] != ids[1]:
        return None

    def sums(pool: Pool, fold: int) -> FloatArray:
        own = [run.predictions for run in pool.runs if run.key.fold == fold]
        return np.stack(
            [pool.scoring.contributions(p.references, p.outcomes).sum(axis=0) for p in own]
        )

    return [sums(a, fold) for fold in ids[0]], [sums(b, fold) for fold in ids[0]]
