from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from sermm import metrics
from sermm.metrics import FloatArray, Metric, NumberArray, class_contributions
from sermm.statistics import (
    Interval,
    around,
    cluster_bootstrap,
    cluster_bootstraps,
    cluster_sums,
    paired_cluster_bootstraps,
    students_quantile,
)

LABELS = np.array([0, 0, 1, 1, 2, 0])
PREDICTED = np.array([0, 1, 1, 1, 0, 0])
SPEAKERS = ["b", "a", "b", "a", "a", "a"]


def paired_bootstrap(a: NumberArray, b: NumberArray, metric: Metric, **options: int) -> Interval:
    return paired_cluster_bootstraps(a, b, {"it": metric}, **options)["it"]


def _logistic(values: FloatArray) -> FloatArray:
    return 1 / (1 + np.exp(-values))


def speakers_of(
    generator: np.random.Generator, recall: FloatArray, utterances: tuple[int, ...]
) -> FloatArray:
    """Confusion matrices (S, C, C) of speakers with the given recall (S, C) of each class.

    Every speaker has about as many utterances as ``utterances`` says; wrong ones go to the next
    class.
    """
    count, num_classes = recall.shape
    totals = 1 + generator.poisson(utterances, (count, num_classes))
    hits = generator.binomial(totals, recall)
    classes = np.arange(num_classes)
    confusions = np.zeros((count, num_classes, num_classes))
    confusions[:, classes, classes] = hits
    confusions[:, classes, (classes + 1) % num_classes] = totals - hits
    return confusions


def test_sums_of_clusters_by_hand() -> None:
    confusions = cluster_sums(class_contributions(LABELS, PREDICTED, 3), SPEAKERS)
    np.testing.assert_array_equal(confusions[0], [[1, 1, 0], [0, 1, 0], [1, 0, 0]])  # a
    np.testing.assert_array_equal(confusions[1], [[1, 0, 0], [0, 1, 0], [0, 0, 0]])  # b
    np.testing.assert_array_equal(
        confusions.sum(axis=0), reference.confusion_matrix(LABELS, PREDICTED)
    )


def test_seeds_of_one_utterance_count_as_one_utterance() -> None:
    """Two seeds on two utterances: the pooled score is the mean of the seeds' scores."""
    labels = np.array([0, 1, 0, 1])
    predicted = np.array([0, 0, 0, 1])
    confusions = cluster_sums(
        class_contributions(labels, predicted, 2), ["x", "y", "x", "y"], np.full(4, 0.5)
    )
    assert confusions.sum() == 2
    assert metrics.ua(confusions.sum(axis=0)) == pytest.approx((0.5 + 1.0) / 2)


def test_shares_stand_for_a_predictor_that_draws() -> None:
    prior = np.array([0.5, 0.25, 0.25])
    confusions = cluster_sums(class_contributions(LABELS, np.tile(prior, (6, 1)), 3), SPEAKERS)
    np.testing.assert_allclose(confusions.sum(axis=0), np.outer([3, 2, 1], prior))
    assert metrics.ua(confusions.sum(axis=0)) == pytest.approx(1 / 3)


def test_sums_have_the_shape_of_what_is_summed() -> None:
    rows = np.arange(12.0).reshape(4, 3)
    sums = cluster_sums(rows, ["b", "a", "b", "a"], np.array([1, 2, 1, 2]))
    np.testing.assert_array_equal(sums, [2 * (rows[1] + rows[3]), rows[0] + rows[2]])
    assert cluster_sums(np.ones((2, 3, 4, 5)), ["a", "b"]).shape == (2, 3, 4, 5)


@pytest.mark.parametrize(("clusters", "weights"), [(["a"], None), (["a", "b"], np.ones(3))])
def test_a_cluster_and_a_weight_for_each_utterance(
    clusters: list[str], weights: FloatArray | None
) -> None:
    with pytest.raises(ValueError, match="a cluster and a weight for each of 2 utterances"):
        cluster_sums(np.ones((2, 3)), clusters, weights)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_students_quantile_is_scipys(level: float) -> None:
    for freedom in (1, 2, 5, 23, 250):
        expected = stats.t.ppf((1 + level) / 2, freedom)
        assert students_quantile(level, freedom) == pytest.approx(expected, rel=1e-9)


