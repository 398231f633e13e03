"""AdamW, Adam and their schedules: how parameters are updated; ``linear_solver.py`` has L-BFGS."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

Schedule = Literal["cosine", "constant", "linear", "polynomial"]


@dataclass(frozen=True)
class OptimizerOptions:
    """What :func:`build_optimizer` needs.

    Attributes:
        lr: Learning rate.
        weight_decay: Matrices only. Decoupled with AdamW, a penalty on the loss with the others.
        warmup_share: Share of all updates over which the rates grow.
        solver: AdamW, Adam, or L-BFGS, which has neither rates nor schedule.
        schedule: How the rates go on after warm-up, see :func:`rate_factor`.
        schedule_power: Of the polynomial.
        pretrained_lr: Of parts with a learning rate of their own, by name.
        beta2: Of Adam's running mean of squared gradients.
        epsilon: Added to the root of that mean.
        decay_vectors: Biases and norms are decayed, too.
    """

    lr: float
    weight_decay: float
    warmup_share: float
    solver: Literal["adamw", "adam", "lbfgs"] = "adamw"
    schedule: Schedule = "cosine"
    schedule_power: float = 2.0
    pretrained_lr: Mapping[str, float] = field(default_factory=dict)
    beta2: float = 0.999
    epsilon: float = 1e-8
    decay_vectors: bool = False


def parameter_groups(
    module: nn.Module, pretrained: Mapping[str, nn.Module], options: OptimizerOptions
) -> list[dict[str, object]]:
    """Trainable parameters by learning rate and weight decay; vectors are not decayed.

    Args:
        module: The whole model.
        pretrained: Parts of it by name; those that ``pretrained_lr`` names have its rates.
        options: Rates.
    """
    rates = {
        id(parameter): options.pretrained_lr[name]
        for name, part in pretrained.items()
        if name in options.pretrained_lr
        for parameter in part.parameters()
    }
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad:
            rate = rates.get(id(parameter), options.lr)
            decays = parameter.ndim > 1 or options.decay_vectors
            decay = options.weight_decay if decays else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def rate_factor(step: int, *, num_steps: int, options: OptimizerOptions) -> float:
    """What the learning rates are multiplied with at update ``step``, from 0.

    Of W warm-up updates, update k has (k + 1) / W of the full rate. Then r, what is left of the
    remaining updates, falls from one to zero, and the factor is (1 - cos(pi r)) / 2 (``cosine``),
    r (``linear``), r to the power ``schedule_power`` (``polynomial``), or stays one (``constant``).
    """
    warmup = max(1, round(options.warmup_share * num_steps))
    if step < warmup:
        return (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, num_steps - warmup))
    if options.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    if options.schedule == "linear":
        return 1 - done
    if options.schedule == "polynomial":
        return float((1 - done) ** options.schedule_power)
    return 1.0


def build_optimizer(
    module: nn.Module,
    pretrained: Mapping[str, nn.Module],
    options: OptimizerOptions,
    num_steps: int,
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    """AdamW or Adam, with warm-up and a schedule.

    Args:
        module: The whole model.
        pretrained: As for :func:`parameter_groups`.
        options: Rates and schedule.
        num_steps: Updates of the whole run.

    Returns:
        The optimiser, and its schedule to be stepped after each update.
    """
    build = torch.optim.Adam if options.solver == "adam" else torch.optim.AdamW
    optimizer = build(
        parameter_groups(module, pretrained, options),
        betas=(0.9, options.beta2),
        eps=options.epsilon,
    )

    def factor(step: int) -> float:
        return rate_factor(step, num_steps=num_steps, options=options)

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
