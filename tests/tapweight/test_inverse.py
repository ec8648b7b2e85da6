"""Inverse Hessians against dense linear algebra."""

from __future__ import annotations

import pytest
import torch
from problems import matvec_of, symmetric

from molweight.errors import ConfigError
from molweight.tapweight.dynamics import Dynamics, dynamics_of
from molweight.tapweight.horizon import TruncatedInverse
from molweight.tapweight.inverse import ConjugateGradient, Identity, Neumann

D = 7
METHODS = [Identity(), Neumann(), ConjugateGradient(), TruncatedInverse(steps=20, lr=0.05)]


def vector(seed=1):
    b = torch.randn(D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return b[:3], b[3:]


def solved(method, H, b):
    return torch.cat(method(matvec_of(H), b))


WELL = symmetric((1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0))
ILL = symmetric((1e-3, 1e-2, 0.1, 1.0, 10.0, 50.0, 100.0))
INDEFINITE = symmetric((-30.0, -1.0, 0.0, 0.5, 2.0, 10.0, 20.0))


def test_a_long_neumann_series_is_the_inverse():
    b = vector()
    found = solved(Neumann(iterations=400), WELL, b)
    torch.testing.assert_close(found, torch.linalg.solve(WELL, torch.cat(b)))


def test_a_neumann_series_is_the_polynomial_it_claims_to_be():
    b, method = vector(), Neumann(iterations=6)
    eta = 1 / (method.safety * method.largest(matvec_of(ILL), b))
    factor = torch.eye(D).double() - eta * ILL
    expected = eta * sum(torch.linalg.matrix_power(factor, i) @ torch.cat(b) for i in range(7))
    torch.testing.assert_close(solved(method, ILL, b), expected)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("H", [WELL, ILL, INDEFINITE, -ILL], ids=["well", "ill", "indefinite", "negative"])
def test_a_neumann_series_cannot_diverge(H, seed):
    """However many terms, the sum is at most as long as as many copies of b, times the step."""
    b = vector(seed)
    for iterations in (1, 10, 1000):
        method = Neumann(iterations=iterations, power=2)
        eta = 1 / (method.safety * method.largest(matvec_of(H), b))
        found = solved(method, H, b)
        assert found.isfinite().all()
        assert found.norm() <= eta * (iterations + 1) * torch.cat(b).norm() * (1 + 1e-9)


def test_the_power_bound_is_below_and_near_the_largest_curvature():
    for H in (WELL, ILL, INDEFINITE):
        truth = torch.linalg.eigvalsh(H).abs().max().item()
        found = Neumann(power=30).largest(matvec_of(H), vector())
        assert 0.95 * truth < found <= truth * (1 + 1e-9)
        assert Neumann(power=5).largest(matvec_of(H), vector()) > 0.6 * truth
    small = Neumann(power=1, safety=1.0).largest(lambda d: tuple(0.01 * x for x in d), vector())
    assert small == pytest.approx(0.01)


@pytest.mark.parametrize("H, iterations", [(WELL, 7), (ILL, 40)], ids=["well", "ill"])
def test_conjugate_gradient_solves_with_its_damping(H, iterations):
    b = vector()
    found = solved(ConjugateGradient(iterations=iterations, damping=0.5, tolerance=0.0), H, b)
    expected = torch.linalg.solve(H + 0.5 * torch.eye(D).double(), torch.cat(b))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_conjugate_gradient_stops_at_negative_curvature():
    b = (torch.tensor([1.0, 2.0]),)
    assert ConjugateGradient(damping=0.1)(lambda d: (-d[0],), b) is b
    found = solved(ConjugateGradient(iterations=50, damping=0.1), INDEFINITE, vector())
    assert found.isfinite().all()


def test_a_flat_direction_gets_every_term_of_a_neumann_series():
    """Its terms never shrink: H = diag(1, 0) lets the second number of b through each time."""
    H = torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    b = (torch.tensor([1.0, 1.0], dtype=torch.float64),)
    method = Neumann(iterations=99, power=9, safety=1.5)
    (found,) = method(lambda d: (H @ d[0],), b)
    torch.testing.assert_close(found, torch.tensor([1.0, 100 / 1.5], dtype=torch.float64))


@pytest.mark.parametrize("length", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("tolerance", [0.1, 1e-3])
def test_conjugate_gradient_stops_as_soon_as_the_residual_is_the_tolerance(tolerance, length):
    b, calls = tuple(length * part for part in vector()), []

    def counted(direction):
        calls.append(1)
        return matvec_of(WELL)(direction)

    def residual(x):
        return (WELL @ torch.cat(x) - torch.cat(b)).norm() / torch.cat(b).norm()

    found = ConjugateGradient(iterations=50, damping=0.0, tolerance=tolerance)(counted, b)
    assert 1 < len(calls) < D and residual(found) <= tolerance
    earlier = ConjugateGradient(iterations=len(calls) - 1, damping=0.0, tolerance=0.0)
    assert residual(earlier(matvec_of(WELL), b)) > tolerance


def test_conjugate_gradient_returns_b_where_there_is_no_curvature_at_all():
    b = vector()
    assert ConjugateGradient(damping=0.0)(lambda d: tuple(0 * x for x in d), b) is b


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_zero_gives_zero(method):
    zero = (torch.zeros(3), torch.zeros(4))
    found = method(lambda d: tuple(2 * x for x in d), zero)
    assert all(torch.equal(x, z) for x, z in zip(found, zero, strict=True))


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_a_flat_loss_is_survived(method):
    found = method(lambda d: tuple(0 * x for x in d), vector())
    assert all(x.isfinite().all() for x in found) and torch.cat(found).norm() > 0


def test_preconditioning_is_a_change_of_variables():
    """``D^1/2 S(D^1/2 H D^1/2) D^1/2 b``: the exact inverse does not change, the identity becomes D."""
    diagonal = torch.linspace(0.1, 10, D, dtype=torch.float64)
    dynamics = Dynamics(lr=0.1, scale=(diagonal[:3], diagonal[3:]))
    b = vector()
    exact = ConjugateGradient(iterations=60, damping=0.0, tolerance=1e-14, precondition=True)
    torch.testing.assert_close(
        solved(exact.for_optimizer(dynamics), ILL, b),
        torch.linalg.solve(ILL, torch.cat(b)),
        rtol=1e-5,
        atol=1e-5,
    )
    torch.testing.assert_close(
        solved(Identity(precondition=True).for_optimizer(dynamics), ILL, b), diagonal * torch.cat(b)
    )
    assert Identity().for_optimizer(dynamics) == Identity()
    assert Identity(precondition=True).for_optimizer(Dynamics(lr=0.1)) == Identity(precondition=True)


def test_adams_diagonal_speeds_conjugate_gradient_up_where_it_fits():
    """On a badly scaled diagonal Hessian the matching diagonal makes one product enough."""
    h = torch.logspace(-2, 2, D, dtype=torch.float64)
    dynamics = Dynamics(lr=0.1, scale=(1 / h[:3], 1 / h[3:]))
    b, exact = vector(), torch.cat(vector()) / h
    one = ConjugateGradient(iterations=1, damping=0.0)
    assert (solved(one, torch.diag(h), b) - exact).norm() > 0.5 * exact.norm()
    found = solved(
        ConjugateGradient(iterations=1, damping=0.0, precondition=True).for_optimizer(dynamics),
        torch.diag(h),
        b,
    )
    torch.testing.assert_close(found, exact)


@pytest.mark.parametrize("amsgrad", [torch.optim.Adam, torch.optim.AdamW])
def test_the_next_step_of_adam_is_read_off_its_state(amsgrad):
    """lr * scale * (corrected first moment) is the step that torch's Adam makes."""
    torch.manual_seed(0)
    parameters = tuple(torch.randn(n, dtype=torch.float64, requires_grad=True) for n in (3, 4))
    optimizer = amsgrad(parameters, lr=0.02, weight_decay=0.0)
    for _ in range(4):
        for p in parameters:
            p.grad = torch.randn_like(p)
        before = [p.detach().clone() for p in parameters]
        optimizer.step()
    dynamics = dynamics_of(optimizer, parameters)
    assert dynamics.lr == 0.02 and dynamics.momentum == dynamics.dampening == 0.9
    for p, old, scale in zip(parameters, before, dynamics.scale, strict=True):
        first = optimizer.state[p]["exp_avg"] / (1 - 0.9**4)
        torch.testing.assert_close(p.detach(), old - dynamics.lr * scale * first)


def test_the_dynamics_of_sgd():
    parameters = (torch.zeros(3, requires_grad=True), torch.zeros(4, requires_grad=True))
    sgd = torch.optim.SGD(parameters, lr=0.1, momentum=0.8, dampening=0.3)
    assert dynamics_of(sgd, parameters) == Dynamics(lr=0.1, momentum=0.8, dampening=0.3)
    groups = [{"params": [parameters[1]], "lr": 0.4}, {"params": [parameters[0]], "lr": 0.1}]
    scale = dynamics_of(torch.optim.SGD(groups), parameters).scale
    assert [s.unique().item() for s in scale] == [1.0, 4.0]
    fresh = dynamics_of(torch.optim.AdamW(parameters), parameters)
    assert all(torch.equal(s, torch.ones_like(s)) for s in fresh.scale), "it has not stepped yet"


def test_the_rate_of_dynamics_is_that_of_the_whole_schedule():
    parameters = (torch.zeros(3, requires_grad=True),)
    sgd = torch.optim.SGD(parameters, lr=0.1)
    torch.optim.lr_scheduler.LambdaLR(sgd, lambda step: 0.25)
    assert sgd.param_groups[0]["lr"] == 0.025 and dynamics_of(sgd, parameters) == Dynamics(lr=0.1)


def test_other_optimisers_count_as_sgd_without_momentum():
    parameters = (torch.zeros(3, requires_grad=True),)
    assert dynamics_of(torch.optim.Adagrad(parameters, lr=0.3), parameters) == Dynamics(lr=0.3)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_a_horizon_that_follows_the_optimiser_is_its_training(name):
    """On a quadratic loss, T steps under a small constant force move by f(H) times it, momentum and all."""
    H = symmetric((-0.05, 0.0, 0.2, 1.0, 2.0, 4.0, 8.0))
    torch.manual_seed(3)
    point = torch.nn.Parameter(torch.zeros(D, dtype=torch.float64))
    force = torch.cat(vector())
    if name == "SGD":
        optimizer = torch.optim.SGD([point], lr=0.03, momentum=0.7)
        scale = torch.ones(D).double()
    else:
        optimizer = torch.optim.Adam([point], lr=0.03)
        scale = torch.rand(D).double() + 0.5
        optimizer.state[point] = {  # so old and so scaled that it stays fixed
            "step": torch.tensor(1e9),
            "exp_avg": torch.zeros(D).double(),
            "exp_avg_sq": scale.pow(-2),
        }
    found = TruncatedInverse(steps=25, iterations=D).for_optimizer(dynamics_of(optimizer, (point,)))(
        lambda d: (H @ d[0],), (force,)
    )
    if name == "Adam":
        optimizer.param_groups[0]["betas"] = (0.9, 1.0)
    for _ in range(25):
        if name == "SGD":
            point.grad = H @ point.detach() - force
            optimizer.step()
        else:  # torch's bias correction divides by zero at beta2 = 1
            state = optimizer.state[point]
            state["exp_avg"] = 0.9 * state["exp_avg"] + 0.1 * (H @ point.detach() - force)
            with torch.no_grad():
                point -= 0.03 * scale * state["exp_avg"]
    torch.testing.assert_close(found[0], point.detach(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ConjugateGradient(iterations=0), "iterations >= 1"),
        (lambda: ConjugateGradient(damping=-1.0), "damping >= 0"),
        (lambda: ConjugateGradient(tolerance=-1.0), "tolerance >= 0"),
        (lambda: Neumann(iterations=0), "Neumann series needs"),
        (lambda: Neumann(power=0), "power >= 1"),
        (lambda: Neumann(safety=0.5), "safety >= 1"),
    ],
)
def test_bad_settings_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