def test_the_interval_of_a_mean_is_students() -> None:
    """One utterance a speaker and a score without ends: what every textbook has."""
    values = np.random.default_rng(3).normal(2.0, 1.5, 30)
    sums = np.stack([values, np.ones(30)], axis=1)
    ours = cluster_bootstrap(sums, lambda total: total[..., 0] / total[..., 1], num_draws=40_000)
    low, high = stats.t.interval(0.95, 29, values.mean(), stats.sem(values))
    assert ours.estimate == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.01)


@given(st.floats(0.001, 0.999), st.floats(0, 0.5), st.sampled_from([(0, 1), (-1, 1), (0, np.inf)]))
def test_an_interval_never_leaves_the_range_of_its_score(
    place: float, error: float, ends: tuple[float, float]
) -> None:
    low, high = ends
    estimate = low + place * (min(high, 1.0) - low)
    below, above = around(estimate, error, 2.3, ends)
    assert low <= below <= estimate + 1e-12
    assert estimate - 1e-12 <= above <= high
    wider = around(estimate, 2 * error, 2.3, ends)
    assert wider[0] <= below + 1e-12
    assert wider[1] >= above - 1e-12


def test_scales_without_ends_are_log_odds_and_logarithms() -> None:
    """By hand: 0.8 has odds of 4, and a standard error of 0.04 is 0.25 in log-odds there."""
    low, high = around(0.8, 0.04, 2.0, (0.0, 1.0))
    odds = 4 * np.exp([-0.5, 0.5])
    assert (low, high) == pytest.approx(tuple(odds / (1 + odds)))
    fisher = np.tanh(np.arctanh(0.6) + np.array([-1, 1]) * 2 * 0.05 / (1 - 0.6**2))
    assert around(0.6, 0.05, 2.0, (-1.0, 1.0)) == pytest.approx(tuple(fisher))
    assert around(0.5, 0.1, 2.0, (0.0, np.inf)) == pytest.approx(
        (0.5 * np.exp(-0.4), 0.5 * np.exp(0.4))
    )
    assert around(0.5, 0.1, 2.0, metrics.UNBOUNDED) == pytest.approx((0.3, 0.7))
    assert around(1.0, 0.0, 2.0, (0.0, 1.0)) == (1.0, 1.0)


def test_equal_input_gives_equal_intervals_and_the_seed_matters() -> None:
    confusions = speakers_of(
        np.random.default_rng(0), np.random.default_rng(1).random((9, 4)), (9, 7, 5, 5)
    )
    first = cluster_bootstrap(confusions, metrics.ua, num_draws=1500)
    assert first == cluster_bootstrap(confusions.copy(), metrics.ua, num_draws=1500)
    assert first != cluster_bootstrap(confusions, metrics.ua, num_draws=1500, seed=1)
    assert first.low < first.estimate < first.high
    wider = cluster_bootstrap(confusions, metrics.ua, num_draws=1500, level=0.99)
    assert wider.low < first.low
    assert wider.high > first.high


@pytest.mark.parametrize("num_speakers", [1, 2])
def test_one_or_two_speakers_have_a_score_and_no_interval(num_speakers: int) -> None:
    sums = np.array([np.eye(3), np.eye(3)[::-1]])[:num_speakers]
    for interval in (
        cluster_bootstrap(sums, metrics.wa),
        paired_bootstrap(sums, np.zeros_like(sums) + 1, metrics.wa),
    ):
        assert np.isfinite(interval.estimate)
        assert np.isnan([interval.low, interval.high, interval.error]).all()
        assert interval.num_clusters == num_speakers
        assert not interval.excludes(5.0)
    assert cluster_bootstrap(np.concatenate([sums, sums, sums]), metrics.wa).is_known


