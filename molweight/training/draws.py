"""Random numbers that belong to a sample, the same in whichever batch it is and whoever draws them.

``b`` samples in a batch.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from molweight.utils.seeds import derived_seed

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # SplitMix64's step
MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))


class Draws:
    """Numbers for each sample of a batch, by name, from SplitMix64 read at the sample's index.

    SplitMix64 (Steele, Lea and Flood 2014) is a counter whose n-th number is ``mix(seed + (n + 1) GOLDEN)``,
    so a whole batch is drawn at once, in any order. Its seed is a hash of key and name: no number depends on
    the batch, on its order, on other names or on what was drawn before.

    Args:
        key: what the numbers depend on besides the sample, such as (seed, stream, epoch).
        samples: indices of the samples, [b] int64, >= 0.

    >>> Draws(0, "epoch 1", samples=torch.tensor([3, 7, 5])).integers("angle", 360).tolist()
    [359, 80, 342]
    >>> Draws(0, "epoch 1", samples=torch.tensor([5, 3])).integers("angle", 360).tolist()
    [342, 359]
    """

    def __init__(self, *key: object, samples: Tensor) -> None:
        self.key = key
        self.samples = samples

    def of(self, name: str) -> Draws:
        """The same samples under a longer key: its numbers are independent of these."""
        return Draws(*self.key, name, samples=self.samples)

    def uniform(self, name: str) -> Tensor:
        """One number in [0, 1) a sample, [b] float64."""
        seed = np.uint64(derived_seed(*self.key, name))
        # uint64 arithmetic wraps, as it should
        counter = self.samples.numpy().astype(np.uint64) + np.uint64(1)
        bits = mixed(seed + counter * GOLDEN)
        return torch.from_numpy((bits >> np.uint64(11)) * 2.0**-53)  # the 53 bits that a float64 holds

    def uniforms(self, name: str, width: int) -> Tensor:
        """``width`` numbers in [0, 1) a sample, [b, width] float64; more of them change none."""
        return torch.stack([self.uniform(f"{name}/{column}") for column in range(width)], dim=1)

    def integers(self, name: str, below: int) -> Tensor:
        """One whole number in [0, below) a sample, [b] int64; bias < 2**-21 for ``below`` up to 2**32."""
        return (self.uniform(name) * below).long()


def mixed(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's finaliser (variant 13 of Stafford's), on uint64."""
    bits = (bits ^ (bits >> SHIFTS[0])) * MULTIPLIERS[0]
    bits = (bits ^ (bits >> SHIFTS[1])) * MULTIPLIERS[1]
    return bits ^ (bits >> SHIFTS[2])
