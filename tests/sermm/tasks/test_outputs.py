"""Loss and predictions of each kind of target, against sums by hand."""

from __future__ import annotations

import math

import pytest
import torch

from data_modules.batch import Batch
from sermm.tasks.outputs import Objective, RatingOutput, build_output

NAMES = ("a", "b")


def batch(targets: list[object], soft: list[list[float]] | None = None) -> Batch:
    return Batch(
        [f"u{k}" for k in range(len(targets))],
        ["s"] * len(targets),
        torch.tensor(targets),
        soft_targets=None if soft is None else torch.tensor(soft),
    )


def test_votes_are_targets_of_the_cross_entropy() -> None:
    output = build_output(Objective(NAMES))
    scores = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]])
    loss = output(scores, batch([1, 0], soft=[[0.25, 0.75], [1.0, 0.0]]))
    first = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert float(loss) == pytest.approx((first + math.log(2)) / 2, rel=1e-6)
    # the class itself is what is scored
    assert output.predict(scores)[0].tolist() == [1, 0]


@pytest.mark.parametrize("soft", [None, [[0.2, 0.8], [1.0, 0.0], [0.5, 0.5]]])
def test_means_of_batches_add_up(soft: list[list[float]] | None) -> None:
    output = build_output(Objective(NAMES, weights=(0.5, 3.0)))
    scores = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    whole = batch([1, 0, 1], soft)
    parts = [
        batch([1], soft and soft[:1]),
        batch([0, 1], soft and soft[1:]),
    ]
    losses = [output(scores[:1], parts[0]), output(scores[1:], parts[1])]
    weights = [float(output.loss_weight(part)) for part in parts]
    mean = sum(w * float(loss) for w, loss in zip(weights, losses, strict=True)) / sum(weights)
    assert mean == pytest.approx(float(output(scores, whole)), rel=1e-6)


def test_ratings_are_on_the_scale_of_the_corpus() -> None:
    objective = Objective(
        NAMES, kind="regression", family="rating", means=(1.0, -2.0), stds=(2.0, 0.0)
    )
    output = build_output(objective)
    values, probabilities = output.predict(torch.tensor([[0.5, -1.0]]))
    # a rating that never changes has scale one
    assert values.tolist() == [[2.0, -3.0]]
    assert probabilities is None
    loss = output(torch.tensor([[0.5, -1.0]]), batch([[1.0, -2.0]]))
    assert float(loss) == pytest.approx((0.5 + 1.0) / 2)
    squared = RatingOutput(means=(1.0, -2.0), stds=(2.0, 1.0), loss="mse")
    loss = squared(torch.tensor([[0.5, -1.0]]), batch([[1.0, -2.0]]))
    assert float(loss) == pytest.approx((0.25 + 1.0) / 2)


def test_each_label_is_a_question_of_its_own() -> None:
    output = build_output(
        Objective(NAMES, kind="multilabel", family="multilabel", weights=(4.0, 1.0), threshold=0.6)
    )
    scores = torch.tensor([[math.log(1.4), math.log(2.0)]])
    outcomes, probabilities = output.predict(scores)
    assert probabilities is not None
    assert probabilities.tolist() == [pytest.approx([1.4 / 2.4, 2 / 3])]
    assert outcomes.tolist() == [[0.0, 1.0]]
    loss = output(scores, batch([[1.0, 0.0]]))
    expected = (-4 * math.log(1.4 / 2.4) - math.log(1 / 3)) / 2
    assert float(loss) == pytest.approx(expected, rel=1e-6)


def test_what_prediction_needs_travels_with_the_weights() -> None:
    ratings = Objective(NAMES, kind="regression", means=(1.0, 2.0), stds=(3.0, 4.0))
    assert set(build_output(ratings).state_dict()) == {"mean", "std"}
