"""The term that ties the finetuned backbone to the pretrained one, with its cross derivative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from molweight.errors import ConfigError
from molweight.tapweight.typing import Params


@dataclass(frozen=True, kw_only=True)
class SquaredL2:
    """``gamma * || omega - theta ||^2`` over the shared parameters.

    Its mixed derivative is ``-2 gamma I`` (divided by the number of parameters under ``mean``), so
    the product that carries a hypergradient from level 2 to level 1 needs no differentiation.

    Args:
        gamma: strength, > 0. TapWeight, reweight_cls.sh and reweight_reg.sh ``--lam``: 1e-3
            for classification, 1e-2 for regression.
        reduction: ``sum`` as published for molecules, ``mean`` as published for text.
    """

    gamma: float = 1e-3
    reduction: Literal["sum", "mean"] = "sum"

    def __post_init__(self) -> None:
        if not self.gamma > 0:
            raise ConfigError(
                f"gamma must be > 0, got {self.gamma}: without the proximal term level 2 does not "
                "depend on level 1 and the weights receive no gradient"
            )
        if self.reduction not in ("sum", "mean"):
            raise ConfigError(f"proximal reduction must be 'sum' or 'mean', got {self.reduction!r}")

    def __call__(self, omega: Params, theta: Params) -> Tensor:
        """The value of the term, a scalar; ``theta`` is held constant."""
        squares = [(o - t.detach()).square().sum() for o, t in zip(omega, theta, strict=True)]
        return self.strength(omega) * torch.stack(squares).sum()

    def strength(self, omega: Params) -> float:
        """``gamma``, divided by the number of shared parameters under ``mean``."""
        count = sum(o.numel() for o in omega) if self.reduction == "mean" else 1
        return self.gamma / count

    def cross(self, direction: Params) -> Params:
        """``-(d^2 L2 / dtheta domega) direction``, divided by ``2 * strength``: the direction itself.

        The factor is left out so that one learning rate of the weights serves every gamma: the
        hypergradient is proportional to it.
        """
        return direction
