"""Scores of several labels against scikit-learn and the published formula of weighted accuracy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as reference

from sermm.label_metrics import label_contributions
from sermm.scoring import find_scoring

NAMES = ("joy", "fear", "awe")
SCORING = find_scoring("multilabel", NAMES, "multilabel")

tables = st.integers(1, 30).flatmap(
    lambda count: st.tuples(*[arrays(np.int64, (count, 3), elements=st.integers(0, 1))] * 2)
)


def scored(references: np.ndarray, outcomes: np.ndarray) -> dict[str, float]:
    return SCORING.scores(SCORING.contributions(references, outcomes).sum(axis=0))


def agrees(found: float, expected: float) -> bool:
    return (math.isnan(found) and math.isnan(expected)) or found == pytest.approx(expected)


@given(tables)
def test_scikit_learn_agrees(case: tuple[np.ndarray, np.ndarray]) -> None:
    truth, said = case
    found = scored(truth, said)
    # labels that are neither true nor predicted anywhere take no part in a mean
    for average in ("macro", "micro"):
        expected = reference.f1_score(truth, said, average=average, zero_division=np.nan)
        assert agrees(found[f"{average}_f1"], expected)
    if truth.any():
        expected = reference.f1_score(truth, said, average="weighted", zero_division=0)
        assert found["weighted_f1"] == pytest.approx(expected)
    else:
        assert math.isnan(found["weighted_f1"])
    assert found["exact_match"] == pytest.approx(reference.accuracy_score(truth, said))
    assert found["acc"] == pytest.approx(1 - reference.hamming_loss(truth, said))
    for k, name in enumerate(NAMES):
        own = truth[:, k], said[:, k]
        assert agrees(found[f"f1_{name}"], reference.f1_score(*own, zero_division=np.nan))
        assert found[f"acc_{name}"] == pytest.approx(reference.accuracy_score(*own))
        both = reference.f1_score(*own, average="weighted", zero_division=0)
        assert found[f"wf1_{name}"] == pytest.approx(both)


@given(tables)
def test_weighted_accuracy_is_the_published_one(case: tuple[np.ndarray, np.ndarray]) -> None:
    truth, said = case
    found = scored(truth, said)
    defined = []
    for k, name in enumerate(NAMES):
        rows = list(zip(truth[:, k].tolist(), said[:, k].tolist(), strict=True))
        positives, negatives = sum(t for t, _ in rows), sum(1 - t for t, _ in rows)
        hits = sum(t == s == 1 for t, s in rows)
        rejections = sum(t == s == 0 for t, s in rows)
        if not positives or not negatives:
            assert math.isnan(found[f"wacc_{name}"])
            continue
        expected = (hits * negatives / positives + rejections) / (2 * negatives)
        assert found[f"wacc_{name}"] == pytest.approx(expected)
        defined.append(expected)
    assert agrees(found["wacc"], float(np.mean(defined)) if defined else math.nan)


def test_by_hand() -> None:
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0]])
    said = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0]])
    found = scored(truth, said)
    # joy: 2 of 3 found, 1 of 3 named wrongly; fear: 1 of 1, 1 wrongly; awe is never there
    assert found["f1_joy"] == pytest.approx(4 / 6)
    assert found["f1_fear"] == pytest.approx(2 / 3)
    assert math.isnan(found["f1_awe"])
    assert found["macro_f1"] == pytest.approx(2 / 3)
    assert found["wacc_joy"] == pytest.approx((2 / 3 + 0) / 2)
    assert found["wacc_fear"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["exact_match"] == 1 / 4
    assert found["acc"] == pytest.approx(9 / 12)


def test_a_predictor_that_draws_is_scored_by_what_it_does_on_average() -> None:
    """Against 200,000 draws of labels, each on its own."""
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, (50, 3))
    chances = np.array([0.2, 0.5, 0.9])
    sums = SCORING.contributions(truth, np.tile(chances, (50, 1))).sum(axis=0)
    drawn = generator.random((4_000, 50, 3)) < chances
    many = SCORING.contributions(np.tile(truth, (4_000, 1)), drawn.reshape(-1, 3)).sum(axis=0)
    np.testing.assert_allclose(sums, many / 4_000, atol=0.15)
    assert SCORING.scores(sums) == pytest.approx(SCORING.scores(many), abs=0.005)


def test_leading_axes_give_the_same_as_one_by_one() -> None:
    generator = np.random.default_rng(1)
    sums = np.stack(
        [SCORING.contributions(*generator.integers(0, 2, (2, 7, 3))).sum(axis=0) for _ in range(6)]
    ).reshape(2, 3, 3, 5)
    for info in SCORING.metrics.values():
        together = info.function(sums)
        assert together.shape == (2, 3)
        for index in np.ndindex(2, 3):
            alone = float(info.function(sums[index]))
            assert agrees(float(together[index]), alone)


def test_no_utterances_is_nan_and_not_a_warning() -> None:
    empty = SCORING.contributions(*np.zeros((2, 0, 3))).sum(axis=0)
    assert all(math.isnan(value) for value in SCORING.scores(empty).values())


@pytest.mark.parametrize(
    ("references", "outcomes", "match"),
    [
        ([1, 0], [1, 0], r"\(N, C\), got \(2,\) and \(2,\)"),
        ([[1, 2]], [[1, 0]], "references of 0 and 1"),
        ([[1, 0]], [[1.5, 0]], "outcomes from 0 to 1"),
        ([[1, 0]], [[math.nan, 0]], "outcomes from 0 to 1"),
    ],
)
def test_what_is_no_label_is_refused(references: object, outcomes: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        label_contributions(np.array(references), np.array(outcomes))
