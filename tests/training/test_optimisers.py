"""Schedules in closed form; recipes that cannot work are refused."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from molweight.errors import ConfigError
from molweight.training.optimisers import OPTIMISERS, OptimiserConfig


def recipe(**options):
    return OptimiserConfig(**{"name": "sgd", "lr": 0.5, **options})


def test_constant():
    assert [recipe().factor(10)(step) for step in (0, 5, 10, 99)] == [1.0] * 4


def test_warm_up_rises_linearly_and_ends_at_one():
    factor = recipe(warmup=0.4).factor(10)
    assert [factor(step) for step in range(6)] == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


def test_cosine_after_the_warm_up_falls_to_zero_and_stays_there():
    factor = recipe(warmup=0.2, schedule="cosine").factor(10)
    expected = [0.5, 1.0, *(0.5 * (1 + math.cos(math.pi * k / 8)) for k in range(9)), 0.0]
    assert [factor(step) for step in range(12)] == pytest.approx(expected)
    assert factor(6) == pytest.approx(0.5)


def test_linear_after_the_warm_up_falls_to_zero_and_stays_there():
    factor = recipe(warmup=0.2, schedule="linear").factor(10)
    assert [factor(step) for step in range(12)] == pytest.approx(
        [0.5, *(1 - k / 8 for k in (0, *range(9), 8))]
    )


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_a_schedule_of_one_step_ends_after_it(schedule):
    factor = recipe(schedule=schedule).factor(1)
    assert (factor(0), factor(1)) == (1.0, 0.0)


def test_steps_of_a_tenth_every_hundred():
    factor = recipe(schedule="step").factor(1000)
    found = [factor(step) for step in (0, 99, 100, 199, 200)]
    assert found == pytest.approx([1, 1, 0.9, 0.9, 0.81])


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "step"])
@pytest.mark.parametrize("steps", [1, 2, 7, 250])
def test_factors_stay_between_zero_and_one_and_never_start_at_zero(schedule, steps):
    factor = recipe(schedule=schedule, warmup=0.3).factor(steps)
    assert all(0 <= factor(step) <= 1 for step in range(steps + 2))
    assert factor(0) > 0, "the first update must not be lost"


def test_build_applies_the_factor_to_the_rate():
    layer = nn.Linear(2, 1)
    optimizer, scheduler = recipe(warmup=0.5, momentum=0.7, weight_decay=0.1).build(
        layer.parameters(), steps=4
    )
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.25, 0.5, 0.5, 0.5])
    group = optimizer.param_groups[0]
    assert (group["momentum"], group["weight_decay"]) == (0.7, 0.1)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_moves_what_may_move_and_nothing_else(name):
    layer = nn.Linear(2, 1)
    layer.bias.requires_grad_(False)
    optimizer, _ = recipe(name=name, momentum=0.0, weight_decay=0.25).build(layer.parameters(), steps=1)
    assert type(optimizer).__name__.lower() == name
    assert optimizer.param_groups[0]["weight_decay"] == 0.25 and optimizer.param_groups[0]["lr"] == 0.5
    before = {n: p.detach().clone() for n, p in layer.named_parameters()}
    layer(torch.ones(3, 2)).sum().backward()
    optimizer.step()
    assert not torch.equal(before["weight"], layer.weight) and torch.equal(before["bias"], layer.bias)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "adamax"}, "unknown optimiser 'adamax'. Did you mean 'adam"),
        ({"schedule": "cosin"}, "unknown schedule 'cosin'. Did you mean 'cosine'"),
        ({"lr": 0.0}, "lr=0.0"),
        ({"lr": math.nan}, "lr=nan"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0"),
        ({"warmup": 1.0}, "warmup=1.0"),
        ({"momentum": 1.0}, "momentum=1.0"),
        ({"clip": 0.0}, "clip must be > 0 or null, got 0.0"),
    ],
)
def test_recipes_that_cannot_work_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        recipe(**options)


def rates(optimizer, module):
    found = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    return {name: found[id(p)] for name, p in module.named_parameters()}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_heads_have_a_rate_of_their_own(name):
    module = nn.ModuleDict({"backbone": nn.Linear(2, 2), "head": nn.Linear(2, 1)})
    optimizer, scheduler = recipe(name=name, head_lr=2.0, warmup=0.5).build(
        module.parameters(), steps=4, backbone=module["backbone"]
    )
    halves = {"backbone.weight": 0.25, "backbone.bias": 0.25, "head.weight": 1.0, "head.bias": 1.0}
    assert rates(optimizer, module) == pytest.approx(halves)
    optimizer.step()
    scheduler.step()
    assert rates(optimizer, module) == pytest.approx({name: 2 * rate for name, rate in halves.items()})


def test_without_a_head_rate_the_heads_have_that_of_the_backbone():
    module = nn.ModuleDict({"backbone": nn.Linear(2, 2), "head": nn.Linear(2, 1)})
    optimizer, _ = recipe().build(module.parameters(), steps=4, backbone=module["backbone"])
    assert set(rates(optimizer, module).values()) == {0.5}


def test_a_head_rate_needs_a_backbone():
    with pytest.raises(ConfigError, match="head_lr is set where no backbone is trained"):
        recipe(head_lr=1.0).build(nn.Linear(2, 1).parameters(), steps=4)


def test_head_rates_that_cannot_work():
    with pytest.raises(ConfigError, match=r"head_lr must be > 0 or null, got 0"):
        recipe(head_lr=0.0)
