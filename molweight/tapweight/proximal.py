"""Terms that tie the finetuned backbone to the pretrained one, each with its cross derivative.

A term is a function of the shared parameters of both levels. What level 3 needs of it is one product with
its mixed second derivative, and every term here has it in closed form.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from molweight.errors import ConfigError, unknown
from molweight.tapweight.typing import Params

Reduction = Literal["sum", "mean"]


@dataclass(frozen=True, kw_only=True)
class Proximal(ABC):
    """``gamma`` times a distance of the shared parameters.

    Args:
        gamma: strength, > 0. TapWeight, reweight_cls.sh and reweight_reg.sh ``--lam``: 1e-3
            for classification, 1e-2 for regression.
        reduction: ``sum`` over parameters as published for molecules, ``mean`` as published for text.
    """

    gamma: float = 1e-3
    reduction: Reduction = "sum"

    def __post_init__(self) -> None:
        if not self.gamma > 0:
            raise ConfigError(
                f"gamma must be > 0, got {self.gamma}: without the proximal term level 2 does not "
                "depend on level 1 and the weights receive no gradient"
            )
        if self.reduction not in ("sum", "mean"):
            raise ConfigError(f"proximal reduction must be 'sum' or 'mean', got {self.reduction!r}")

    def __call__(self, omega: Params, theta: Params) -> Tensor:
        """The value of the term, a scalar, differentiable in both."""
        distances = [self.distance(o - t).sum() for o, t in zip(omega, theta, strict=True)]
        return self.strength(omega) * torch.stack(distances).sum()

    def strength(self, omega: Params) -> float:
        """``gamma``, divided by the number of shared parameters under ``mean``."""
        count = sum(o.numel() for o in omega) if self.reduction == "mean" else 1
        return self.gamma / count

    def of(self, names: Sequence[str]) -> Proximal:
        """The term for shared parameters of these names, in their order.

        Raises:
            ConfigError: it is for backbones of another kind.
        """
        return self

    @property
    def ties(self) -> bool:
        """Whether the mixed derivative is not zero almost everywhere."""
        return True

    @abstractmethod
    def distance(self, difference: Tensor) -> Tensor:
        """The distance of every parameter from its difference, same shape."""

    @abstractmethod
    def cross(self, omega: Params, theta: Params, direction: Params) -> Params:
        """``-(d^2 term / dtheta domega) direction``, divided by the curvature at zero difference.

        That factor (``2 * strength`` for squared L2) is left out so that one learning rate of the weights
        serves every gamma: the hypergradient is proportional to it.
        """


@dataclass(frozen=True, kw_only=True)
class SquaredL2(Proximal):
    """``gamma * || omega - theta ||^2``: its mixed derivative is ``-2 gamma I``.

    >>> SquaredL2(gamma=0.5)((torch.tensor([1.0, 2.0]),), (torch.tensor([1.0, 0.0]),))
    tensor(2.)
    """

    def distance(self, difference: Tensor) -> Tensor:
        """The square."""
        return difference.square()

    def cross(self, omega: Params, theta: Params, direction: Params) -> Params:
        """The direction itself."""
        return direction


@dataclass(frozen=True, kw_only=True)
class SmoothL1(Proximal):
    """Huber's: squares up to ``beta``, absolute values beyond (torch's ``smooth_l1_loss``).

    Its mixed derivative is ``-gamma / beta`` where the difference is below ``beta``, zero elsewhere:
    parameters that have moved far pass no gradient on to level 1.

    Args:
        beta: where the square ends, > 0, in units of a parameter.
    """

    beta: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta > 0:
            raise ConfigError(f"beta of the smooth L1 term must be > 0, got {self.beta}")

    def distance(self, difference: Tensor) -> Tensor:
        """Huber's function."""
        zero = torch.zeros_like(difference)
        return torch.nn.functional.smooth_l1_loss(difference, zero, beta=self.beta, reduction="none")

    def cross(self, omega: Params, theta: Params, direction: Params) -> Params:
        """The direction where the difference is below ``beta``."""
        pairs = zip(omega, theta, direction, strict=True)
        return tuple(torch.where((o - t).detach().abs() < self.beta, d, 0) for o, t, d in pairs)


@dataclass(frozen=True, kw_only=True)
class L1(Proximal):
    """``gamma * || omega - theta ||_1``: its mixed derivative vanishes almost everywhere.

    So it regularises level 2 but tells level 1 nothing; the weights receive no gradient. TapWeight's
    code for text uses it on the encoder. Here it is for ``method=equal`` and for comparisons.
    """

    @property
    def ties(self) -> bool:
        """It does not."""
        return False

    def distance(self, difference: Tensor) -> Tensor:
        """The absolute value."""
        return difference.abs()

    def cross(self, omega: Params, theta: Params, direction: Params) -> Params:
        """Zero."""
        return tuple(torch.zeros_like(d) for d in direction)


@dataclass(frozen=True, kw_only=True)
class L1Encoder(Proximal):
    """``gamma`` times squared L2 over the embeddings and L1 over the encoder, as published for text.

    Source: TapWeight, nlureweight/main_roberta.py ``reg_loss``. Only the embeddings tell level 1 anything.

    Args:
        embeddings: for each shared parameter, whether it is one of the embeddings; see :meth:`of`.
    """

    embeddings: tuple[bool, ...] = ()

    def of(self, names: Sequence[str]) -> L1Encoder:
        """The term for parameters of these names; embeddings are those of a module of that name.

        Raises:
            ConfigError: there is none.
        """
        embeddings = tuple("embeddings" in name.split(".") for name in names)
        if not any(embeddings):
            sentence = "l1_encoder is for text: this backbone has no embeddings"
            raise ConfigError(sentence, option="learn.proximal.kind")
        return replace(self, embeddings=embeddings)

    def __call__(self, omega: Params, theta: Params) -> Tensor:
        """The value of the term, a scalar, differentiable in both."""
        terms = [
            (o - t).square().sum() if embedding else (o - t).abs().sum()
            for o, t, embedding in zip(omega, theta, self.embeddings, strict=True)
        ]
        return self.strength(omega) * torch.stack(terms).sum()

    def distance(self, difference: Tensor) -> Tensor:
        """The absolute value, of the encoder's parameters."""
        return difference.abs()

    def cross(self, omega: Params, theta: Params, direction: Params) -> Params:
        """The direction on the embeddings, zero elsewhere."""
        pairs = zip(direction, self.embeddings, strict=True)
        return tuple(d if embedding else torch.zeros_like(d) for d, embedding in pairs)


PROXIMAL: dict[str, type[Proximal]] = {
    "l2": SquaredL2,
    "smooth_l1": SmoothL1,
    "l1": L1,
    "l1_encoder": L1Encoder,
}


def make_proximal(kind: str, *, gamma: float, reduction: Reduction, beta: float) -> Proximal:
    """The term of a name; ``beta`` is read by ``smooth_l1`` only.

    Raises:
        ConfigError: unknown name, or a number out of range.

    >>> make_proximal("smooth_l1", gamma=1.0, reduction="sum", beta=0.1)
    SmoothL1(gamma=1.0, reduction='sum', beta=0.1)
    """
    if kind not in PROXIMAL:
        raise ConfigError(unknown("proximal term", kind, PROXIMAL))
    if kind == "smooth_l1":
        return SmoothL1(gamma=gamma, reduction=reduction, beta=beta)
    return PROXIMAL[kind](gamma=gamma, reduction=reduction)
