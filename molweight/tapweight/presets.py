"""Hypergradients by name, for whole batches."""

from __future__ import annotations

from molweight.errors import ConfigError, unknown
from molweight.tapweight.directional import CentralDifference
from molweight.tapweight.hessian import GradientDifference
from molweight.tapweight.horizon import TruncatedInverse
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.inverse import Identity

HYPERGRADIENTS: dict[str, Hypergradient] = {
    "diagonal": Hypergradient(
        finetune=Identity(precondition=True),
        pretrain=Identity(precondition=True),
        hessian=GradientDifference(),
    ),
    "accurate": Hypergradient(
        finetune=TruncatedInverse(steps=100, iterations=3),
        pretrain=TruncatedInverse(steps=10, iterations=3),
        hessian=GradientDifference(),
    ),
    "exact": Hypergradient(
        finetune=TruncatedInverse(steps=100, iterations=30),
        pretrain=TruncatedInverse(steps=100, iterations=30),
    ),
    "paper": Hypergradient(directional=CentralDifference()),
}
"""As ``hypergradient=`` of the command line names them, but for ``batch_fraction``, which is 1 here."""


def find_hypergradient(hypergradient: str | Hypergradient) -> Hypergradient:
    """The hypergradient of a name, or the one that is given.

    >>> find_hypergradient("paper").directional
    CentralDifference(radius=0.01)

    Raises:
        ConfigError: unknown name, or ``batch_fraction`` is not 1: only who made a batch knows how to cut it.
    """
    if isinstance(hypergradient, str):
        if hypergradient not in HYPERGRADIENTS:
            raise ConfigError(unknown("hypergradient", hypergradient, HYPERGRADIENTS))
        return HYPERGRADIENTS[hypergradient]
    if hypergradient.batch_fraction != 1:
        raise ConfigError(
            f"learn_weights differentiates on whole batches: batch_fraction must be 1, "
            f"got {hypergradient.batch_fraction}"
        )
    return hypergradient
