"""Do intervals cover, and tests reject, as often as they say? Simulations with known truth.

    python -m benchmarks.coverage [--trials 1000] [--name coverage]

A population of speakers is made up: each has a share of right answers of its own in each of four
classes, from a normal distribution on the log-odds scale. Its UA is known from 200,000 of them.
Then a few speakers are drawn again and again, as if a corpus were recorded anew, and each time the
interval is made, or two systems are compared. Writes ``benchmarks/results/NAME.{json,md}``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.special import expit

from benchmarks.record import RESULTS
from data_modules.atomic import write_json, write_text
from sermm import metrics
from sermm.metrics import FloatArray, Metric, Range
from sermm.permutation import run_test, speaker_test
from sermm.statistics import cluster_bootstraps, paired_cluster_bootstraps

SPEAKERS = (4, 6, 8, 10, 16, 24)
UTTERANCES = (20, 12, 8, 5)  # of each class, of each speaker
NUM_KNOWN = 200_000
DRAWS = 2_000
Population = Callable[[np.random.Generator, int], FloatArray]


def confusions(
    generator: np.random.Generator, shares: FloatArray, counts: FloatArray
) -> FloatArray:
    """Confusion matrices of speakers (S, C, C).

    Args:
        generator: Of the chance.
        shares: (S, C) chance of a right answer.
        counts: (S, C) utterances.
    """
    num_classes = shares.shape[1]
    right = generator.binomial(counts.astype(int), shares)
    found = np.zeros((len(shares), num_classes, num_classes))
    for index in range(num_classes):
        others = [other for other in range(num_classes) if other != index]
        found[:, index, index] = right[:, index]
        found[:, index, others] = generator.multinomial(
            counts[:, index].astype(int) - right[:, index], np.full(len(others), 1 / len(others))
        )
    return found


def _speakers(level: float, *, uneven: bool) -> Population:
    def draw(generator: np.random.Generator, count: int) -> FloatArray:
        effect = generator.normal(0, 0.7, (count, 1)) + generator.normal(0, 0.7, (count, 4))
        size = np.exp(generator.normal(0, 0.6, (count, 1))) if uneven else np.ones((count, 1))
        counts = np.maximum(1, np.round(size * np.array(UTTERANCES)))
        return confusions(generator, expit(level + effect), counts)

    return draw


POPULATIONS: dict[str, Population] = {
    "UA near 0.65": _speakers(0.7, uneven=False),
    "UA near 0.65, uneven speakers": _speakers(0.7, uneven=True),
    "UA near 0.93": _speakers(3.0, uneven=False),
}


def pairs(gain: float) -> Population:
    """Two systems that share what is hard about a speaker (S, 2, C, C), the first the better."""

    def draw(generator: np.random.Generator, count: int) -> FloatArray:
        shared = 0.7 + generator.normal(0, 0.9, (count, 4))
        own = generator.normal(0, 0.4, (2, count, 4))
        counts = np.tile(UTTERANCES, (count, 1)).astype(float)
        systems = (shared + gain + own[0], shared + own[1])
        return np.stack([confusions(generator, expit(one), counts) for one in systems], axis=1)

    return draw


def utterances_of(sums: FloatArray) -> FloatArray:
    """The same utterances, each for itself: what an interval over utterances resamples."""
    total = sums.sum(axis=0).astype(int)
    return np.repeat(np.eye(total.size).reshape(-1, *total.shape), total.ravel(), axis=0)


def covered(
    population: Population, num_speakers: int, trials: int, metric: Metric = metrics.ua
) -> float:
    """Share of the corpora whose 95 % interval over speakers holds the truth."""
    return _share(population, num_speakers, trials, metric, lambda sums: sums)


def covered_over_utterances(population: Population, num_speakers: int, trials: int) -> float:
    """The same where utterances are resampled."""
    return _share(population, num_speakers, trials, metrics.ua, utterances_of)


def _share(
    population: Population,
    num_speakers: int,
    trials: int,
    metric: Metric,
    clusters: Callable[[FloatArray], FloatArray],
    ends: Range = (0.0, 1.0),
) -> float:
    generator = np.random.default_rng(num_speakers)
    truth = float(metric(population(generator, NUM_KNOWN).sum(axis=0)))
    hits = 0
    for trial in range(trials):
        sums = clusters(population(generator, num_speakers))
        interval = cluster_bootstraps(sums, {0: metric}, DRAWS, trial, ranges={0: ends})[0]
        hits += not interval.excludes(truth)
    return hits / trials


def compared(gain: float, num_speakers: int, trials: int) -> dict[str, float]:
    """How often the interval of two systems covers and excludes zero, and p <= 0.05."""
    generator = np.random.default_rng([num_speakers, round(10 * gain)])
    draw = pairs(gain)
    known = metrics.ua(draw(generator, NUM_KNOWN).sum(axis=0))
    truth = float(known[0] - known[1])
    counts = {"covers": 0, "excludes zero": 0, "p <= 0.05": 0}
    for trial in range(trials):
        both = draw(generator, num_speakers)
        systems = both[:, 0], both[:, 1]
        interval = paired_cluster_bootstraps(*systems, {0: metrics.ua}, DRAWS, trial)[0]
        test = speaker_test(*systems, {0: metrics.ua}, DRAWS, trial)[0]
        counts["covers"] += not interval.excludes(truth)
        counts["excludes zero"] += interval.excludes(0.0)
        counts["p <= 0.05"] += test.p <= 0.05
    return {"truth": truth, **{name: count / trials for name, count in counts.items()}}


def trained_again(num_folds: int, num_seeds: int, trials: int, gain: float = 0.0) -> float:
    """How often the permutation over folds and seeds has p <= 0.05.

    Runs of one fold differ by the chance of training alone, and by ``gain``.
    """
    generator = np.random.default_rng([num_folds, num_seeds])
    rejected = 0
    for _ in range(trials):
        hard = 0.7 + generator.normal(0, 0.7, (num_folds, 1, 1))
        # (folds, systems and seeds, classes)
        odds = hard + generator.normal(0, 0.3, (num_folds, 2 * num_seeds, 4))
        odds[:, :num_seeds] += gain
        counts = np.tile(UTTERANCES, (2 * num_seeds, 1)) * 4.0
        folds = [confusions(generator, expit(fold), counts) for fold in odds]
        one, other = (
            [fold[part] for fold in folds] for part in (slice(num_seeds), slice(num_seeds, None))
        )
        rejected += run_test(one, other, {0: metrics.ua}, DRAWS)[0].p <= 0.05
    return rejected / trials


def measure(trials: int, speakers: Sequence[int] = SPEAKERS) -> dict[str, Any]:
    """Everything."""
    return {
        "trials": trials,
        "draws": DRAWS,
        "coverage": {
            name: {str(count): covered(population, count, trials) for count in speakers}
            for name, population in POPULATIONS.items()
        },
        "over utterances": {
            name: {
                str(count): covered_over_utterances(population, count, max(1, trials // 5))
                for count in speakers
            }
            for name, population in list(POPULATIONS.items())[:1]
        },
        "compared": {
            f"{gain:g}": {str(count): compared(gain, count, trials) for count in speakers}
            for gain in (0.0, 0.5)
        },
        "trained again": {
            f"{folds} folds, {seeds} seeds each": trained_again(folds, seeds, trials)
            for folds, seeds in ((5, 3), (10, 1), (1, 5))
        },
    }


def _table(first: str, columns: Sequence[str], rows: dict[str, dict[str, float]]) -> list[str]:
    lines = [f"| {first} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        f"| {name} | {' | '.join(f'{100 * row[column]:.1f}' for column in columns)} |"
        for name, row in rows.items()
    ]
    return [*lines, ""]


def to_markdown(report: dict[str, Any]) -> str:
    """The tables in ``benchmarks/results``."""
    speakers = list(next(iter(report["coverage"].values())))
    equal, better = report["compared"]["0"], report["compared"]["0.5"]
    truth = next(iter(better.values()))["truth"]

    def of(found: dict[str, dict[str, float]], key: str) -> dict[str, float]:
        return {count: row[key] for count, row in found.items()}

    lines = [
        "# Intervals and tests, by simulation",
        "",
        f"`python -m benchmarks.coverage`, {report['date']}, {report['machine']}. "
        f"{report['trials']:,} corpora for each figure (a fifth of them over utterances), "
        f"{report['draws']:,} bootstrap draws each; all figures in per cent. Chance alone moves a "
        "figure of 95 over 1,000 corpora by 1.4 either way.",
        "",
        "## How often the 95 % interval of UA holds the truth, by number of speakers",
        "",
        *_table(
            "population",
            speakers,
            {
                **report["coverage"],
                "the first, resampling utterances": next(iter(report["over utterances"].values())),
            },
        ),
        "## Two systems on the same utterances, by number of speakers",
        "",
        "With 4 and 5 speakers no p can be below 0.125 and 0.0625.",
        "",
        *_table(
            "",
            speakers,
            {
                "no difference: interval holds 0": of(equal, "covers"),
                "no difference: interval excludes 0": of(equal, "excludes zero"),
                "no difference: p <= 0.05": of(equal, "p <= 0.05"),
                f"UA better by {truth:.3f}: interval holds it": of(better, "covers"),
                f"UA better by {truth:.3f}: interval excludes 0": of(better, "excludes zero"),
                f"UA better by {truth:.3f}: p <= 0.05": of(better, "p <= 0.05"),
            },
        ),
        "## Permutation over folds and seeds, no difference",
        "",
        *_table(
            "runs", ["p <= 0.05"], {k: {"p <= 0.05": v} for k, v in report["trained again"].items()}
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--name", default="coverage")
    arguments = parser.parse_args()
    report = measure(arguments.trials)
    report["date"] = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    report["machine"] = f"{platform.system()} {platform.machine()}, numpy {np.__version__}"
    write_json(RESULTS / f"{arguments.name}.json", report)
    write_text(RESULTS / f"{arguments.name}.md", to_markdown(report))
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
