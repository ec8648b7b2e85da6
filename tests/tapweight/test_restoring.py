"""States from files: what fits continues bit for bit, and everything else is refused."""

from __future__ import annotations

from collections import OrderedDict
from copy import deepcopy
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, StepLR

from molweight.tapweight.restoring import (
    MOST_STEPS,
    alike,
    constants,
    require_layout,
    restore_optimizer,
    restore_schedule,
)

OPTIMISERS = {
    "SGD": partial(torch.optim.SGD, lr=0.1, momentum=0.9),
    "Adam": partial(torch.optim.Adam, lr=0.1),
    "AdamW": partial(torch.optim.AdamW, lr=0.1, weight_decay=0.01),
}


@pytest.mark.parametrize(
    ("value", "like"),
    [
        ({"a": 1}, {"a": "other"}),
        (OrderedDict(a=1), {"a": 1}),
        ([1], ["x"]),
        ((1,), [2]),
        ([1], (2,)),
        (torch.ones(2), torch.zeros(2)),
        (1, 0.5),
        (0.25, 0.5),
        (None, None),
        (3, None),
        (0.5, None),
        (torch.ones(2), None),
        (3, 4),
        ("a", "b"),
        (True, False),
    ],
)
def test_values_of_one_kind(value, like):
    assert alike(value, like)


@pytest.mark.parametrize(
    ("value", "like"),
    [
        ([("a", 1)], {"a": 1}),
        ({"a": 1, "b": 2}, {"a": 1}),
        ({}, {"a": 1}),
        ({0: 1}, [1]),
        ([1, 2], [1]),
        ([], (1,)),
        ([0.0, 0.0], torch.zeros(2)),
        (torch.zeros(3), torch.zeros(2)),
        (torch.zeros(2, dtype=torch.float64), torch.zeros(2)),
        (True, 0.5),
        ("0.5", 0.5),
        ("text", None),
        ([1], None),
        (0.5, 1),
        (True, 1),
        (1, True),
        (1, "a"),
    ],
)
def test_values_of_two_kinds(value, like):
    assert not alike(value, like)


LIKE = {
    "count": 3,
    "levels": [{"lr": 0.1}, {"losses": (torch.zeros(2), None)}],
    "optimizer": {"state": {}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999)}]},
    "other": {"state": {"mean": 0.5}},
}


def changed(*path, value):
    """The state with one value replaced."""
    state = deepcopy(LIKE)
    state["levels"][1]["losses"] = list(LIKE["levels"][1]["losses"])  # as files have tuples
    inside = state
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return state


def test_a_state_of_the_same_layout_is_taken():
    require_layout(LIKE, LIKE)
    require_layout(changed("levels", 1, "losses", 1, value=0.5), LIKE)
    require_layout(changed("optimizer", "state", value={0: {"step": torch.tensor(1.0)}}), LIKE)


@pytest.mark.parametrize(
    ("state", "place"),
    [
        (None, "state"),
        ({"count": 3}, "state"),
        (changed("count", value="3"), "state.count"),
        (changed("levels", value=[]), "state.levels"),
        (changed("levels", 0, "lr", value=None), "state.levels[0].lr"),
        (changed("levels", 1, "losses", 0, value=torch.zeros(3)), "state.levels[1].losses[0]"),
        (changed("optimizer", "param_groups", 0, "lr", value="fast"), "state.optimizer.param_groups[0].lr"),
        (changed("other", "state", "mean", value="low"), "state.other.state.mean"),
    ],
)
def test_another_layout_is_refused_and_its_place_named(state, place):
    with pytest.raises(ValueError) as refused:
        require_layout(state, LIKE)
    assert str(refused.value) == f"{place} is not what it should be"


def stepped(name, steps=3):
    """Two parameters and an optimiser that has stepped on them."""
    torch.manual_seed(0)
    parameters = [nn.Parameter(torch.randn(2, 3)), nn.Parameter(torch.randn(4))]
    optimizer = OPTIMISERS[name](parameters)
    for _ in range(steps):
        optimizer.zero_grad()
        sum(p.square().sum() for p in parameters).backward()
        optimizer.step()
    return parameters, optimizer


@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_optimiser_remembers_what_it_was_given(name):
    state = deepcopy(stepped(name)[1].state_dict())
    state["param_groups"][0] = {
        key: list(value) if isinstance(value, tuple) else value  # as files have tuples
        for key, value in state["param_groups"][0].items()
    }
    fresh = stepped(name, steps=0)[1]
    restore_optimizer(fresh, state)
    memory = fresh.state_dict()["state"]
    assert memory.keys() == {0, 1}
    for key, remembered in memory.items():
        assert all(torch.equal(value, state["state"][key][what]) for what, value in remembered.items())


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.1])
def test_a_schedule_may_have_lowered_the_rate(rate):
    state = deepcopy(stepped("SGD")[1].state_dict())
    state["param_groups"][0]["lr"] = rate
    optimizer = stepped("SGD", steps=0)[1]
    restore_optimizer(optimizer, state)
    assert optimizer.param_groups[0]["lr"] == rate