@given(st.integers(0, 2**32 - 1), st.integers(3, 12))
def test_the_difference_is_antisymmetric_and_zero_for_the_same_system(
    seed: int, num_speakers: int
) -> None:
    generator = np.random.default_rng(seed)
    a = generator.integers(0, 9, (num_speakers, 3, 3)) + np.eye(3)
    b = generator.integers(0, 9, (num_speakers, 3, 3)) + np.eye(3)
    forth = paired_bootstrap(a, b, metrics.macro_f1, num_draws=200)
    back = paired_bootstrap(b, a, metrics.macro_f1, num_draws=200)
    assert forth.estimate == pytest.approx(-back.estimate)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
    same = paired_bootstrap(a, a, metrics.ua, num_draws=200)
    assert (same.estimate, same.low, same.high) == (0, 0, 0)


def test_pairing_uses_that_the_speakers_are_the_same() -> None:
    """B is A with one more hit per speaker: the gain is sure though the speakers differ widely."""
    a = np.zeros((8, 2, 2))
    a[:, 0, 0], a[:, 0, 1] = np.arange(8), 20 - np.arange(8)
    b = a.copy()
    b[:, 0, 0] += 1
    b[:, 0, 1] -= 1
    gain = paired_bootstrap(b, a, metrics.wa)
    assert (gain.low, gain.high) == pytest.approx((0.05, 0.05))
    alone = cluster_bootstrap(a, metrics.wa)
    assert alone.high - alone.low > 0.1


def test_several_scores_at_once_are_those_of_one_at_a_time() -> None:
    generator = np.random.default_rng(2)
    a = generator.integers(0, 9, (7, 3, 3)).astype(float)
    b = generator.integers(0, 9, (7, 3, 3)).astype(float)
    functions = {name: info.function for name, info in metrics.CLASS_METRICS.items()}
    together = cluster_bootstraps(a, functions, num_draws=1200)
    pairs = paired_cluster_bootstraps(a, b, functions, num_draws=1200)
    for name, function in functions.items():
        assert together[name] == cluster_bootstrap(a, function, num_draws=1200)
        assert pairs[name] == paired_bootstrap(a, b, function, num_draws=1200)
        assert pairs[name].estimate == pytest.approx(
            float(function(a.sum(axis=0)) - function(b.sum(axis=0)))
        )


def share_of_shown(sums: NumberArray) -> FloatArray:
    """Right ones among those that count; (..., 2) -> (...), NaN where nothing counts."""
    return metrics.share(sums[..., 0], sums[..., 1])


def test_where_many_draws_have_no_score_there_is_no_interval() -> None:
    """Few speakers show what is counted, so some draws hold none of them."""
    for num_showing, known in ((12, True), (4, True), (2, False)):
        sums = np.zeros((12, 2))
        sums[:num_showing] = [[1.0 + k % 3, 4.0] for k in range(num_showing)]
        interval = cluster_bootstrap(sums, share_of_shown)
        assert interval.estimate == pytest.approx(sums[:, 0].sum() / sums[:, 1].sum())
        assert interval.is_known == known
        # none of four is in (8/12)^12 = 0.8 % of the draws, none of two in 11 %
        assert ((1 - num_showing / 12) ** 12 < 0.025) == known


def test_an_undefined_score_has_no_interval() -> None:
    interval = cluster_bootstrap(np.zeros((5, 2)), share_of_shown)
    assert np.isnan(interval.estimate)
    assert not interval.is_known


def test_different_speakers_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="same clusters"):
        paired_bootstrap(np.ones((3, 2, 2)), np.ones((4, 2, 2)), metrics.ua)
    with pytest.raises(ValueError, match="level between 0 and 1"):
        cluster_bootstrap(np.ones((3, 2, 2)), metrics.ua, level=95)
    with pytest.raises(ValueError, match="at least one cluster"):
        cluster_bootstrap(np.ones((0, 2, 2)), metrics.ua)
