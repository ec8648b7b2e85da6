"""The response of a finite training, against the training itself."""

from __future__ import annotations

import math

import pytest
import torch
from problems import matvec_of, symmetric

from molweight.errors import ConfigError
from molweight.tapweight.dynamics import Dynamics
from molweight.tapweight.horizon import TruncatedInverse

D = 7


B = torch.randn(D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(
    "values",
    [(0.1, 0.3, 1.0, 2.0, 5.0, 8.0, 9.0), (-0.06, -0.02, 0.0, 0.5, 1.0, 3.0, 7.0)],
    ids=["convex", "indefinite"],
)
def test_equals_sgd_on_the_quadratic(momentum, values):
    H = symmetric(values)
    point = torch.nn.Parameter(torch.zeros(D, dtype=torch.float64))
    optimizer = torch.optim.SGD([point], lr=0.05, momentum=momentum)
    for _ in range(30):
        optimizer.zero_grad()
        (0.5 * point @ H @ point - B @ point).backward()
        optimizer.step()
    horizon = TruncatedInverse(lr=0.05, steps=30, momentum=momentum, iterations=D)
    found = torch.cat(horizon(matvec_of(H), (B[:3], B[3:])))
    torch.testing.assert_close(found, point.detach(), rtol=1e-8, atol=1e-8)


def test_curvature_is_trusted_between_slow_growth_and_one_step():
    horizon = TruncatedInverse(lr=0.05, steps=30)
    reach = 0.05 * 30
    flat, edge, hollow, steep = horizon.response(
        torch.tensor([0.0, -1 / reach, -1e6, 1e6], dtype=torch.float64)
    ).tolist()
    assert flat == pytest.approx(reach)
    assert hollow == edge and 1.6 < edge / reach < math.e - 1, "growth ends near e - 1"
    assert steep == pytest.approx(1e-6), "a settled level, not an exploding one"
    curvatures = torch.logspace(-3, 6, 200, dtype=torch.float64)
    assert (horizon.response(curvatures).diff() <= 1e-12).all(), "steeper is never softer"


def trained(h, *, lr, steps, momentum, dampening):
    """Where ``steps`` of ``velocity = momentum velocity + (1 - dampening) (h x - 1)`` lead from zero."""
    x = velocity = 0.0
    for _ in range(steps):
        velocity = momentum * velocity + (1 - dampening) * (h * x - 1)
        x -= lr * velocity
    return x


@pytest.mark.parametrize(("momentum", "dampening"), [(0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5)])
def test_between_its_limits_the_response_is_the_training_with_dampening(momentum, dampening):
    rule = {"lr": 0.05, "steps": 6, "momentum": momentum, "dampening": dampening}
    reach, steepest = 0.05 * 6 * (1 - dampening) / (1 - momentum), 1 / (0.05 * (1 - dampening))
    inside = [-1 / reach, -0.5 / reach, 0.0, 0.5 * steepest, steepest]
    outside = [-1.01 / reach, -2 / reach, 1.01 * steepest, 1.9 * steepest, 1e9]
    found = TruncatedInverse(**rule).response(torch.tensor(inside + outside, dtype=torch.float64)).tolist()
    assert found[:5] == pytest.approx([trained(h, **rule) for h in inside])
    assert found[5:] == pytest.approx([found[0]] * 2 + [1 / h for h in outside[2:]])


def test_a_given_rate_is_kept_whatever_the_optimiser():
    given = TruncatedInverse(lr=0.1, steps=5, momentum=0.3)
    assert given.for_optimizer(Dynamics(lr=0.7, momentum=0.9)) is given
    followed = TruncatedInverse(steps=5).for_optimizer(Dynamics(lr=0.7, momentum=0.9, dampening=0.2))
    assert followed == TruncatedInverse(steps=5, lr=0.7, momentum=0.9, dampening=0.2)
    in_place = TruncatedInverse(lr=0.1, steps=5, precondition=False)
    assert in_place.for_optimizer(Dynamics(lr=0.7, scale=(B,))) is in_place


@pytest.mark.parametrize(
    ("size", "coupling", "directions"), [(1, 1.5e-10, 2), (1, 0.9e-10, 1), (100, 5e-9, 1)]
)
def test_a_coupling_is_followed_down_to_rounding(size, coupling, directions):
    """Relative to the product, or to one where that is shorter."""
    H = torch.tensor([[size, coupling], [coupling, size]], dtype=torch.float64)
    start = (torch.tensor([1.0, 0.0], dtype=torch.float64),)
    basis, matrix = TruncatedInverse(lr=0.1, steps=5).krylov(lambda d: (H @ d[0],), start)
    assert len(basis) == directions and matrix.shape == (directions, directions)


@pytest.mark.parametrize("iterations", [1, 3])
def test_it_spends_the_products_that_it_may(iterations):
    H, calls = symmetric((1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)), []

    def counted(direction):
        calls.append(1)
        return matvec_of(H)(direction)

    horizon = TruncatedInverse(lr=0.1, steps=5, iterations=iterations)
    basis, matrix = horizon.krylov(counted, (B[:3] / B.norm(), B[3:] / B.norm()))
    assert len(calls) == len(basis) == len(matrix) == iterations
    Q = torch.stack([torch.cat(direction) for direction in basis])
    torch.testing.assert_close(Q @ Q.T, torch.eye(iterations, dtype=torch.float64))
    torch.testing.assert_close(Q @ H @ Q.T, matrix)


def test_a_long_training_is_the_inverse():
    H = symmetric((1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0))
    found = torch.cat(TruncatedInverse(lr=0.1, steps=400, iterations=D)(matvec_of(H), (B[:3], B[3:])))
    torch.testing.assert_close(found, torch.linalg.solve(H, B))


def test_a_short_training_is_the_identity_and_few_products_suffice():
    H = symmetric((-3.0, -1.0, 0.0, 2.0, 5.0, 20.0, 90.0))
    found = torch.cat(TruncatedInverse(lr=1e-6, steps=10, iterations=2)(matvec_of(H), (B[:3], B[3:])))
    torch.testing.assert_close(found, 1e-5 * B, rtol=1e-2, atol=1e-8)


def test_stops_when_no_direction_is_left():
    horizon, calls = TruncatedInverse(lr=0.1, steps=5, iterations=6), []

    def twice(direction):
        calls.append(1)
        return tuple(2 * d for d in direction)

    b = (torch.ones(3), torch.ones(2))
    found = horizon(twice, b)
    assert len(calls) == 1
    expected = horizon.response(torch.tensor([2.0])).item()
    for x in found:
        torch.testing.assert_close(x, torch.full_like(x, expected))
    zero = (torch.zeros(3),)
    assert torch.equal(horizon(twice, zero)[0], zero[0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"lr": 0.0},
        {"steps": 0},
        {"momentum": 1.0},
        {"iterations": 0},
        {"dampening": 1.0},
        {"dampening": -0.1},
        {"momentum": -0.1},
    ],
)
def test_bad_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match="training horizon"):
        TruncatedInverse(**({"lr": 0.1, "steps": 5} | wrong))


def test_one_step_answers_with_its_rate():
    (found,) = TruncatedInverse(lr=0.1, steps=1, iterations=1)(lambda d: (2 * d[0],), (B,))
    torch.testing.assert_close(found, 0.1 * B)
