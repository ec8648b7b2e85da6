"""Arithmetic on points and directions of parameter space."""

from __future__ import annotations

import torch
from torch import Tensor

from molweight.tapweight.typing import Params


def dot(a: Params, b: Params) -> Tensor:
    """The inner product of two directions, a scalar."""
    return torch.stack([(x * y).sum() for x, y in zip(a, b, strict=True)]).sum()


def norm(a: Params) -> Tensor:
    """The Euclidean length of a direction, a scalar."""
    return dot(a, a).sqrt()


def axpy(a: float, x: Params, y: Params) -> Params:
    """``a * x + y``."""
    return tuple(yi.add(xi, alpha=a) for xi, yi in zip(x, y, strict=True))


def scaled(a: float, x: Params) -> Params:
    """``a * x``."""
    return tuple(a * xi for xi in x)


def times(d: Params, x: Params) -> Params:
    """A diagonal matrix times a direction, element by element."""
    return tuple(di * xi for di, xi in zip(d, x, strict=True))
