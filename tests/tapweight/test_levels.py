"""What one step of a level does, in closed form; what is refused before anything moves."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
import torch
from problems import Cycle, Point, Quadratics, levels_of
from torch import nn

from molweight.errors import DivergedError
from molweight.tapweight.levels import (
    HINT,
    SharedTask,
    ThreeLevels,
    WeightLevel,
    require_finite,
    require_finite_losses,
    shared_parameters,
)
from molweight.tapweight.precision import Precision

START = torch.tensor([3.0, -4.0], dtype=torch.float64)
EMPTY = {"x": torch.zeros(1, 1)}


def squared(outputs, batch):
    """Half the squared distance to the labels: its gradient is the distance."""
    return 0.5 * (outputs - batch["y"][0]).square().sum()


def problem(*, gamma=0.5, lr=0.1, labels=(0.0, 0.0), schedule=False, **options) -> ThreeLevels:
    """Losses ``|p|^2 / 2`` and ``-p_1`` at level 1, the distance to labels at levels 2 and 3."""
    A = torch.stack([torch.eye(2), torch.zeros(2, 2)]).double()
    b = torch.tensor([[0.0, 0.0], [1.0, 0.0]]).double()
    theta, omega = Quadratics(A, b, START), Point(START)
    valid = [{"y": torch.tensor([labels]).double()}, {"y": torch.tensor([(1.0, 1.0)]).double()}]
    return levels_of(
        theta,
        omega,
        (theta, omega),
        squared,
        (Cycle([EMPTY]), Cycle(valid[:1]), Cycle(valid)),
        names=("a", "b"),
        gamma=gamma,
        lr=lr,
        momentum=0.0,
        schedule=schedule,
        **options,
    )


def without_decay(levels):
    for level in (levels.pretrain, levels.finetune, levels.weights):
        level.optimizer.param_groups[0]["weight_decay"] = 0.0
    return levels


def test_level_one_follows_the_weighted_sum_of_its_losses():
    levels = without_decay(problem())
    batch = levels.pretrain.train_step()
    gradient = 0.5 * START + 0.5 * torch.tensor([-1.0, 0.0]).double()
    torch.testing.assert_close(levels.pretrain.parameters[0].detach(), START - 0.1 * gradient)
    assert batch is EMPTY and levels.pretrain.parameters[0].grad is None
    assert levels.pretrain.losses.tolist() == [12.5, -3.0] and levels.pretrain.value == 0.5 * 12.5 - 1.5
    assert not levels.pretrain.losses.requires_grad


def test_level_two_follows_the_task_and_the_proximal_term():
    levels = without_decay(problem(gamma=0.25, labels=(1.0, 1.0)))
    moved = START + torch.tensor([1.0, 2.0]).double()
    with torch.no_grad():
        levels.finetune.parameters[0].copy_(moved)
    levels.finetune.train_step()
    gradient = (moved - 1) + 2 * 0.25 * (moved - START)
    torch.testing.assert_close(levels.finetune.parameters[0].detach(), moved - 0.1 * gradient)
    assert levels.finetune.value == pytest.approx(0.5 * (9 + 9) + 0.25 * (1 + 4))
    assert levels.pretrain.parameters[0].grad is None, "level 1 is held"


@pytest.mark.parametrize(("clip", "length"), [(None, 5.0), (2.0, 2.0), (7.0, 5.0)])
def test_a_gradient_is_shortened_to_the_clip(clip, length):
    levels = without_decay(problem(gamma=1e-3, clip=clip))  # the gradient at (3, -4) has length 5
    levels.finetune.train_step()
    moved = (levels.finetune.parameters[0].detach() - START).norm() / 0.1
    assert moved.item() == pytest.approx(length, rel=1e-5)


def test_a_schedule_advances_with_every_update_and_only_then():
    levels = problem(schedule=True)
    for _ in range(7):
        assert levels.finetune.optimizer.param_groups[0]["lr"] == 0.1
        levels.finetune.train_step()
    assert levels.finetune.optimizer.param_groups[0]["lr"] == pytest.approx(0.09)
    assert levels.pretrain.optimizer.param_groups[0]["lr"] == 0.1


def test_the_gradients_of_a_step_may_come_from_elsewhere():
    levels, seen = without_decay(problem()), []

    def given(batch):
        seen.append(batch)
        levels.pretrain.parameters[0].grad = torch.ones(2).double()

    levels.pretrain.train_step(given)
    torch.testing.assert_close(levels.pretrain.parameters[0].detach(), START - 0.1)
    assert seen == [EMPTY] and math.isnan(levels.pretrain.value), "no loss was computed"


@pytest.mark.parametrize("schedule", [False, True])
def test_a_level_continues_from_its_state(schedule):
    whole, half, rest = (problem(schedule=schedule) for _ in range(3))
    for levels, steps in ((whole, 9), (half, 5)):
        for _ in range(steps):
            levels.finetune.train_step()
    rest.finetune.load_state_dict(deepcopy(half.finetune.state_dict()))
    for _ in range(4):
        rest.finetune.train_step()
    assert torch.equal(rest.finetune.parameters[0], whole.finetune.parameters[0])
    assert rest.finetune.state_dict()["scheduler"] == whole.finetune.state_dict()["scheduler"]
    assert set(rest.finetune.state_dict()) == {"module", "optimizer", "scheduler", "batches", "precision"}
    assert rest.finetune.batches.position == 9


def test_a_step_in_half_precision_is_that_of_the_loss_itself():
    level = without_decay(problem(gamma=1e-3, clip=2.0)).finetune
    level.precision = Precision("float16")  # its loss is 65536 times as large
    level.train_step()
    torch.testing.assert_close(level.parameters[0].detach(), START * (1 - 0.1 * 2 / 5), rtol=1e-5, atol=0)


def test_the_scale_of_losses_in_half_precision_is_kept_too():
    level = problem().finetune
    level.precision = Precision("float16")
    state = level.state_dict()
    state["precision"]["scale"] = 128.0
    level.load_state_dict(state)
    assert level.state_dict()["precision"]["scale"] == 128.0


@pytest.mark.parametrize(
    ("level", "what"),
    [
        ("pretrain", "objective 'a' has the loss inf"),
        ("finetune", "the loss of level 'finetune' is not finite"),
    ],
)
def test_a_loss_that_is_not_finite_is_named_with_what_may_help(level, what):
    levels = problem()
    with torch.no_grad():
        getattr(levels, level).parameters[0].fill_(1e200)
    with pytest.raises(DivergedError) as caught:
        getattr(levels, level).train_step()
    assert str(caught.value).startswith(what) and str(caught.value).endswith(f"; {HINT}")


def test_a_gradient_that_is_not_finite_is_named_and_updates_nothing():
    levels = problem()

    def given(batch):
        levels.finetune.parameters[0].grad = torch.tensor([1.0, math.inf]).double()

    with pytest.raises(DivergedError, match="the gradient of level 'finetune' is not finite"):
        levels.finetune.train_step(given)
    assert torch.equal(levels.finetune.parameters[0], START)


def test_what_is_finite_passes():
    value = torch.tensor([1.0, -2.0])
    assert require_finite(value, "it") is value
    require_finite_losses({"a": 1.0, "b": -3.0})
    with pytest.raises(DivergedError, match=r"^it is not finite \(\[1.0, nan\]\); "):
        require_finite(torch.tensor([1.0, math.nan], requires_grad=True), "it")
    with pytest.raises(DivergedError, match=r"^objective 'b' has the loss nan; "):
        require_finite_losses({"a": 1.0, "b": math.nan, "c": math.inf})


def test_level_three_averages_over_the_batches_it_accumulates():
    levels = problem()
    single = [levels.weights.loss(levels.weights.next_batch()) for _ in range(2)]
    levels.weights.accumulate = 2
    loss = levels.weights.loss(levels.weights.next_batch())
    assert levels.weights.value == loss.item() == pytest.approx((single[0] + single[1]).item() / 2)
    (found,) = torch.autograd.grad(loss, levels.finetune.parameters)
    torch.testing.assert_close(found, START - 0.5, msg="the mean of the distances to (0, 0) and (1, 1)")
    assert levels.weights.batches.position == 4


def test_level_three_may_validate_a_model_without_a_level():
    task = Point(START)
    shared = SharedTask(task, squared)
    frozen = nn.ParameterList([nn.Parameter(torch.zeros(1), requires_grad=False)])
    assert [id(p) for p in shared.parameters] == [id(task.point)]
    assert SharedTask(frozen, squared).parameters == ()
    mixture = problem().mixture
    level = WeightLevel(
        module=mixture,
        batches=Cycle([{"y": torch.zeros(1, 2).double()}]),
        optimizer=torch.optim.SGD(mixture.parameters(), lr=0.1),
        finetuning=shared,
    )
    assert level.loss(level.next_batch()).item() == 12.5 and level.name == "weights"


def test_shared_parameters_are_those_of_the_backbone_that_train():
    def backbone():
        return nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, bias=False))

    lower, copy = backbone(), backbone()
    upper = nn.ModuleDict({"before": nn.Linear(3, 3), "backbone": copy, "head": nn.Linear(2, 1)})
    copy[0].bias.requires_grad_(False)
    positions, anchor = shared_parameters(upper, copy, lower)
    assert positions == (2, 3), "after the two of the layer before, without the frozen one"
    assert [id(p) for p in anchor] == [id(lower[0].weight), id(lower[1].weight)]
    with pytest.raises(AssertionError, match="differ"):
        shared_parameters(upper, copy, nn.Sequential(nn.Linear(2, 5), nn.Linear(2, 2, bias=False)))
