"""K losses differentiated along one direction."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import forward_ad

from molweight.errors import ConfigError
from molweight.tapweight.typing import Params, PureLosses
from molweight.tapweight.vectors import norm


@contextmanager
def quietly() -> Iterator[None]:
    """Without the warning about its own ``torch.jit.script`` that torch gives at the first dual number."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        yield


@dataclass(frozen=True)
class ForwardMode:
    """``<grad L_k, direction>`` for every k, exactly, in one forward pass with dual numbers.

    >>> point, direction = (torch.tensor([1.0, 2.0]),), (torch.tensor([1.0, 0.0]),)
    >>> ForwardMode()(lambda p: torch.stack([p[0].square().sum(), p[0].prod()]), point, direction)
    tensor([2., 2.])
    """

    def __call__(self, losses: PureLosses, point: Params, direction: Params) -> Tensor:
        """The derivatives, [k]; the cost does not depend on k beyond that of the losses themselves."""
        with torch.no_grad(), quietly(), forward_ad.dual_level():
            pairs = zip(point, direction, strict=True)
            dual = tuple(forward_ad.make_dual(p.detach(), d.detach()) for p, d in pairs)  # type: ignore[no-untyped-call]
            primal, tangent = forward_ad.unpack_dual(losses(dual))  # type: ignore[no-untyped-call]
        if tangent is None:  # no loss depends on a parameter that the direction moves
            return torch.zeros_like(primal)
        derivatives: Tensor = tangent.detach().clone()
        return derivatives


@dataclass(frozen=True, kw_only=True)
class CentralDifference:
    """``(L_k(p + e d) - L_k(p - e d)) / 2e`` for every k, with two forward passes of the losses.

    Both sides see the same random numbers and statistics, because the losses are pure.

    Args:
        radius: length of the step, > 0; ``e = radius / |d|``. Betty, ``darts_alpha``: 0.01.
    """

    radius: float = 0.01

    def __post_init__(self) -> None:
        if not self.radius > 0:
            raise ConfigError(f"the radius of a finite difference must be > 0, got {self.radius}")

    def __call__(self, losses: PureLosses, point: Params, direction: Params) -> Tensor:
        """The differences, [k]; zero along a zero direction."""
        length = norm(direction).item()
        if length == 0:
            with torch.no_grad():
                return torch.zeros_like(losses(point))
        step = self.radius / length
        with torch.no_grad():
            ahead = losses(tuple(p + step * d for p, d in zip(point, direction, strict=True)))
            behind = losses(tuple(p - step * d for p, d in zip(point, direction, strict=True)))
        return (ahead - behind) / (2 * step)
