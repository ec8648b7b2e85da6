"""The chain rule through the levels: from the validation loss to the objectives' weights.

With H1, H2 the Hessians of the level-1 and level-2 losses, and the factor ``2 gamma`` left out::

    v   = grad_omega L_val
    u   = C H2^-1 v on the backbone, 0 on the objective heads   (C: the proximal term's cross derivative,
                                                                  the identity for squared L2)
    q   = H1^-1 u
    s_k = < grad_theta L_k, q >                               (lambda enters level 1 linearly)
    dL_val/dalpha = - (diag(lambda) - lambda lambda^T) s

Two functions carry a vector down one level each, so that a solver may call them (:meth:`__call__`) or
hand them to an engine that calls them in turn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from molweight.distributed.collectives import all_reduce_mean
from molweight.errors import ConfigError
from molweight.tapweight.batches import map_tensors
from molweight.tapweight.directional import ForwardMode
from molweight.tapweight.dynamics import dynamics_of
from molweight.tapweight.functional import stateless_call
from molweight.tapweight.hessian import DoubleBackward
from molweight.tapweight.inverse import Identity, Inverse
from molweight.tapweight.levels import Level, Pretraining, ThreeLevels, require_finite
from molweight.tapweight.typing import Batch, Directional, HessianProduct, LevelBatches, Params, PureLoss
from molweight.tapweight.vectors import norm

SMALLEST_BATCH = 2  # BatchNorm in training mode needs two samples


@dataclass(frozen=True, kw_only=True)
class Hypergradient:
    """How the two inverse Hessians and the last product are computed.

    Args:
        finetune: the inverse of level 2's Hessian.
        pretrain: the inverse of level 1's Hessian.
        directional: how the K losses are differentiated along one direction.
        hessian: how both Hessians are multiplied by a direction.
        batch_fraction: share of the batches of levels 1 and 2 that all this is computed on, (0, 1].
        directional_batches: fresh level-1 batches, whole, that the last product is averaged over; 0 uses
            the part of the batch that the Hessians use, which level 1 has just learned from.
    """

    finetune: Inverse = field(default_factory=Identity)
    pretrain: Inverse = field(default_factory=Identity)
    directional: Directional = field(default_factory=ForwardMode)
    hessian: HessianProduct = field(default_factory=DoubleBackward)
    batch_fraction: float = 1.0
    directional_batches: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.batch_fraction <= 1:
            raise ConfigError(f"hypergradient.batch_fraction must lie in (0, 1], got {self.batch_fraction}")
        if self.directional_batches < 0:
            raise ConfigError(
                f"hypergradient.directional_batches must be 0 or more, got {self.directional_batches}"
            )

    def __call__(self, levels: ThreeLevels, batches: LevelBatches, loss: Tensor) -> Tensor:
        """The gradient of the validation loss with respect to the logits, divided by ``2 gamma``.

        Args:
            levels: the current parameters; left bitwise unchanged, but for the position in level 1's stream
                where ``directional_batches`` are drawn from it.
            batches: of levels 1 and 2, ``pretrain`` and ``finetune``.
            loss: level 3's loss, with its graph to omega.

        Returns:
            [k].

        Raises:
            DivergedError: the result is not finite.
        """
        v = torch.autograd.grad(loss, levels.finetune.parameters)
        u = self.vjp_level2(levels, batches["finetune"], v)
        return self.vjp_level1(levels.pretrain, batches["pretrain"], u)

    def vjp_level2(self, levels: ThreeLevels, batch: Batch, v: Params) -> Params:
        """``u`` from ``v``: a direction of omega to one of theta, zero on the objective heads."""
        level, batch, v = levels.finetune, self.part(batch), all_reduce_mean(v)

        def loss(parameters: Params) -> Tensor:
            return level.total(stateless_call(level.module, batch, parameters), batch, parameters)

        x = self.solve(self.finetune, level, loss, v)
        omega = tuple(level.parameters[i] for i in level.shared)
        direction = level.proximal.cross(omega, level.anchor, tuple(x[i] for i in level.shared))
        by_anchor = {id(p): d for p, d in zip(level.anchor, direction, strict=True)}
        return tuple(by_anchor.get(id(p), torch.zeros_like(p)) for p in levels.pretrain.parameters)

    def vjp_level1(self, level: Pretraining, batch: Batch, u: Params) -> Tensor:
        """The gradient of the logits [k] from ``u``, a direction of the level that they weigh."""
        batch = self.part(batch)

        def losses(parameters: Params, batch: Batch = batch) -> Tensor:
            return stateless_call(level.module, batch, parameters)

        q = self.solve(self.pretrain, level, lambda p: level.total(losses(p)), u)
        point = tuple(p.detach() for p in level.parameters)
        if self.directional_batches == 0:
            s = self.directional(losses, point, q)
        else:
            fresh = (level.batches.next() for _ in range(self.directional_batches))
            derivatives = [self.directional(partial(losses, batch=batch), point, q) for batch in fresh]
            s = torch.stack(derivatives).mean(dim=0)
        return require_finite(level.mixture.gradient(level.objective_losses(s)), "the hypergradient")

    def solve(self, inverse: Inverse, level: Level, loss: PureLoss, b: Params) -> Params:
        """One level's inverse Hessian times ``b``, in the metric its optimiser moves in if asked for."""
        method = inverse.for_optimizer(dynamics_of(level.optimizer, level.parameters))
        matvec = self.hessian(loss, level.parameters)

        def checked(direction: Params) -> Params:
            product = all_reduce_mean(matvec(direction))
            require_finite(norm(product), f"a Hessian product at level '{level.name}'")
            return product

        return method(checked, b)

    def part(self, batch: Batch) -> Batch:
        """The first samples of a batch, ``batch_fraction`` of them.

        A nested batch holds batches of different length: each keeps its own share.
        """
        if self.batch_fraction == 1:
            return batch

        def share(size: int) -> int:
            return max(min(SMALLEST_BATCH, size), math.ceil(self.batch_fraction * size))

        return map_tensors(lambda values: values[: share(len(values))], batch)
