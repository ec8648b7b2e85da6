"""Inverse Hessians times a vector, each a function ``(matvec, b) -> x``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from molweight.errors import ConfigError
from molweight.tapweight.dynamics import Dynamics
from molweight.tapweight.typing import MatVec, Params, Solve
from molweight.tapweight.vectors import axpy, dot, norm, scaled, times


@dataclass(frozen=True, kw_only=True)
class Inverse(ABC):
    """Approximates ``H^-1 b`` from products with H.

    Args:
        precondition: solve in the metric of the level's optimiser: with its diagonal D (Adam's second
            moments), ``x = D^1/2 S(D^1/2 H D^1/2) D^1/2 b`` for the method S. With SGD, D is one.
    """

    precondition: bool = False

    @abstractmethod
    def __call__(self, matvec: MatVec, b: Params) -> Params:
        """The approximate solution ``x`` of ``matvec(x) = b``; zero for zero."""

    def for_optimizer(self, dynamics: Dynamics) -> Solve:
        """The same method for a level that moves by given dynamics."""
        if not self.precondition or dynamics.scale is None:
            return self
        return preconditioned(self, dynamics.scale)


def preconditioned(solve: Solve, diagonal: Params) -> Solve:
    """``x = D^1/2 S(D^1/2 H D^1/2) D^1/2 b`` for a method S and a positive diagonal D."""
    root = tuple(d.sqrt() for d in diagonal)

    def solver(matvec: MatVec, b: Params) -> Params:
        return times(root, solve(lambda d: times(root, matvec(times(root, d))), times(root, b)))

    return solver


@dataclass(frozen=True, kw_only=True)
class Identity(Inverse):
    """``x = b``: the Hessian is taken for the identity, as published (Betty's ``darts``).

    With ``precondition`` it is taken for the optimiser's own diagonal: ``x = D b``.

    >>> import torch
    >>> Identity()(lambda d: (2 * d[0],), (torch.tensor([4.0, 6.0]),))
    (tensor([4., 6.]),)
    """

    def __call__(self, matvec: MatVec, b: Params) -> Params:
        """``b`` itself."""
        return b


@dataclass(frozen=True, kw_only=True)
class Neumann(Inverse):
    """``x = eta * sum_i (I - eta H)^i b``, the first terms of Neumann's series (Lorraine et al. 2020).

    The step ``eta`` comes from power iteration on H, started at ``b``; and the series ends at the first
    term that is longer than the one before it, which negative curvature or a bound that is too low brings
    about. So every term is at most as long as ``b``, and the sum cannot diverge.

    Args:
        iterations: terms after the first, > 0; one Hessian product each.
        power: products spent on the bound, > 0.
        safety: the bound is this many times the estimate, >= 1: power iteration approaches it from below.

    >>> import torch
    >>> H = torch.diag(torch.tensor([1.0, 2.0]))
    >>> (x,) = Neumann(iterations=50)(lambda d: (H @ d[0],), (torch.tensor([1.0, 1.0]),))
    >>> [round(value, 3) for value in x.tolist()]
    [1.0, 0.5]
    """

    iterations: int = 10
    power: int = 5
    safety: float = 1.2

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.power < 1 or self.safety < 1:
            raise ConfigError(
                "a Neumann series needs iterations >= 1, power >= 1 and safety >= 1, got "
                f"{self.iterations}, {self.power}, {self.safety}"
            )

    def __call__(self, matvec: MatVec, b: Params) -> Params:
        """The partial sum; ``b`` itself where the Hessian vanishes along it."""
        bound = self.safety * self.largest(matvec, b)
        if bound == 0:
            return b
        eta = 1 / bound
        term, total, length = b, b, norm(b).item()
        for _ in range(self.iterations):
            term = axpy(-eta, matvec(term), term)
            shorter = norm(term).item()
            if not shorter <= length:
                break
            total, length = axpy(1.0, term, total), shorter
        return scaled(eta, total)

    def largest(self, matvec: MatVec, b: Params) -> float:
        """The largest absolute curvature that power iteration from ``b`` finds."""
        direction, estimate = b, 0.0
        for _ in range(self.power):
            length = norm(direction).item()
            if length == 0:
                break
            direction = matvec(scaled(1 / length, direction))
            estimate = max(estimate, norm(direction).item())
        return estimate


@dataclass(frozen=True, kw_only=True)
class ConjugateGradient(Inverse):
    """A few damped conjugate-gradient steps on ``(H + damping * I) x = b``.

    Stops at the first direction of non-positive curvature, where the quadratic model has no minimum,
    and returns what it has (steepest descent's answer ``b`` if that happens at once).

    Args:
        iterations: largest number of Hessian products, > 0.
        damping: added to the diagonal, >= 0. Hessians of networks are indefinite: below about 0.3 the
            guard fires often. The right one is about ``1 / (lr * steps)`` of the training that is
            differentiated; :class:`~molweight.tapweight.horizon.TruncatedInverse` needs none.
        tolerance: stop when the residual is this fraction of ``b``.

    >>> import torch
    >>> H = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    >>> (x,) = ConjugateGradient(damping=0.0)(lambda d: (H @ d[0],), (torch.tensor([3.0, 4.0]),))
    >>> [round(value, 3) for value in x.tolist()]
    [1.0, 1.0]
    """

    iterations: int = 5
    damping: float = 0.3
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.damping < 0 or self.tolerance < 0:
            raise ConfigError(
                "conjugate gradient needs iterations >= 1, damping >= 0 and tolerance >= 0, got "
                f"{self.iterations}, {self.damping}, {self.tolerance}"
            )

    def __call__(self, matvec: MatVec, b: Params) -> Params:
        """The approximate solution of ``(H + damping * I) x = b``."""
        x: Params | None = None
        residual, direction = b, b
        rho = dot(residual, residual)
        goal = self.tolerance**2 * rho
        for _ in range(self.iterations):
            if rho <= goal:  # also b = 0
                break
            product = axpy(self.damping, direction, matvec(direction))
            curvature = dot(direction, product)
            if curvature <= 0:
                break
            step = (rho / curvature).item()
            x = scaled(step, direction) if x is None else axpy(step, direction, x)
            residual = axpy(-step, product, residual)
            previous, rho = rho, dot(residual, residual)
            direction = axpy((rho / previous).item(), direction, residual)
        return b if x is None else x
