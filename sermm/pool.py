"""Several runs as one table of test utterances, in which each utterance weighs one.

Folds score different utterances, seeds the same ones again. A row is one utterance in one run; its
weight is one over the number of runs that scored it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_modules.errors import DataError
from sermm.metrics import FloatArray
from sermm.results import Run
from sermm.statistics import cluster_confusions

# What a run says of its N test utterances: (N,) class indices or (N, C) shares of each class.
Outcome = Callable[[Run], npt.NDArray[np.float64] | npt.NDArray[np.int64]]


def model_outcome(run: Run) -> npt.NDArray[np.int64]:
    """What the model predicted."""
    return run.predictions.predicted


@dataclass(frozen=True, eq=False)
class Pool:
    """Runs of one training size on one corpus.

    Attributes:
        runs: The runs.
        classes: Their classes.
        labels: Utterance id to reference class index.
        speakers: Utterance id to speaker, empty where the corpus does not say.
    """

    runs: tuple[Run, ...]
    classes: tuple[str, ...]
    labels: dict[str, int]
    speakers: dict[str, str]

    def confusions(self, outcome: Outcome = model_outcome) -> FloatArray:
        """Confusion matrix of each cluster (S, C, C), in sorted order of :meth:`clusters`."""
        times = Counter(name for run in self.runs for name in run.predictions.ids)
        return cluster_confusions(
            np.concatenate([run.predictions.labels for run in self.runs]),
            np.concatenate([outcome(run) for run in self.runs]),
            [cluster for run in self.runs for cluster in run.predictions.clusters],
            len(self.classes),
            np.array([1 / times[name] for run in self.runs for name in run.predictions.ids]),
        )

    def clusters(self) -> list[str]:
        """What is resampled, sorted: speakers, and utterances whose speaker nobody names."""
        return sorted({name for run in self.runs for name in run.predictions.clusters})


def pool_runs(runs: Sequence[Run]) -> Pool:
    """Put runs together.

    Raises:
        DataError: Two runs disagree on classes, on label or speaker of an utterance, or runs of one
            fold scored different utterances.
    """
    first = runs[0]
    labels: dict[str, int] = {}
    speakers: dict[str, str] = {}
    of_fold: dict[int, Run] = {}
    for run in runs:
        said = run.predictions
        if said.classes != first.predictions.classes:
            raise _differ(first, run, "classes", first.predictions.classes, said.classes)
        twin = of_fold.setdefault(run.key.fold, run)
        if said.ids != twin.predictions.ids:
            other = sorted(set(said.ids) ^ set(twin.predictions.ids))
            raise _differ(
                twin, run, "test utterances in one fold", "the same", ", ".join(other[:5])
            )
        for name, label, speaker in zip(said.ids, said.labels.tolist(), said.speakers, strict=True):
            if labels.setdefault(name, label) != label:
                raise _differ(first, run, f"label of {name}", labels[name], label)
            if speakers.setdefault(name, speaker) != speaker:
                raise _differ(first, run, f"speaker of {name}", speakers[name], speaker)
    return Pool(tuple(runs), first.predictions.classes, labels, speakers)


def _differ(first: Run, run: Run, what: str, expected: object, got: object) -> DataError:
    return DataError(
        run.folder,
        expected=f"the {what} of {first.folder.name} ({expected})",
        got=str(got),
        fix="remove the runs that were made from other data, and run the experiment again",
    )
