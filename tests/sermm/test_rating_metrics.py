"""Scores of ratings against scikit-learn, SciPy and the published definitions written out."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from benchmarks.parity_mult import GOLDEN
from benchmarks.parity_mult import ours as published_scores
from sermm.metrics import FloatArray
from sermm.rating_metrics import rating_contributions, rating_metrics
from sermm.scoring import find_scoring

SENTIMENT = find_scoring("regression", ("sentiment",), "sentiment")
EMOTIONS = ("happy", "sad", "anger")
INTENSITY = find_scoring("regression", EMOTIONS, "intensity")
RATING = find_scoring("regression", ("arousal", "valence"), "rating")

# zeros, halves (ties of rounding), the ends of the scale and what lies beyond
ODD = [-4.5, -3.5, -3.0, -2.5, -1.5, -0.5, -0.0, 0.0, 0.5, 1.0, 1.5, 2.5, 3.0, 3.5, 4.5]
values = st.one_of(st.sampled_from(ODD), st.floats(-4, 4, allow_nan=False, width=32))
pairs = st.lists(st.tuples(values, values), min_size=2, max_size=40)


def scored(
    references: FloatArray, outcomes: FloatArray, scoring: object = SENTIMENT
) -> dict[str, float]:
    assert isinstance(scoring, type(SENTIMENT))
    return scoring.scores(scoring.contributions(references, outcomes).sum(axis=0))


def half_even(value: float) -> int:
    """Round as Python does, which takes halves to the even neighbour."""
    return round(value)


def accuracy_of_levels(truth: list[float], said: list[float], low: int, high: int) -> float:
    def level(value: float) -> int:
        return half_even(min(max(value, low), high))

    return sum(level(t) == level(s) for t, s in zip(truth, said, strict=True)) / len(truth)


@given(pairs)
def test_sentiment_is_scored_as_published(rows: list[tuple[float, float]]) -> None:
    """Each definition from the head of the file, utterance by utterance and by scikit-learn."""
    truth, said = [t for t, _ in rows], [s for _, s in rows]
    found = scored(np.array(truth)[:, None], np.array(said)[:, None])

    assert found["mae"] == pytest.approx(reference.mean_absolute_error(truth, said))
    assert found["acc7"] == pytest.approx(accuracy_of_levels(truth, said, -3, 3))
    assert found["acc5"] == pytest.approx(accuracy_of_levels(truth, said, -2, 2))

    sides = [t >= 0 for t in truth], [s >= 0 for s in said]
    assert found["acc2_has0"] == pytest.approx(reference.accuracy_score(*sides))
    assert found["f1_has0"] == pytest.approx(
        reference.f1_score(*sides, average="weighted", zero_division=0)
    )
    kept = [(t > 0, s > 0) for t, s in rows if t != 0]
    if not kept:
        assert math.isnan(found["acc2_non0"])
        assert math.isnan(found["f1_non0"])
        return
    sides = [t for t, _ in kept], [s for _, s in kept]
    assert found["acc2_non0"] == pytest.approx(reference.accuracy_score(*sides))
    assert found["f1_non0"] == pytest.approx(
        reference.f1_score(*sides, average="weighted", zero_division=0)
    )


@given(pairs, st.floats(-100, 100))
def test_correlations_are_those_of_scipy_and_of_the_definition(
    rows: list[tuple[float, float]], offset: float
) -> None:
    x, y = np.array(rows, dtype=np.float64).T
    y = y + np.float64(np.float32(offset))
    found = scored(x[:, None], y[:, None])
    gap = (x.mean() - y.mean()) ** 2
    whole = x.var() + y.var() + gap
    if min(x.std(), y.std()) < 1e-3:  # next to nothing: constants have a test of their own
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.NearConstantInputWarning)
        expected = stats.pearsonr(x, y).statistic
    assert found["pearson_r"] == pytest.approx(expected, abs=1e-6)
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    assert found["ccc"] == pytest.approx(2 * covariance / whole, abs=1e-6)


def test_a_constant_has_no_correlation() -> None:
    x = np.array([[0.1], [0.7], [2.3]])
    for constant in (0.0, 0.1, 1 / 3, 1e6 + 0.1):
        found = scored(x, np.full_like(x, constant))
        assert math.isnan(found["pearson_r"])
        assert found["ccc"] == 0
        other = scored(np.full_like(x, constant), x)
        assert math.isnan(other["pearson_r"])
    same = scored(np.full_like(x, 0.1), np.full_like(x, 0.1))
    assert math.isnan(same["pearson_r"])
    assert math.isnan(same["ccc"])
    assert (same["mae"], same["acc7"]) == (0, 1)


def test_a_zero_prediction_is_negative_without_zeros_and_not_with_them() -> None:
    truth, said = np.array([[1.0], [-1.0], [0.0]]), np.zeros((3, 1))
    found = scored(truth, said)
    assert found["acc2_non0"] == 1 / 2
    assert found["acc2_has0"] == pytest.approx(2 / 3)


def test_halves_go_to_the_even_neighbour() -> None:
    truth = np.array([[0.5], [1.5], [2.5], [-0.5], [3.5]])
    found = scored(truth, np.array([[0.0], [2.0], [2.0], [0.0], [3.0]]))
    assert found["acc7"] == 1


@given(st.integers(0, 2**32 - 1))
def test_intensities_are_scored_by_emotion_and_on_average(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth = np.round(generator.uniform(0, 3, (20, 3)) * 6) / 6
    said = truth + generator.normal(0, 1, truth.shape)
    said[::3] = np.round(said[::3] * 2) / 2
    found = scored(truth, said, INTENSITY)
    assert list(found) == [
        *("mae", "acc4"),
        *(f"{name}_{of}" for of in EMOTIONS for name in ("mae", "acc4")),
    ]
    for k, name in enumerate(EMOTIONS):
        own = truth[:, k].tolist(), said[:, k].tolist()
        assert found[f"mae_{name}"] == pytest.approx(reference.mean_absolute_error(*own))
        assert found[f"acc4_{name}"] == pytest.approx(accuracy_of_levels(*own, 0, 3))
    for name in ("mae", "acc4"):
        assert found[name] == pytest.approx(np.mean([found[f"{name}_{of}"] for of in EMOTIONS]))


def test_a_mean_over_ratings_is_undefined_if_one_of_them_is() -> None:
    generator = np.random.default_rng(0)
    truth, said = generator.normal(size=(2, 9, 2))
    found = scored(truth, said, RATING)
    assert found["ccc"] == pytest.approx((found["ccc_arousal"] + found["ccc_valence"]) / 2)
    said[:, 1] = 4
    given_up = scored(truth, said, RATING)
    assert math.isnan(given_up["pearson_r_valence"])
    assert math.isnan(given_up["pearson_r"])
    assert given_up["pearson_r_arousal"] == found["pearson_r_arousal"]


def test_one_rating_has_no_scores_of_its_own() -> None:
    assert set(rating_metrics(["valence"], "rating")) == {"mae", "pearson_r", "ccc"}
    assert not any(info.of for info in SENTIMENT.metrics.values())


@pytest.mark.parametrize("scoring", [SENTIMENT, INTENSITY, RATING], ids=lambda s: s.family)
def test_leading_axes_give_the_same_as_one_by_one(scoring: object) -> None:
    assert isinstance(scoring, type(SENTIMENT))
    generator = np.random.default_rng(1)
    shape = (5, len(scoring.names))
    sums = np.stack(
        [
            scoring.contributions(generator.normal(size=shape), generator.normal(size=shape)).sum(0)
            for _ in range(6)
        ]
    ).reshape(2, 3, len(scoring.names), -1)
    for info in scoring.metrics.values():
        together = info.function(sums)
        assert together.shape == (2, 3)
        for index in np.ndindex(2, 3):
            assert together[index] == pytest.approx(float(info.function(sums[index])))


def test_no_utterances_is_nan_and_not_a_warning() -> None:
    for scoring in (SENTIMENT, INTENSITY, RATING):
        empty = scoring.contributions(*np.zeros((2, 0, len(scoring.names)))).sum(axis=0)
        assert all(math.isnan(value) for value in scoring.scores(empty).values())


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(N, T\), got \(3,\) and \(3,\)"):
        rating_contributions(np.zeros(3), np.zeros(3), "rating")
    with pytest.raises(ValueError, match=r"got \(3, 1\) and \(3, 2\)"):
        rating_contributions(np.zeros((3, 1)), np.zeros((3, 2)), "rating")
    with pytest.raises(ValueError, match="one rating of sentiment, got a, b"):
        rating_metrics(["a", "b"], "sentiment")


def test_the_numbers_of_the_published_code() -> None:
    """Stored by ``python -m benchmarks.parity_mult --mult FILE --write-golden``."""
    cases = json.loads(GOLDEN.read_text())
    assert len(cases) == 11
    for case in cases:
        found = published_scores(np.array(case["truth"]), np.array(case["said"]))
        for name, expected in case["scores"].items():
            if name == "f1_as_published":
                continue  # its two arguments are exchanged there
            assert (None if math.isnan(found[name]) else found[name]) == (
                None if expected is None else pytest.approx(expected, abs=1e-12)
            ), (case["case"], name)
