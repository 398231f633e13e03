from __future__ import annotations

import math
from typing import Any, Literal

import pytest
import torch
from torch import nn

from sermm.optim import (
    OptimizerOptions,
    Schedule,
    build_optimizer,
    parameter_groups,
    rate_factor,
)

OPTIONS = OptimizerOptions(lr=0.1, pretrained_lr={"text": 0.01}, weight_decay=0.5, warmup_share=0.1)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Embedding(5, 4), nn.LayerNorm(4))
        self.recurrent = nn.GRU(4, 3)
        self.head = nn.Linear(3, 2)


def names_in(
    groups: list[dict[str, Any]], module: nn.Module
) -> dict[tuple[float, float], set[str]]:
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    return {
        (group["lr"], group["weight_decay"]): {names[id(p)] for p in group["params"]}
        for group in groups
    }


def test_groups() -> None:
    model = Model()
    groups = parameter_groups(model, {"text": model.encoder}, OPTIONS)
    assert names_in(groups, model) == {
        (0.01, 0.5): {"encoder.0.weight"},
        (0.01, 0.0): {"encoder.1.weight", "encoder.1.bias"},
        (0.1, 0.5): {"recurrent.weight_ih_l0", "recurrent.weight_hh_l0", "head.weight"},
        (0.1, 0.0): {"recurrent.bias_ih_l0", "recurrent.bias_hh_l0", "head.bias"},
    }


def test_without_a_pretrained_part() -> None:
    model = Model()
    groups = names_in(parameter_groups(model, {}, OPTIONS), model)
    assert set(groups) == {(0.1, 0.5), (0.1, 0.0)}
    assert set().union(*groups.values()) == dict(model.named_parameters()).keys()


def test_what_is_frozen_is_in_no_group() -> None:
    model = Model()
    model.encoder.requires_grad_(False)
    groups = names_in(parameter_groups(model, {"text": model.encoder}, OPTIONS), model)
    assert set().union(*groups.values()) == {
        name for name, _ in model.named_parameters() if not name.startswith("encoder")
    }


def test_equal_rates_share_a_group() -> None:
    model = Model()
    equal = OptimizerOptions(
        lr=0.1, pretrained_lr={"text": 0.1}, weight_decay=0.0, warmup_share=0.1
    )
    assert len(parameter_groups(model, {"text": model.encoder}, equal)) == 1


def rates(num_steps: int, warmup_share: float) -> list[tuple[float, ...]]:
    """The rates that each update uses, and those after the last."""
    model = Model()
    options = OptimizerOptions(
        lr=0.1, pretrained_lr={"text": 0.01}, weight_decay=0.0, warmup_share=warmup_share
    )
    optimizer, schedule = build_optimizer(model, {"text": model.encoder}, options, num_steps)
    used = []
    for _ in range(num_steps):
        used.append(tuple(group["lr"] for group in optimizer.param_groups))
        optimizer.step()
        schedule.step()
    return [*used, tuple(group["lr"] for group in optimizer.param_groups)]


def test_warm_up_and_cosine_by_hand() -> None:
    both = rates(20, 0.2)
    full = [rate for _, rate in both]
    assert full[:4] == pytest.approx([0.025, 0.05, 0.075, 0.1])  # 4 of 20 updates
    assert full[4] == pytest.approx(0.1)
    # 16 updates of half a cosine: after a quarter, a half and three quarters of them
    assert full[8] == pytest.approx(0.1 * (2 + math.sqrt(2)) / 4)
    assert full[12] == pytest.approx(0.05)
    assert full[16] == pytest.approx(0.1 * (2 - math.sqrt(2)) / 4)
    assert full[19] == pytest.approx(0.1 * (1 - math.cos(math.pi / 16)) / 2)
    assert full[20] == pytest.approx(0.0, abs=1e-12)
    assert [encoder for encoder, _ in both] == pytest.approx([rate / 10 for rate in full])


@pytest.mark.parametrize(
    ("num_steps", "warmup_share", "first", "last"),
    [
        # one update at the full rate, nine of half a cosine
        (10, 0.0, 0.1, 0.1 * (1 + math.cos(math.pi * 8 / 9)) / 2),
        (1, 0.1, 0.1, 0.1),
        (4, 1.0, 0.025, 0.1),
    ],
)
def test_short_runs(num_steps: int, warmup_share: float, first: float, last: float) -> None:
    used = [rate for _, rate in rates(num_steps, warmup_share)][:num_steps]
    assert used[0] == pytest.approx(first)
    assert used[-1] == pytest.approx(last)
    assert all(0 < rate <= 0.1 for rate in used)


def factors(schedule: Schedule, num_steps: int, warmup_share: float) -> list[float]:
    options = OptimizerOptions(
        lr=0.1,
        pretrained_lr={"text": 0.1},
        weight_decay=0.0,
        warmup_share=warmup_share,
        schedule=schedule,
        schedule_power=2.0,
    )
    return [
        rate_factor(step, num_steps=num_steps, options=options) for step in range(num_steps + 1)
    ]


def test_schedules_by_hand() -> None:
    warm = [0.25, 0.5, 0.75, 1.0]
    assert factors("constant", 8, 0.5) == pytest.approx([*warm, 1, 1, 1, 1, 1])
    assert factors("linear", 8, 0.5) == pytest.approx([*warm, 1, 0.75, 0.5, 0.25, 0])
    assert factors("polynomial", 8, 0.5) == pytest.approx([*warm, 1, 0.5625, 0.25, 0.0625, 0])
    assert factors("constant", 5, 0.0) == [1.0] * 6


def test_adam_penalises_the_loss_and_adamw_the_weight() -> None:
    """One Adam step from nothing is the rate, whatever the gradient's size; AdamW's has no part."""
    moved = {}
    solvers: tuple[Literal["adam", "adamw"], ...] = ("adam", "adamw")
    for solver in solvers:
        layer = nn.Linear(1, 1)
        nn.init.constant_(layer.weight, 2.0)
        options = OptimizerOptions(
            lr=0.1, pretrained_lr={"text": 0.1}, weight_decay=0.5, warmup_share=0.0, solver=solver
        )
        optimizer, _ = build_optimizer(layer, {}, options, 10)
        for parameter in layer.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        moved[solver] = layer.weight.item()
    assert moved == pytest.approx({"adam": 1.9, "adamw": 2 * (1 - 0.1 * 0.5)})


def test_decay_shrinks_matrices_alone() -> None:
    """Without a gradient, decoupled decay alone moves a weight: by lr times decay."""
    layer = nn.Linear(2, 2)
    before = {name: p.detach().clone() for name, p in layer.named_parameters()}
    options = OptimizerOptions(
        lr=0.1, pretrained_lr={"text": 0.1}, weight_decay=0.5, warmup_share=0.0
    )
    optimizer, _ = build_optimizer(layer, {}, options, 10)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), before["weight"] * (1 - 0.1 * 0.5))
    assert torch.equal(layer.bias.detach(), before["bias"])
