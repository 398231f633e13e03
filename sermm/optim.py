"""AdamW and its schedule, and L-BFGS for what is convex: how parameters are updated."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from data_modules.errors import RunFailedError

_MAX_ITERATIONS = 2_000


@dataclass(frozen=True)
class OptimizerOptions:
    """What :func:`build_optimizer` needs.

    Attributes:
        lr: Learning rate.
        pretrained_lr: Learning rate of parameters that came with pretrained weights.
        weight_decay: Matrices only. Decoupled with AdamW, a penalty on the loss with L-BFGS.
        warmup_share: Share of all updates over which the rates grow.
        solver: AdamW, or L-BFGS, which has neither rates nor warm-up.
    """

    lr: float
    pretrained_lr: float
    weight_decay: float
    warmup_share: float
    solver: Literal["adamw", "lbfgs"] = "adamw"


def parameter_groups(
    module: nn.Module, pretrained: nn.Module | None, options: OptimizerOptions
) -> list[dict[str, object]]:
    """Trainable parameters by learning rate and weight decay; vectors are not decayed.

    Args:
        module: The whole model.
        pretrained: The part of it with the rate ``pretrained_lr``, if any.
        options: Rates.
    """
    tuned = {id(p) for p in pretrained.parameters()} if pretrained is not None else set()
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad:
            rate = options.pretrained_lr if id(parameter) in tuned else options.lr
            decay = options.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def build_optimizer(
    module: nn.Module, pretrained: nn.Module | None, options: OptimizerOptions, num_steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    """AdamW with linear warm-up and a cosine to zero.

    Args:
        module: The whole model.
        pretrained: The part of it with a learning rate of its own, if any.
        options: Rates and schedule.
        num_steps: Updates of the whole run. Of W warm-up updates, update k from 0 has (k + 1) / W
            of the full rate; the rest follow half a cosine that reaches zero after the last.

    Returns:
        The optimiser, and its schedule to be stepped after each update.
    """
    optimizer = torch.optim.AdamW(parameter_groups(module, pretrained, options))
    warmup = max(1, round(options.warmup_share * num_steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = (step - warmup) / max(1, num_steps - warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def minimise(solver: torch.optim.LBFGS, loss: Callable[[], Tensor]) -> None:
    """Bring a convex loss to its minimum.

    Args:
        solver: From :func:`build_solver`.
        loss: Computes it anew at each call.

    Raises:
        RunFailedError: It is not there after as many steps as it may take.
    """

    def evaluate() -> Tensor:
        solver.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    solver.step(evaluate)  # type: ignore[no-untyped-call]
    parameters = solver.param_groups[0]["params"]
    steps = solver.state[parameters[0]]["n_iter"]
    if steps >= _MAX_ITERATIONS:
        raise RunFailedError(
            "optim.solver=lbfgs",
            expected=f"a minimum within {_MAX_ITERATIONS} steps",
            got="none",
            fix="raise optim.weight_decay",
        )


def build_solver(module: nn.Module) -> torch.optim.LBFGS:
    """L-BFGS with a line search, for a loss over the whole training part."""
    return torch.optim.LBFGS(
        [parameter for parameter in module.parameters() if parameter.requires_grad],
        max_iter=_MAX_ITERATIONS,
        max_eval=10 * _MAX_ITERATIONS,
        tolerance_grad=1e-5,
        tolerance_change=1e-9,
        history_size=20,
        line_search_fn="strong_wolfe",
    )
