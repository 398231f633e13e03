"""Could a difference be chance? Permutation tests of two systems on the same test utterances.

Both ask how often a difference as large comes about when names are dealt out at random, for if the
systems were alike, the names would mean nothing (P. Good, "Permutation, Parametric and Bootstrap
Tests of Hypotheses", 2005, chapters 3 and 5; the same idea over texts is E. Noreen's approximate
randomization, 1989).

- :func:`speaker_test` swaps the names of the two systems for whole speakers, with all their
  utterances in all folds and seeds: would the difference be there with other speakers?
- :func:`run_test` deals the names out anew among the runs of each fold: would it be there if both
  were trained again?

All arrangements are counted where they are not too many, so that the level is exact; else random
ones, with the one that was found among them. The difference is two-sided.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, product
from typing import TypeVar

import numpy as np

from sermm.metrics import FloatArray, Metric, NumberArray

K = TypeVar("K", bound=Hashable)
NUM_ARRANGEMENTS = 10_000
_AT_ONCE = 1_000
_ROUNDING = 1e-12  # differences that are equal but for the order of their sums


@dataclass(frozen=True)
class Permutation:
    """What a test found.

    Attributes:
        p: Share of the arrangements with a difference at least as large; NaN where the difference
            is undefined.
        least: The smallest that could have come out, however large the difference.
        num_arrangements: How many were counted.
        is_exact: Whether they are all there are.
    """

    p: float
    least: float
    num_arrangements: int
    is_exact: bool


def speaker_test(
    sums_a: NumberArray,
    sums_b: NumberArray,
    metrics: Mapping[K, Metric],
    num_arrangements: int = NUM_ARRANGEMENTS,
    seed: int = 0,
) -> dict[K, Permutation]:
    """Swap the systems for whole speakers.

    Args:
        sums_a: (S, ...), from ``statistics.cluster_sums``.
        sums_b: (S, ...) of the same clusters in the same order.
        metrics: By any name; each takes (..., *shape of a sum) and returns (...).
        num_arrangements: At most so many; 2 ** (S - 1) are different.
        seed: The same seed gives the same arrangements.

    Raises:
        ValueError: The shapes differ.
    """
    a, b = (np.asarray(sums, dtype=np.float64) for sums in (sums_a, sums_b))
    if a.shape != b.shape or not len(a):
        raise ValueError(f"expected the same clusters, got {a.shape} and {b.shape}")
    change = (b - a).reshape(len(a), -1)

    def dealt(swaps: FloatArray) -> tuple[FloatArray, FloatArray]:
        moved = (swaps @ change).reshape(-1, *a.shape[1:])
        return a.sum(axis=0) + moved, b.sum(axis=0) - moved

    # swapping everybody turns the sign alone, so the first speaker may stay
    others = len(a) - 1
    is_exact = 2**others <= num_arrangements
    if is_exact:
        rows: Iterator[tuple[int, ...]] = product((0, 1), repeat=others)
        blocks = (np.array([(0, *row) for row in block]) for block in _blocks(rows))
    else:
        generator = np.random.default_rng(seed)
        blocks = (generator.integers(0, 2, (size, len(a))) for size in _sizes(num_arrangements - 1))
    return _count(map(dealt, blocks), dealt(np.zeros((1, len(a)))), metrics, is_exact=is_exact)


def run_test(
    folds_a: Sequence[NumberArray],
    folds_b: Sequence[NumberArray],
    metrics: Mapping[K, Metric],
    num_arrangements: int = NUM_ARRANGEMENTS,
    seed: int = 0,
) -> dict[K, Permutation]:
    """Deal the names of the systems out anew among the runs (seeds) of each fold.

    Args:
        folds_a: For each fold (R, ...), the sums over all its test utterances in each run of A.
        folds_b: The same of B, folds in the same order; R may differ.
        metrics: By any name; each takes (..., *shape of a sum) and returns (...).
        num_arrangements: At most so many.
        seed: The same seed gives the same arrangements.

    Raises:
        ValueError: The folds differ.
    """
    if len(folds_a) != len(folds_b) or not folds_a:
        raise ValueError(f"expected the same folds, got {len(folds_a)} and {len(folds_b)}")
    runs = [
        np.concatenate([a, b]).astype(np.float64) for a, b in zip(folds_a, folds_b, strict=True)
    ]
    sizes = [len(a) for a in folds_a]
    shape = runs[0].shape[1:]

    def dealt(names: Sequence[tuple[tuple[int, ...], ...]]) -> tuple[FloatArray, FloatArray]:
        """Fold by fold, the mean of the runs called A and that of the others."""
        ones = np.zeros((len(names), *shape))
        others = np.zeros_like(ones)
        for fold, (sums, size) in enumerate(zip(runs, sizes, strict=True)):
            is_a = np.zeros((len(names), len(sums)))
            is_a[np.arange(len(names))[:, None], [chosen[fold] for chosen in names]] = 1
            flat = sums.reshape(len(sums), -1)
            ones += (is_a @ flat / size).reshape(-1, *shape)
            others += ((1 - is_a) @ flat / (len(sums) - size)).reshape(-1, *shape)
        return ones, others

    choices = [list(combinations(range(len(s)), k)) for s, k in zip(runs, sizes, strict=True)]
    is_exact = math.prod(map(len, choices)) <= num_arrangements
    if is_exact:
        blocks: Iterator[Sequence[tuple[tuple[int, ...], ...]]] = _blocks(product(*choices))
    else:
        generator = np.random.default_rng(seed)
        blocks = (
            [tuple(own[generator.integers(len(own))] for own in choices) for _ in range(size)]
            for size in _sizes(num_arrangements - 1)
        )
    found = tuple(tuple(range(size)) for size in sizes)
    twins = all(2 * k == len(s) for s, k in zip(runs, sizes, strict=True))
    return _count(
        map(dealt, blocks), dealt([found]), metrics, is_exact=is_exact, least=2 if twins else 1
    )


def _count(
    dealt: Iterator[tuple[FloatArray, FloatArray]],
    found: tuple[FloatArray, FloatArray],
    metrics: Mapping[K, Metric],
    *,
    is_exact: bool,
    least: int = 1,
) -> dict[K, Permutation]:
    """How many arrangements differ as much as the found one; undefined differences count too."""
    sizes = {name: abs(float(_difference(metric, found)[0])) for name, metric in metrics.items()}
    reached = dict.fromkeys(metrics, 0 if is_exact else 1)
    total = 0 if is_exact else 1
    for pair in dealt:
        total += len(pair[0])
        for name, metric in metrics.items():
            smaller = np.abs(_difference(metric, pair)) < sizes[name] - _ROUNDING
            reached[name] += int(np.count_nonzero(~smaller))
    return {
        name: Permutation(
            reached[name] / total if math.isfinite(size) else math.nan,
            (least if is_exact else 1) / total,
            total,
            is_exact,
        )
        for name, size in sizes.items()
    }


def _difference(metric: Metric, pair: tuple[FloatArray, FloatArray]) -> FloatArray:
    return metric(pair[0]) - metric(pair[1])


def _sizes(total: int) -> Iterator[int]:
    return (min(_AT_ONCE, total - start) for start in range(0, total, _AT_ONCE))


T = TypeVar("T")


def _blocks(rows: Iterator[T]) -> Iterator[list[T]]:
    while block := list(islice(rows, _AT_ONCE)):
        yield block


def holm(values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number; NaN stays, and is not counted.

    S. Holm, "A simple sequentially rejective multiple test procedure", 1979. The chance that any of
    those below 0.05 is a false alarm is then at most 0.05, whatever depends on what.
    """
    order = sorted((k for k, p in enumerate(values) if not math.isnan(p)), key=lambda k: values[k])
    adjusted = [math.nan] * len(values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * values[index]))
        adjusted[index] = highest
    return adjusted
