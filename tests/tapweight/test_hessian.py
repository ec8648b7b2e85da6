"""Products with Hessians, in closed form on a cubic: ``sum p^3`` has the Hessian ``diag(6 p)``."""

from __future__ import annotations

import pytest
import torch

from molweight.tapweight.hessian import DoubleBackward, GradientDifference

POINT = (torch.tensor([1.0, -2.0], dtype=torch.float64), torch.tensor([5.0], dtype=torch.float64))
DIRECTION = (torch.tensor([3.0, 4.0], dtype=torch.float64), torch.tensor([0.0], dtype=torch.float64))


def cubic(p):
    """It does not depend on the second parameter."""
    return p[0].pow(3).sum()


@pytest.mark.parametrize(("central", "bias"), [(False, 3 * 0.01 / 5), (True, 0.0)])
def test_a_difference_has_the_error_of_its_order(central, bias):
    """``(3 (p + e d)^2 - 3 p^2) / e = 6 p d + 3 e d^2``; to both sides the second term cancels."""
    first, second = GradientDifference(central=central)(cubic, POINT)(DIRECTION)
    torch.testing.assert_close(first, 6 * POINT[0] * DIRECTION[0] + bias * DIRECTION[0] ** 2)
    assert torch.equal(second, torch.zeros(1, dtype=torch.float64))


@pytest.mark.parametrize("central", [False, True])
@pytest.mark.parametrize("length", [0.0, 1.0])
def test_a_direction_of_any_length_is_multiplied(central, length):
    direction = (length * DIRECTION[0] / 5, DIRECTION[1])
    first, _ = GradientDifference(radius=1e-6, central=central)(cubic, POINT)(direction)
    torch.testing.assert_close(first, 6 * POINT[0] * direction[0], rtol=1e-5, atol=0)


def test_the_gradient_at_the_point_is_computed_once_for_all_products():
    calls = []

    def counted(p):
        calls.append(1)
        return cubic(p)

    product = GradientDifference()(counted, POINT)
    for _ in range(3):
        product(DIRECTION)
    assert len(calls) == 1 + 3


@pytest.mark.parametrize("method", [DoubleBackward(), GradientDifference()])
def test_a_direction_with_a_missing_part_is_an_error(method):
    with pytest.raises(ValueError, match="zip"):
        method(cubic, POINT)(DIRECTION[:1])
