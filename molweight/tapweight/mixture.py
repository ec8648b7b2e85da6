"""The weights of the objectives: a point on the simplex, parametrised by logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from molweight.errors import ConfigError


class Mixture(nn.Module):
    """Named weights ``lambda = softmax(alpha)``; equal at the start.

    Args:
        names: one per objective, in the order of the loss vector.
        dtype: of the logits; float64 in tests that compare with exact derivatives.

    Raises:
        ConfigError: no objective, or two with one name.
    """

    def __init__(self, *, names: Sequence[str], dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
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
        """The hypergradient of the logits from the directional derivatives of the losses.

        ``dL_val/dalpha = -(diag(lambda) - lambda lambda^T) s``, the chain rule through softmax with
        ``dL_val/dlambda = -s``.

        Args:
            directional: ``s``, [k].

        Returns:
            [k], sums to zero.
        """
        weights = self.weights()
        s = directional.to(weights.dtype)
        return -weights * (s - weights @ s)

    def named(self, values: Tensor) -> dict[str, float]:
        """A vector ``[k]`` as numbers by objective."""
        return dict(zip(self.names, values.detach().tolist(), strict=True))
