"""The weights of the objectives: a point on the simplex, parametrised by logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from molweight.errors import ConfigError, unknown

UPDATES = ("softmax", "exponentiated")


class ObjectiveWeights(nn.Module):
    """Named weights ``lambda = softmax(alpha)``; equal at the start.

    Args:
        names: one per objective, in the order of the loss vector.
        dtype: of the logits; float64 in tests that compare with exact derivatives.
        update: ``softmax`` differentiates through the softmax; ``exponentiated`` leaves it out, so that
            a descent step on the logits is one of exponentiated gradient on the weights (Kivinen and Warmuth
            1997): an objective's weight then moves at the same relative speed however small it is.

    Raises:
        ConfigError: no objective, two with one name, or unknown update.

    >>> mixture = ObjectiveWeights(names=["jigsaw", "contrast"])
    >>> mixture.named(mixture.weights())
    {'jigsaw': 0.5, 'contrast': 0.5}
    >>> mixture(torch.tensor([1.0, 3.0]))
    tensor(2.)
    >>> mixture.gradient(torch.tensor([2.0, 0.0]))
    tensor([-0.5000,  0.5000])
    """

    def __init__(
        self,
        *,
        names: Sequence[str],
        dtype: torch.dtype = torch.float32,
        update: Literal["softmax", "exponentiated"] = "softmax",
    ) -> None:
        super().__init__()
        if update not in UPDATES:
            raise ConfigError(unknown("update of the weights", update, UPDATES))
        self.update = update
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"a mixture needs one or more distinct objectives, got {list(names)}")
        self.names = tuple(names)
        self.logits = nn.Parameter(torch.zeros(len(names), dtype=dtype))  # [k]

    def weights(self) -> Tensor:
        """The weights ``lambda``, [k], positive, sum 1; constants for level 1."""
        return torch.softmax(self.logits.detach(), dim=0)

    def forward(self, losses: Tensor) -> Tensor:
        """The weighted sum of a loss vector ``[k]``, linear in the weights."""
        return self.weights().to(losses.dtype) @ losses

    def gradient(self, directional: Tensor) -> Tensor:
        """The gradient that updates the logits, from the directional derivatives of the losses.

        ``dL_val/dalpha = -(diag(lambda) - lambda lambda^T) s``, the chain rule through softmax with
        ``dL_val/dlambda = -s``; under ``exponentiated`` without the factor ``lambda_k``.

        Args:
            directional: ``s``, [k].

        Returns:
            [k]; sums to zero, weighted by lambda under ``exponentiated``.
        """
        weights = self.weights()
        s = directional.to(weights.dtype)
        relative = -(s - weights @ s)
        return weights * relative if self.update == "softmax" else relative

    def named(self, values: Tensor) -> dict[str, float]:
        """A vector ``[k]`` as numbers by objective."""
        return dict(zip(self.names, values.detach().tolist(), strict=True))