def test_the_largest_rate_is_that_of_the_whole_schedule():
    state = deepcopy(stepped("SGD")[1].state_dict())
    optimizer = stepped("SGD", steps=0)[1]
    LambdaLR(optimizer, lambda step: 0.25)
    state["param_groups"][0] |= {"initial_lr": 0.1, "lr": 0.1}
    restore_optimizer(optimizer, state)
    assert optimizer.param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("SGD", {"momentum": 0.8}),
        ("SGD", {"weight_decay": 0.1}),
        ("SGD", {"lr": 0.11}),
        ("SGD", {"lr": -0.01}),
        ("Adam", {"betas": [0.9, 0.99]}),
        ("Adam", {"more": 1}),
    ],
)
def test_another_recipe_is_refused(name, group):
    state = deepcopy(stepped(name)[1].state_dict())
    state["param_groups"][0] |= group
    optimizer = stepped(name, steps=0)[1]
    with pytest.raises(ValueError, match="has another recipe"):
        restore_optimizer(optimizer, state)
    assert not optimizer.state, "nothing was taken"


def test_the_constants_of_a_group_are_all_but_its_parameters_and_its_rate():
    group = {"params": [0], "lr": 0.1, "betas": (0.9, 0.999), "eps": 1e-8}
    assert constants(group) == {"betas": [0.9, 0.999], "eps": 1e-8}


@pytest.mark.parametrize(
    ("name", "key", "memory", "sentence"),
    [
        ("SGD", 9, {"momentum_buffer": torch.zeros(4)}, "remembers other things"),
        ("SGD", 1, {"exp_avg": torch.zeros(4)}, "remembers other things"),
        ("SGD", 1, {"step": torch.tensor(1.0)}, "remembers other things"),
        ("SGD", 1, {"momentum_buffer": torch.zeros(5)}, "momentum_buffer has another shape"),
        ("SGD", 1, {"momentum_buffer": 0.5}, "momentum_buffer has another shape"),
        ("Adam", 0, {"momentum_buffer": torch.zeros(2, 3)}, "remembers other things"),
        ("Adam", 0, {"exp_avg": torch.zeros(3, 2)}, "exp_avg has another shape"),
        ("Adam", 0, {"exp_avg_sq": torch.zeros(6)}, "exp_avg_sq has another shape"),
        ("Adam", 0, {"step": torch.zeros(2, 3)}, "step has another shape"),
        ("Adam", 0, {"step": torch.tensor(-1.0)}, "no such number of steps"),
        ("Adam", 1, {"step": torch.tensor(float(MOST_STEPS))}, "no such number of steps"),
        ("Adam", 1, {"step": torch.tensor(float("nan"))}, "no such number of steps"),
    ],
)
def test_what_an_optimiser_cannot_remember_is_refused(name, key, memory, sentence):
    state = deepcopy(stepped(name)[1].state_dict())
    state["state"][key] = state["state"].get(key, {}) | memory
    with pytest.raises(ValueError, match=sentence):
        restore_optimizer(stepped(name, steps=0)[1], state)


def test_an_optimiser_may_have_made_no_step_and_as_many_as_a_float_counts():
    state = deepcopy(stepped("Adam")[1].state_dict())
    steps = [torch.tensor(0.0), torch.tensor(2.0**52)]
    for key, step in enumerate(steps):
        state["state"][key]["step"] = step
    optimizer = stepped("Adam", steps=0)[1]
    restore_optimizer(optimizer, state)
    taken = [float(remembered["step"]) for remembered in optimizer.state.values()]
    assert taken == [0.0, 2.0**52]


def test_groups_are_as_many_as_the_optimiser_has():
    state = deepcopy(stepped("SGD")[1].state_dict())
    state["param_groups"] *= 2
    with pytest.raises(ValueError):
        restore_optimizer(stepped("SGD", steps=0)[1], state)


def schedule(lr=0.1, steps=0):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = StepLR(optimizer, 2, 0.5)
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
    return scheduler


def test_a_schedule_continues_where_it_was():
    scheduler = schedule()
    restore_schedule(scheduler, schedule(steps=3).state_dict())
    assert scheduler.last_epoch == 3
    restore_schedule(scheduler, schedule().state_dict())
    assert scheduler.last_epoch == 0


def test_another_schedule_and_no_step_of_it_are_refused():
    scheduler = schedule(steps=1)
    with pytest.raises(ValueError, match="another one"):
        restore_schedule(scheduler, schedule(lr=0.2).state_dict())
    with pytest.raises(ValueError, match="another one"):
        restore_schedule(scheduler, schedule().state_dict() | {"last_epoch": -1})
    assert scheduler.last_epoch == 1
