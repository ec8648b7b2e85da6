"""Names for the few shapes of function that the optimiser is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor

Params = tuple[Tensor, ...]
"""A point or a direction in parameter space, one tensor per parameter."""

Batch = Mapping[str, Tensor]
"""Named tensors whose first dimension is the batch; nested ones: :mod:`molweight.tapweight.batches`."""

LevelBatches = Mapping[str, Batch]
"""The last batch of every lower level, by the level's name."""

StateDict = dict[str, Any]
"""What ``torch.save`` writes of an object: nested containers of tensors and plain values."""

MatVec = Callable[[Params], Params]
"""Multiplies a direction by a symmetric matrix, here a Hessian."""

Solve = Callable[[MatVec, Params], Params]
"""``(matvec, b) -> x`` with ``matvec(x) = b``, approximately."""

PureLoss = Callable[[Params], Tensor]
"""A scalar loss at given parameters; everything else (batch, random numbers) is fixed."""

HessianProduct = Callable[[PureLoss, Params], MatVec]
"""``(loss, point) -> matvec``: multiplication by the Hessian of a loss at a point."""

PureLosses = Callable[[Params], Tensor]
"""Losses ``[k]`` at given parameters; everything else (batch, random numbers) is fixed."""

Directional = Callable[[PureLosses, Params, Params], Tensor]
"""``(losses, point, direction) -> [k]``: the derivative of every loss along the direction."""


TaskLoss = Callable[[Tensor, Batch], Tensor]
"""``(outputs [b, t], batch) -> scalar``"""


class Batches(Protocol):
    """An endless, resumable stream of batches."""

    def next(self) -> Batch:
        """The next batch."""

    def state_dict(self) -> StateDict:
        """The position in the stream, as plain numbers."""

    def load_state_dict(self, state: StateDict) -> None:
        """Continue at a saved position."""
