"""What is read off an optimiser: rates and scales of each parameter, in groups of their own."""

from __future__ import annotations

import pytest
import torch

from molweight.tapweight.dynamics import Dynamics, dynamics_of


def parameters_of(*sizes):
    return tuple(torch.zeros(n, requires_grad=True) for n in sizes)


def test_a_rate_of_its_own_scales_a_parameter():
    first, second, third = parameters_of(2, 3, 4)
    groups = [{"params": [second], "lr": 0.3}, {"params": [first, third]}]
    sgd = torch.optim.SGD(groups, lr=0.1, momentum=0.7)
    dynamics = dynamics_of(sgd, (first, second, third))
    assert (dynamics.lr, dynamics.momentum, dynamics.dampening) == (0.1, 0.7, 0.0)
    assert [s.shape for s in dynamics.scale] == [(2,), (3,), (4,)]
    assert [s[0].item() for s in dynamics.scale] == pytest.approx([1.0, 3.0, 1.0])
    assert dynamics_of(sgd, (first, third)).scale is None, "both at the rate of their group"
    assert dynamics_of(sgd, (second,)) == Dynamics(lr=0.3, momentum=0.7)


def test_plain_sgd_has_no_momentum():
    parameters = parameters_of(2)
    assert dynamics_of(torch.optim.SGD(parameters, lr=0.1), parameters) == Dynamics(lr=0.1)


@pytest.mark.parametrize("steps", [1, 5])
def test_the_scale_of_adam_in_closed_form(steps):
    """Under a gradient that stays g, the corrected second moment is g squared."""
    first, second = (torch.zeros(2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    groups = [{"params": [first]}, {"params": [second], "lr": 0.06, "betas": (0.5, 0.7), "eps": 0.5}]
    adam = torch.optim.Adam(groups, lr=0.02, betas=(0.8, 0.9), eps=0.25)
    gradient = torch.tensor([2.0, -4.0], dtype=torch.float64)
    for _ in range(steps):
        first.grad, second.grad = gradient.clone(), gradient.clone()
        adam.step()
    dynamics = dynamics_of(adam, (first, second))
    assert (dynamics.lr, dynamics.momentum, dynamics.dampening) == (0.02, 0.8, 0.8)
    torch.testing.assert_close(dynamics.scale[0], 1 / (gradient.abs() + 0.25))
    torch.testing.assert_close(dynamics.scale[1], 3 / (gradient.abs() + 0.5))
    assert not any(s.requires_grad for s in dynamics.scale)


def test_a_parameter_that_adam_has_not_moved_has_scale_one_and_the_next_its_own():
    still, moved = parameters_of(2, 3)
    adam = torch.optim.Adam([still, moved], lr=0.1)
    moved.grad = torch.full((3,), 2.0)
    adam.step()
    scale = dynamics_of(adam, (still, moved)).scale
    assert scale[0].tolist() == [1.0, 1.0] and scale[1].tolist() == pytest.approx([0.5] * 3)


def test_the_scale_has_the_layout_in_memory_of_its_parameter():
    parameter = torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last).requires_grad_()
    adam = torch.optim.Adam([parameter], lr=0.1)
    parameter.grad = torch.ones_like(parameter)
    adam.step()
    state = adam.state[parameter]
    state["exp_avg_sq"] = state["exp_avg_sq"].contiguous()
    assert dynamics_of(adam, (parameter,)).scale[0].stride() == parameter.stride()


def test_a_schedule_leaves_the_rate_and_the_ratio_of_rates():
    first, second = parameters_of(1, 1)
    sgd = torch.optim.SGD([{"params": [first]}, {"params": [second], "lr": 0.4}], lr=0.2)
    torch.optim.lr_scheduler.LambdaLR(sgd, [lambda step: 0.5, lambda step: 0.125])
    dynamics = dynamics_of(sgd, (first, second))
    assert dynamics.lr == 0.2 and [s.item() for s in dynamics.scale] == [1.0, 2.0]
