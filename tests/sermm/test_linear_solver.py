from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional as F

from data_modules.errors import RunFailedError
from sermm.linear_solver import solve_linear


def drawn(num: int, dim: int, rank: int | None = None) -> tuple[Tensor, Tensor]:
    """Inputs that go together, as neighbouring bands do, and three classes."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(num, rank or dim, generator=generator) @ torch.randn(
        rank or dim, dim, generator=generator
    )
    inputs = (inputs.cumsum(dim=1) / dim**0.5).double()
    return inputs, torch.randint(3, (num,), generator=generator)


@pytest.mark.parametrize(("num", "dim", "rank"), [(60, 7, None), (12, 40, None), (40, 10, 4)])
def test_it_ends_at_scikit_learns_logistic_regression(num: int, dim: int, rank: int | None) -> None:
    inputs, classes = drawn(num, dim, rank)
    layer = nn.Linear(dim, 3).double()
    decay = 0.02
    solve_linear(layer, inputs, lambda scores: F.cross_entropy(scores, classes), weight_decay=decay)
    reference = LogisticRegression(C=1 / (decay * num), tol=1e-10, max_iter=100_000).fit(
        inputs.numpy(), classes.numpy()
    )
    np.testing.assert_allclose(layer.weight.detach(), reference.coef_, atol=1e-4)
    # a number that is added to all biases changes nothing
    bias = layer.bias.detach().numpy()
    np.testing.assert_allclose(
        bias - bias.mean(), reference.intercept_ - reference.intercept_.mean(), atol=1e-4
    )


def test_inputs_that_go_together_take_few_steps() -> None:
    inputs, classes = drawn(400, 64)
    inputs = inputs + 30 * inputs.mean(dim=1, keepdim=True)
    layer = nn.Linear(64, 3)
    steps = solve_linear(
        layer, inputs, lambda scores: F.cross_entropy(scores, classes), weight_decay=1e-4
    )
    assert steps < 60


def test_a_line_is_found_without_a_penalty() -> None:
    inputs = drawn(20, 3)[0]
    targets = inputs @ torch.tensor([[1.0], [-2.0], [0.5]], dtype=torch.float64) + 3
    line = nn.Linear(3, 1).double()
    solve_linear(line, inputs, lambda scores: F.mse_loss(scores, targets), weight_decay=0.0)
    assert line.weight.tolist()[0] == pytest.approx([1.0, -2.0, 0.5], abs=1e-5)
    assert line.bias.item() == pytest.approx(3, abs=1e-5)


def test_inputs_without_any_difference_leave_the_bias() -> None:
    classes = torch.tensor([0, 0, 0, 1])
    layer = nn.Linear(2, 2).double()
    solve_linear(
        layer,
        torch.zeros(4, 2),
        lambda scores: F.cross_entropy(scores, classes),
        weight_decay=0.1,
    )
    assert torch.equal(layer.weight, torch.zeros(2, 2))
    assert torch.softmax(layer.bias.detach(), 0).tolist() == pytest.approx([0.75, 0.25], abs=1e-5)


def test_it_says_that_there_is_no_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sermm.linear_solver._MAX_ITERATIONS", 2)
    inputs, classes = drawn(60, 7)
    with pytest.raises(RunFailedError, match=r"within 2 steps, got none; raise optim.weight_decay"):
        solve_linear(
            nn.Linear(7, 3), inputs, lambda scores: F.cross_entropy(scores, classes), weight_decay=0
        )
