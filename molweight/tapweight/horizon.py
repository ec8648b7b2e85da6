"""The inverse Hessian that a finite training deserves: what T steps of SGD do, and no more.

Implicit differentiation asks for ``H^-1 b``, the response of a *converged* level to a force ``b``. A level
that takes T steps of size lr responds by ``f(H) b``, where f(h) is what these steps make of a force of one
in a direction of curvature h: about ``1/h`` where ``lr T h >> 1``, about ``lr T`` where ``h`` is small, and
finite where h is negative. So flat and negative directions need neither damping nor a guard.

A level trained by Adam responds by ``D^1/2 f(D^1/2 H D^1/2) D^1/2 b`` with Adam's diagonal D, held fixed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from molweight.errors import ConfigError
from molweight.tapweight.dynamics import Dynamics
from molweight.tapweight.inverse import Inverse, preconditioned
from molweight.tapweight.typing import MatVec, Params, Solve
from molweight.tapweight.vectors import axpy, dot, norm, scaled

BREAKDOWN = 1e-10  # relative to b: nothing new is left to look at


@dataclass(frozen=True, kw_only=True)
class TruncatedInverse(Inverse):
    """``f(H) b`` by Lanczos: exact for a quadratic loss once ``iterations`` reaches its dimension.

    Args:
        steps: T, the steps over which the level responds, > 0.
        lr: learning rate, > 0; None follows the level's optimiser: learning rate, momentum and dampening.
        momentum: [0, 1), where ``lr`` is given.
        dampening: [0, 1), where ``lr`` is given.
        iterations: Hessian products, > 0.
        precondition: respond in the metric of the level's optimiser, as it does.

    >>> short, long = TruncatedInverse(steps=10, lr=0.1), TruncatedInverse(steps=1000, lr=0.1)
    >>> short.response(torch.tensor([0.0, 0.1, 2.0]))
    tensor([1.0000, 0.9562, 0.4463])
    >>> long.response(torch.tensor([0.1, 2.0]))
    tensor([9.9996, 0.5000])
    """

    steps: int
    lr: float | None = None
    momentum: float = 0.0
    dampening: float = 0.0
    iterations: int = 5
    precondition: bool = True

    def __post_init__(self) -> None:
        fractions = 0 <= self.momentum < 1 and 0 <= self.dampening < 1
        if not ((self.lr is None or self.lr > 0) and self.steps > 0 and fractions and self.iterations > 0):
            raise ConfigError(
                "a training horizon needs lr > 0 or null, steps > 0, 0 <= momentum < 1, 0 <= dampening < 1 "
                f"and iterations > 0, got {self.lr}, {self.steps}, {self.momentum}, {self.dampening}, "
                f"{self.iterations}"
            )

    def for_optimizer(self, dynamics: Dynamics) -> Solve:
        """With the level's learning rate and momentum, unless given, and its diagonal."""
        method = self
        if self.lr is None:
            method = replace(self, lr=dynamics.lr, momentum=dynamics.momentum, dampening=dynamics.dampening)
        if not self.precondition or dynamics.scale is None:
            return method
        return preconditioned(method, dynamics.scale)

    def response(self, curvature: Tensor) -> Tensor:
        """``f(h)`` for every curvature [m]: training on ``h x^2 / 2 - x`` from ``x = 0``.

        Negative curvature lets a force grow, in truth until the quadratic model ends. It is trusted up
        to ``-1 / reach``, where ``reach`` is the response without curvature: growth by about e - 1 = 1.7.
        Beyond ``1 / lr`` a quadratic model oscillates or diverges, where training settles: there f is
        ``1/h``.
        """
        assert self.lr is not None, "for_optimizer() has not been called"
        reach = self.lr * self.steps * (1 - self.dampening) / (1 - self.momentum)
        steepest = 1 / (self.lr * (1 - self.dampening))
        curbed = curvature.clamp(min=-1 / reach)
        x, velocity = torch.zeros_like(curvature), torch.zeros_like(curvature)
        for _ in range(self.steps):
            velocity = self.momentum * velocity + (1 - self.dampening) * (curbed * x - 1)
            x = x - self.lr * velocity
        return torch.where(curvature > steepest, 1 / curvature, x)

    def __call__(self, matvec: MatVec, b: Params) -> Params:
        """The response to ``b``; zero to zero."""
        length = norm(b).item()
        if length == 0:
            return b
        basis, tridiagonal = self.krylov(matvec, scaled(1 / length, b))
        curvatures, vectors = torch.linalg.eigh(tridiagonal)
        coefficients = length * (vectors @ (self.response(curvatures) * vectors[0]))
        x = scaled(coefficients[0].item(), basis[0])
        for coefficient, direction in zip(coefficients[1:].tolist(), basis[1:], strict=True):
            x = axpy(coefficient, direction, x)
        return x

    def krylov(self, matvec: MatVec, start: Params) -> tuple[list[Params], Tensor]:
        """Orthonormal directions from a unit vector, and the Hessian among them, [m, m] float64."""
        basis: list[Params] = []
        diagonal: list[float] = []
        beside: list[float] = []
        direction, scale = start, 1.0
        while len(basis) < self.iterations:
            basis.append(direction)
            product = matvec(direction)
            diagonal.append(dot(product, direction).item())
            scale = max(scale, norm(product).item())
            for _ in range(2):  # twice is enough (Parlett): float32 loses orthogonality at once
                for old in basis:
                    product = axpy(-dot(product, old).item(), old, product)
            left = norm(product).item()
            if left <= BREAKDOWN * scale:
                break
            beside.append(left)
            direction = scaled(1 / left, product)
        matrix = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
        for i, value in enumerate(beside[: len(basis) - 1]):
            matrix[i, i + 1] = matrix[i + 1, i] = value
        return basis, matrix


TrainingHorizon = TruncatedInverse  # as configurations written before called it
