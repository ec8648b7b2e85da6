"""Derivatives along a direction, in closed form."""

from __future__ import annotations

import pytest
import torch

from molweight.tapweight.directional import CentralDifference, ForwardMode

POINT = (torch.tensor([1.0, -2.0], dtype=torch.float64), torch.tensor([5.0], dtype=torch.float64))


def losses(p):
    """Squares and a product; their derivatives along d are ``2 p d`` and ``p2 d1 + p1 d2``."""
    return torch.stack([p[0].square().sum(), p[0].prod(), p[0].new_ones(())])


@pytest.mark.parametrize("method", [ForwardMode(), CentralDifference()], ids=["forward", "difference"])
@pytest.mark.parametrize("length", [0.0, 1.0, 10.0])
def test_derivatives_are_proportional_to_the_direction(method, length):
    direction = (length * torch.tensor([0.6, 0.8], dtype=torch.float64), torch.zeros(1).double())
    found = method(losses, POINT, direction)
    torch.testing.assert_close(found, length * torch.tensor([-2.0, -0.4, 0.0], dtype=torch.float64))
    assert not found.requires_grad


def test_a_difference_takes_a_step_of_its_radius():
    """``((p + r)^3 - (p - r)^3) / 2r = 3 p^2 + r^2``."""
    found = CentralDifference(radius=0.5)(
        lambda p: p[0].pow(3), (torch.tensor([2.0]),), (torch.tensor([1.0]),)
    )
    assert found.tolist() == [12.25]


def test_no_loss_depends_on_what_moves():
    direction = (torch.zeros(2).double(), torch.ones(1).double())
    assert ForwardMode()(lambda p: torch.ones(3), POINT, direction).tolist() == [0, 0, 0]


@pytest.mark.parametrize("method", [ForwardMode(), CentralDifference()], ids=["forward", "difference"])
def test_a_direction_with_a_missing_part_is_an_error(method):
    with pytest.raises(ValueError, match="zip"):
        method(losses, POINT, (torch.ones(2).double(),))
