"""The chain rule through the levels: from the validation loss to the objectives' weights.

With H1, H2 the Hessians of the level-1 and level-2 losses, and the factor ``2 gamma`` left out::

    v   = grad_omega L_val
    u   = H2^-1 v on the backbone, 0 on the objective heads   (the proximal term's mixed derivative
                                                                is -2 gamma I: closed form)
    q   = H1^-1 u
    s_k = < grad_theta L_k, q >                               (lambda enters level 1 linearly)
    dL_val/dalpha = - (diag(lambda) - lambda lambda^T) s

Two functions carry a vector down one level each, so that a solver may call them (:meth:`__call__`) or
hand them to an engine that calls them in turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from molweight.tapweight.inverse import Identity
from molweight.tapweight.levels import ThreeLevels, require_finite
from molweight.tapweight.products import ForwardMode, hessian_product
from molweight.tapweight.replay import frozen_call
from molweight.tapweight.typing import Directional, Params, Solve


@dataclass(frozen=True, kw_only=True)
class Hypergradient:
    """How the two inverse Hessians and the last product are computed.

    Args:
        finetune: solves with level 2's Hessian.
        pretrain: solves with level 1's Hessian.
        directional: differentiates the K losses along one direction.
    """

    finetune: Solve = field(default_factory=Identity)
    pretrain: Solve = field(default_factory=Identity)
    directional: Directional = field(default_factory=ForwardMode)

    def __call__(self, levels: ThreeLevels, loss: Tensor) -> Tensor:
        """The gradient of the validation loss with respect to the logits, divided by ``2 gamma``.

        Args:
            levels: the current parameters and batches; left bitwise unchanged.
            loss: level 3's loss, with its graph to omega.

        Returns:
            [k].

        Raises:
            DivergedError: the result is not finite.
        """
        v = torch.autograd.grad(loss, levels.finetune.parameters)
        return self.through_pretraining(levels, self.through_finetuning(levels, v))

    def through_finetuning(self, levels: ThreeLevels, v: Params) -> Params:
        """``u`` from ``v``: a direction of omega to one of theta, zero on the objective heads."""
        level = levels.finetune

        def loss(parameters: Params) -> Tensor:
            return level.total(frozen_call(level.module, level.batch, parameters), level.batch, parameters)

        x = self.finetune(hessian_product(loss, level.parameters), v)
        direction = level.proximal.cross(tuple(x[i] for i in level.shared))
        by_anchor = {id(p): d for p, d in zip(level.anchor, direction, strict=True)}
        return tuple(by_anchor.get(id(p), torch.zeros_like(p)) for p in levels.pretrain.parameters)

    def through_pretraining(self, levels: ThreeLevels, u: Params) -> Tensor:
        """The gradient of the logits [k] from ``u``."""
        level = levels.pretrain

        def losses(parameters: Params) -> Tensor:
            return frozen_call(level.module, level.batch, parameters)

        point = tuple(p.detach() for p in level.parameters)
        q = self.pretrain(hessian_product(lambda p: level.mixture(losses(p)), point), u)
        s = self.directional(losses, point, q)
        return require_finite(level.mixture.gradient(s), "the hypergradient")
