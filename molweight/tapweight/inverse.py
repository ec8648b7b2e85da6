"""Inverse Hessians times a vector, each a function ``(matvec, b) -> x``."""

from __future__ import annotations

from dataclasses import dataclass

from molweight.errors import ConfigError
from molweight.tapweight.products import dot
from molweight.tapweight.typing import MatVec, Params


@dataclass(frozen=True)
class Identity:
    """``x = b``: the Hessian is taken for the identity, as published (Betty's ``darts``)."""

    def __call__(self, matvec: MatVec, b: Params) -> Params:
        """``b`` itself."""
        return b


@dataclass(frozen=True, kw_only=True)
class ConjugateGradient:
    """A few damped conjugate-gradient steps on ``(H + damping * I) x = b``.

    Stops at the first direction of non-positive curvature, where the quadratic model has no minimum,
    and returns what it has (steepest descent's answer ``b`` if that happens at once).

    Args:
        iterations: largest number of Hessian products, > 0.
        damping: added to the diagonal, >= 0. Hessians of networks are indefinite: below about 0.3 the
            guard fires often.
        tolerance: stop when the residual is this fraction of ``b``.
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


def axpy(a: float, x: Params, y: Params) -> Params:
    """``a * x + y``."""
    return tuple(yi.add(xi, alpha=a) for xi, yi in zip(x, y, strict=True))


def scaled(a: float, x: Params) -> Params:
    """``a * x``."""
    return tuple(a * xi for xi in x)
