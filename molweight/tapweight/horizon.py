"""The inverse Hessian that a finite training deserves: what T steps of SGD do, and no more.

Implicit differentiation asks for ``H^-1 b``, the response of a *converged* level to a force ``b``. A level
that takes T steps of size lr responds by ``f(H) b``, where f(h) is what these steps make of a force of one
in a direction of curvature h: about ``1/h`` where ``lr T h >> 1``, about ``lr T`` where ``h`` is small, and
finite where h is negative. So flat and negative directions need neither damping nor a guard.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from molweight.errors import ConfigError
from molweight.tapweight.inverse import axpy, scaled
from molweight.tapweight.products import dot, norm
from molweight.tapweight.typing import MatVec, Params

BREAKDOWN = 1e-10  # relative to b: nothing new is left to look at


@dataclass(frozen=True, kw_only=True)
class TrainingHorizon:
    """``f(H) b`` by Lanczos: exact for a quadratic loss once ``iterations`` reaches its dimension.

    Args:
        lr: learning rate of the level's SGD, > 0.
        steps: T, the steps over which the level responds, > 0.
        momentum: of the SGD, [0, 1).
        iterations: Hessian products, > 0.
    """

    lr: float
    steps: int
    momentum: float = 0.0
    iterations: int = 5

    def __post_init__(self) -> None:
        if not (self.lr > 0 and self.steps > 0 and 0 <= self.momentum < 1 and self.iterations > 0):
            raise ConfigError(
                "a training horizon needs lr > 0, steps > 0, 0 <= momentum < 1 and iterations > 0, got "
                f"{self.lr}, {self.steps}, {self.momentum}, {self.iterations}"
            )

    def response(self, curvature: Tensor) -> Tensor:
        """``f(h)`` for every curvature [m]: SGD on ``h x^2 / 2 - x`` from ``x = 0``."""
        x, velocity = torch.zeros_like(curvature), torch.zeros_like(curvature)
        for _ in range(self.steps):
            velocity = self.momentum * velocity + curvature * x - 1
            x = x - self.lr * velocity
        return x

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
