"""Hessian times direction, each way a function ``(loss, point) -> matvec``."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from molweight.errors import ConfigError
from molweight.tapweight.typing import MatVec, Params, PureLoss
from molweight.tapweight.vectors import norm


@dataclass(frozen=True)
class DoubleBackward:
    """Exact products by differentiating the gradient.

    The gradient's graph is built at the first product and reused by the others; a solver that asks for
    none pays nothing. Time: about two gradients to build, two for each product. Memory: that of a
    gradient, and its graph.

    >>> matvec = DoubleBackward()(lambda p: p[0].pow(3).sum(), (torch.tensor([1.0, 2.0]),))
    >>> matvec((torch.tensor([1.0, 1.0]),))
    (tensor([ 6., 12.]),)
    """

    def __call__(self, loss: PureLoss, point: Params) -> MatVec:
        """Multiplication by the Hessian of ``loss`` at ``point``."""
        leaves = tuple(p.detach().requires_grad_() for p in point)

        @functools.cache
        def gradients() -> tuple[Tensor | None, ...]:
            return torch.autograd.grad(loss(leaves), leaves, create_graph=True, allow_unused=True)

        def product(direction: Params) -> Params:
            pairs = zip(gradients(), direction, strict=True)
            moving = [(g, d) for g, d in pairs if g is not None and g.requires_grad]
            columns = torch.autograd.grad(
                [g for g, _ in moving],
                leaves,
                [d for _, d in moving],
                retain_graph=True,
                allow_unused=True,
            )
            return filled(columns, leaves)

        return product


@dataclass(frozen=True, kw_only=True)
class GradientDifference:
    """Products from differences of gradients: first order only, a gradient's time and memory each.

    ``H d ~ (g(p + e d) - g(p)) / e`` with ``e = radius / |d|``; the gradient at the point is shared by all
    products. Both sides see the same random numbers and statistics, because the loss is pure.

    Args:
        radius: length of the step, > 0.
        central: differences to both sides: twice the time, an error of second order.
    """

    radius: float = 0.01
    central: bool = False

    def __post_init__(self) -> None:
        if not self.radius > 0:
            raise ConfigError(f"the radius of a gradient difference must be > 0, got {self.radius}")

    def __call__(self, loss: PureLoss, point: Params) -> MatVec:
        """Multiplication by the Hessian of ``loss`` at ``point``, approximately."""
        point = tuple(p.detach() for p in point)

        def gradient(shift: float, direction: Params) -> Params:
            leaves = tuple((p + shift * d).requires_grad_() for p, d in zip(point, direction, strict=True))
            return filled(torch.autograd.grad(loss(leaves), leaves, allow_unused=True), leaves)

        @functools.cache
        def here() -> Params:
            return gradient(0.0, point)

        def product(direction: Params) -> Params:
            length = norm(direction).item()
            if length == 0:
                return direction
            step = self.radius / length
            behind, width = (gradient(-step, direction), 2 * step) if self.central else (here(), step)
            ahead = gradient(step, direction)
            return tuple((a - b) / width for a, b in zip(ahead, behind, strict=True))

        return product


def filled(columns: tuple[Tensor | None, ...], like: Params) -> Params:
    """Derivatives, with zeros for parameters that a loss does not depend on."""
    return tuple(torch.zeros_like(p) if c is None else c for c, p in zip(columns, like, strict=True))
