"""The running mean of the hypergradients, and how far it stands above its own noise.

Every hypergradient is that of a few mini-batches, and its noise is larger than the error of a good
estimator. So the weights follow an average, whose signal-to-noise ratio is known because the spread of what
it averages is.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from torch import Tensor

from molweight.errors import ConfigError
from molweight.tapweight.typing import StateDict

NORM_DECAY = 0.9  # of the running mean of the norms


@dataclass(frozen=True, kw_only=True)
class AveragingConfig:
    """How hypergradients are averaged over updates of the weights.

    Args:
        decay: decay of the exponential moving average, [0, 1); 0 uses each hypergradient as it comes.
        limit: largest norm of one hypergradient, in running means of the norms before it (> 0), or None:
            their noise has heavy tails, and one outlier must not outweigh all others.
        normalise: divide each hypergradient by the running mean of the norms up to it. Hypergradients shrink
            by an order of magnitude once training is under way; without this the first ones outweigh all
            others.
    """

    decay: float = 0.9
    limit: float | None = 3.0
    normalise: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ConfigError(f"averaging.decay must lie in [0, 1), got {self.decay}")
        if self.limit is not None and not self.limit > 0:
            raise ConfigError(f"averaging.limit must be > 0 or null, got {self.limit}")


@dataclass(kw_only=True)
class Sums:
    """Exponentially weighted sums over what was averaged."""

    count: int = 0
    weight: float = 0.0
    weight_squared: float = 0.0
    vector: list[float]
    square: float = 0.0  # of |g|^2
    norm: float = 0.0  # with a decay of its own
    norm_weight: float = 0.0


class Averaging:
    """Averages hypergradients [k] as they come.

    Args:
        size: k.
        recipe: how; None passes each on as it comes.

    >>> import torch
    >>> averaging = Averaging(2, AveragingConfig(decay=0.5, limit=None, normalise=False))
    >>> averaging.add(torch.tensor([3.0, 0.0]))
    tensor([3., 0.])
    >>> averaging.add(torch.tensor([0.0, 3.0]))
    tensor([1., 2.])
    """

    def __init__(self, size: int, recipe: AveragingConfig | None = None) -> None:
        self.recipe = recipe or AveragingConfig(decay=0.0, limit=None, normalise=False)
        self.sums = Sums(vector=[0.0] * size)

    def add(self, gradient: Tensor) -> Tensor:
        """Take in one more hypergradient [k], and return the bias-corrected average [k]."""
        sums, decay = self.sums, self.recipe.decay
        gradient = self.controlled(gradient)
        sums.count += 1
        sums.weight = decay * sums.weight + (1 - decay)
        sums.weight_squared = decay**2 * sums.weight_squared + (1 - decay) ** 2
        sums.vector = [
            decay * v + (1 - decay) * g for v, g in zip(sums.vector, gradient.tolist(), strict=True)
        ]
        sums.square = decay * sums.square + (1 - decay) * gradient.square().sum().item()
        if decay == 0:
            return gradient.clone()
        return gradient.new_tensor(sums.vector) / sums.weight

    def controlled(self, gradient: Tensor) -> Tensor:
        """The same direction, its length limited and in units of the running mean of the lengths."""
        sums, length = self.sums, gradient.norm().item()
        if self.recipe.limit is not None and sums.norm > 0:
            longest = self.recipe.limit * sums.norm / sums.norm_weight
            if length > longest:
                gradient, length = gradient * (longest / length), longest
        sums.norm = NORM_DECAY * sums.norm + (1 - NORM_DECAY) * length
        sums.norm_weight = NORM_DECAY * sums.norm_weight + (1 - NORM_DECAY)
        if self.recipe.normalise and sums.norm > 0:
            gradient = gradient * (sums.norm_weight / sums.norm)
        return gradient

    @property
    def snr(self) -> float | None:
        """Signal-to-noise ratio: the average's length over the standard error of its length.

        About 1 where there is noise only. None where nothing is averaged, or nothing varies.
        """
        sums = self.sums
        if sums.count < 2 or self.recipe.decay == 0:
            return None
        share = sums.weight_squared / sums.weight**2  # 1 / the effective number of hypergradients
        mean = sum((v / sums.weight) ** 2 for v in sums.vector)
        variance = (sums.square / sums.weight - mean) / (1 - share)
        return math.sqrt(mean / (variance * share)) if variance > 0 else None

    def state_dict(self) -> StateDict:
        """The sums, as plain numbers."""
        return asdict(self.sums)

    def load_state_dict(self, state: StateDict) -> None:
        """Continue from saved sums."""
        self.sums = Sums(**state)
