"""The response of a finite training, against the training itself."""

from __future__ import annotations

import math

import pytest
import torch
from problems import matvec_of, symmetric

from molweight.errors import ConfigError
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


@pytest.mark.parametrize("wrong", [{"lr": 0.0}, {"steps": 0}, {"momentum": 1.0}, {"iterations": 0}])
def test_bad_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match="training horizon"):
        TruncatedInverse(**({"lr": 0.1, "steps": 5} | wrong))
