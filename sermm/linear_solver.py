"""A linear layer at the minimum of a convex loss with a penalty on its squared weights.

L-BFGS alone takes thousands of steps where inputs go together, as neighbouring mel bands do. So it
searches in coordinates in which all directions are about as steep, and in float64. With inputs X
(N, D), their second moments X'X / N = V diag(m) V', decay d and c a bound on the curvature of the
loss, the weights are W = T diag(c m + d)^-1/2 V' with T free. That changes the way, not the
minimum: the penalty lets no weight leave the span of the inputs, which V spans, and for the same
reason a problem with more dimensions than clips has no more coordinates than clips.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from data_modules.errors import RunFailedError

_MAX_ITERATIONS = 2_000
# of cross entropy in a score, whatever the probabilities (D. Böhning 1992); of others it is a guess
_CURVATURE = 0.25
# directions with less than this share of the largest moment are rounding
_SMALLEST = 1e-12


def solve_linear(
    layer: nn.Linear, inputs: Tensor, loss: Callable[[Tensor], Tensor], *, weight_decay: float
) -> int:
    """Give a layer the weights with the smallest ``loss + weight_decay / 2 * sum of W ** 2``.

    Args:
        layer: D to C, with a bias, which has no penalty. Where the search starts does not matter.
        inputs: ``(N, D)``.
        loss: Scores ``(N, C)`` float64 to a scalar, convex.
        weight_decay: Of the weights.

    Returns:
        How many steps it took.

    Raises:
        RunFailedError: The minimum is not there after as many steps as it may take.
    """
    values = inputs.detach().double()
    basis, moments = _directions(values)  # (D, R), (R,)
    scale = (_CURVATURE * moments + weight_decay).rsqrt()
    points = values @ basis * scale  # (N, R)
    turned = points.new_zeros(layer.out_features, len(moments), requires_grad=True)
    bias = points.new_zeros(layer.out_features, requires_grad=True)
    penalty = weight_decay / 2 * scale**2
    solver = torch.optim.LBFGS(
        [turned, bias],
        max_iter=_MAX_ITERATIONS,
        max_eval=10 * _MAX_ITERATIONS,
        tolerance_grad=1e-7,
        tolerance_change=1e-12,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def evaluate() -> Tensor:
        solver.zero_grad()
        value = loss(points @ turned.T + bias) + (penalty * turned**2).sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        solver.step(evaluate)  # type: ignore[no-untyped-call]
    steps = int(solver.state[turned]["n_iter"])
    if steps >= _MAX_ITERATIONS:
        raise RunFailedError(
            "optim.solver=lbfgs",
            expected=f"a minimum within {_MAX_ITERATIONS} steps",
            got="none",
            fix="raise optim.weight_decay",
        )
    with torch.no_grad():
        layer.weight.copy_((turned * scale) @ basis.T)
        layer.bias.copy_(bias)
    return steps


def _directions(values: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal directions ``(D, R)`` of inputs ``(N, D)``, and the moment ``(R,)`` of each."""
    count, dim = values.shape
    by_clip = count < dim
    products = values @ values.T if by_clip else values.T @ values
    moments, vectors = torch.linalg.eigh(products / count)
    kept = moments > _SMALLEST * moments.max().clamp(min=torch.finfo(moments.dtype).tiny)
    moments, vectors = moments[kept], vectors[:, kept]
    if by_clip:
        vectors = values.T @ vectors / (count * moments).sqrt()
    return vectors, moments
