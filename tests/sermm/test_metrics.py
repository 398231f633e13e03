from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from sermm import metrics

# the second class never occurs, the third is predicted but never true
HAND = np.array([[3, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]])


def test_hand_calculation() -> None:
    assert metrics.ua(HAND) == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert metrics.wa(HAND) == pytest.approx(4 / 6)
    # F1: 2*3/(4+4), then 0 for the class that is only predicted, then 2*1/(2+1)
    assert metrics.macro_f1(HAND) == pytest.approx((6 / 8 + 0 + 2 / 3) / 3)
    assert metrics.weighted_f1(HAND) == pytest.approx((4 * 6 / 8 + 2 * 2 / 3) / 6)


def test_per_class_by_hand() -> None:
    first, absent, predicted_only, last = metrics.per_class(HAND)
    assert first == metrics.ClassScores(recall=0.75, precision=0.75, f1=0.75, support=4)
    assert np.isnan([absent.recall, absent.precision, absent.f1]).all()
    assert absent.support == 0
    assert np.isnan(predicted_only.recall)
    assert (predicted_only.precision, predicted_only.f1) == (0.0, 0.0)
    assert last == metrics.ClassScores(0.5, 1.0, pytest.approx(2 / 3), 2)


pairs = st.integers(2, 6).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.lists(
            st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), min_size=1, max_size=40
        ),
    )
)


@given(pairs)
def test_scikit_learn_agrees(case: tuple[int, list[tuple[int, int]]]) -> None:
    num_classes, rows = case
    labels, predictions = np.array(rows).T
    confusion = metrics.class_contributions(labels, predictions, num_classes).sum(axis=0)

    every = list(range(num_classes))
    np.testing.assert_array_equal(
        confusion, reference.confusion_matrix(labels, predictions, labels=every)
    )
    present = sorted(set(labels.tolist()))
    assert metrics.ua(confusion) == pytest.approx(
        reference.recall_score(
            labels, predictions, labels=present, average="macro", zero_division=0
        )
    )
    assert metrics.wa(confusion) == pytest.approx(reference.accuracy_score(labels, predictions))
    assert metrics.macro_f1(confusion) == pytest.approx(
        reference.f1_score(labels, predictions, average="macro", zero_division=0)
    )
    assert metrics.weighted_f1(confusion) == pytest.approx(
        reference.f1_score(labels, predictions, average="weighted", zero_division=0)
    )
    precision, recall, f1, support = reference.precision_recall_fscore_support(
        labels, predictions, labels=every, zero_division=np.nan
    )
    ours = metrics.per_class(confusion)
    np.testing.assert_allclose([scores.precision for scores in ours], precision)
    np.testing.assert_allclose([scores.recall for scores in ours], recall)
    np.testing.assert_allclose([scores.f1 for scores in ours], f1)
    np.testing.assert_array_equal([scores.support for scores in ours], support)


@pytest.mark.parametrize("name", metrics.CLASS_METRICS)
def test_leading_axes_give_the_same_as_one_by_one(name: str) -> None:
    stack = np.random.default_rng(0).integers(0, 4, size=(3, 5, 4, 4))
    stack[0, 0, 1] = 0
    function = metrics.CLASS_METRICS[name].function
    together = function(stack)
    assert together.shape == (3, 5)
    for index in np.ndindex(3, 5):
        assert together[index] == pytest.approx(float(function(stack[index])))


def test_no_utterances_is_nan_and_not_a_warning() -> None:
    for info in metrics.CLASS_METRICS.values():
        assert np.isnan(info.function(np.zeros((3, 3))))


def test_shares_count_as_utterances_do() -> None:
    for info in metrics.CLASS_METRICS.values():
        assert info.function(HAND / 3) == pytest.approx(info.function(HAND))


def test_a_predictor_that_draws_adds_shares_to_the_row_of_the_reference() -> None:
    added = metrics.class_contributions(np.array([1, 0]), np.array([[0.25, 0.75], [1, 0]]), 2)
    np.testing.assert_array_equal(added, [[[0, 0], [0.25, 0.75]], [[1, 0], [0, 0]]])


def test_bad_shapes_and_indices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(\.\.\., C, C\), got shape \(2, 3\)"):
        metrics.ua(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"one confusion matrix"):
        metrics.per_class(np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match=r"got \(2,\) and \(3,\)"):
        metrics.class_contributions(np.zeros(2, int), np.zeros(3, int), 2)
    for references, outcomes in (([0, 1], [0, 2]), ([0, -1], [0, 1]), ([0, 2], np.ones((2, 2)))):
        with pytest.raises(ValueError, match=r"indices in 0 \.\. 1"):
            metrics.class_contributions(np.array(references), np.array(outcomes), 2)
