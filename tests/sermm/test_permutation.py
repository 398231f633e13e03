from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sermm import metrics
from sermm.metrics import FloatArray
from sermm.permutation import holm, run_test, speaker_test


def mean(sums: FloatArray) -> FloatArray:
    return sums[..., 0] / sums[..., 1]


def counted(values: FloatArray) -> FloatArray:
    """One utterance a speaker (or run) with a value."""
    return np.stack([values, np.ones_like(values)], axis=-1)


def test_swapping_speakers_is_scipys_paired_permutation() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(0.4, 1, 9), generator.normal(0, 1, 9)
    ours = speaker_test(counted(a), counted(b), {"mean": mean})["mean"]
    theirs = stats.permutation_test(
        (a, b), lambda x, y: x.mean() - y.mean(), permutation_type="samples", n_resamples=np.inf
    )
    assert ours.is_exact
    assert ours.num_arrangements == 2**8
    assert ours.p == pytest.approx(theirs.pvalue)
    assert ours.least == 1 / 2**8


def test_every_swap_of_speakers_by_hand_with_a_score_that_is_not_linear() -> None:
    generator = np.random.default_rng(1)
    a, b = (generator.integers(0, 9, (5, 3, 3)).astype(float) for _ in range(2))
    found = speaker_test(a, b, {"f1": metrics.macro_f1})["f1"]
    seen = abs(metrics.macro_f1(a.sum(0)) - metrics.macro_f1(b.sum(0)))
    as_large = 0
    for swap in product((0, 1), repeat=5):
        chosen = np.array(swap)[:, None, None]
        one, other = np.where(chosen, b, a).sum(0), np.where(chosen, a, b).sum(0)
        as_large += abs(metrics.macro_f1(one) - metrics.macro_f1(other)) >= seen - 1e-12
    assert found.p == pytest.approx(as_large / 32)


def test_many_speakers_are_swapped_at_random_and_the_seed_decides() -> None:
    generator = np.random.default_rng(2)
    a = generator.normal(0.3, 1, 40)
    b = generator.normal(0, 1, 40)
    first, again, other = (
        speaker_test(counted(a), counted(b), {"mean": mean}, 2_500, seed)["mean"]
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first.num_arrangements == 2_500
    assert not first.is_exact
    assert first.least == 1 / 2_500
    assert first.p != other.p
    # the t test of the differences says nearly the same
    assert first.p == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.03)


def test_names_are_dealt_out_within_a_fold_by_hand() -> None:
    """Two folds with two runs of A and one of B: 3 times 3 arrangements."""
    a = [np.array([0.9, 0.7]), np.array([0.6, 0.8])]
    b = [np.array([0.4]), np.array([0.75])]
    found = run_test([counted(x) for x in a], [counted(x) for x in b], {"mean": mean})["mean"]
    runs = [np.concatenate(pair) for pair in zip(a, b, strict=True)]
    differences = [
        np.mean([(own.sum() - own[k]) / 2 - own[k] for own, k in zip(runs, lone, strict=True)])
        for lone in product(range(3), repeat=2)
    ]
    seen = np.mean([0.8 - 0.4, 0.7 - 0.75])
    expected = np.mean(np.abs(differences) >= seen - 1e-12)
    assert found.p == pytest.approx(expected)
    assert (found.num_arrangements, found.is_exact, found.least) == (9, True, 1 / 9)


def test_one_seed_and_five_folds_cannot_be_significant() -> None:
    a, b = np.full((5, 1), 0.9), np.full((5, 1), 0.1)
    found = run_test(list(counted(a)), list(counted(b)), {"mean": mean})["mean"]
    assert (found.p, found.least) == (2 / 32, 2 / 32)


def test_many_runs_are_dealt_out_at_random() -> None:
    generator = np.random.default_rng(4)
    folds = [counted(generator.normal(0, 1, 10)) for _ in range(4)]
    found = run_test([f[:5] for f in folds], [f[5:] for f in folds], {"mean": mean}, 1_200)["mean"]
    assert (found.num_arrangements, found.is_exact) == (1_200, False)
    assert 0.05 < found.p <= 1


def test_a_system_does_not_differ_from_itself() -> None:
    a = counted(np.random.default_rng(5).normal(0, 1, 6))
    assert speaker_test(a, a, {"mean": mean})["mean"].p == 1
    assert run_test([a], [a], {"mean": mean})["mean"].p == 1


def test_an_undefined_difference_has_no_p_and_an_undefined_arrangement_counts_as_large() -> None:
    nothing = np.zeros((4, 2))
    with np.errstate(invalid="ignore"):
        assert np.isnan(speaker_test(nothing, nothing, {"mean": mean})["mean"].p)
        # without speaker 0 of A nothing is left to divide by: half of the arrangements
        a = np.array([[3.0, 2.0], [0, 0], [0, 0]])
        b = np.array([[0.0, 0.0], [1.0, 4.0], [0, 0]])
        assert speaker_test(a, b, {"mean": mean})["mean"].p == 1


def test_other_clusters_and_folds_are_refused() -> None:
    with pytest.raises(ValueError, match="same clusters"):
        speaker_test(np.ones((3, 2)), np.ones((4, 2)), {"mean": mean})
    with pytest.raises(ValueError, match="same folds"):
        run_test([np.ones((1, 2))], [], {"mean": mean})


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    adjusted = holm([np.nan, 0.02])
    assert np.isnan(adjusted[0])
    assert adjusted[1] == 0.02
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_adjusting_keeps_the_order_and_never_helps(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(p <= a <= 1 for p, a in zip(values, adjusted, strict=True))
    pairs = sorted(zip(values, adjusted, strict=True))
    assert [a for _, a in pairs] == sorted(adjusted)
