"""MCL, mask-based contrast: a picture and the same picture with a hole should look alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from molweight.distributed.collectives import whole_batch
from molweight.errors import ConfigError
from molweight.objectives.base import Objective
from molweight.objectives.corpus import UnlabelledMolecules
from molweight.tapweight.typing import Batch

SMOOTH = 1e-8  # keeps the square root differentiable where both views coincide


class Contrast(Objective):
    """Distance between the embeddings of the plain and of the masked view.

    Args:
        kind: ``l2``: the mean Euclidean distance, as published (ImageMol, ``constractive_loss``);
            alone it is minimised by one embedding for all. ``ntxent``: normalised temperature-scaled
            cross entropy over the batch (SimCLR), which cannot collapse.
        temperature: temperature of ``ntxent``, > 0.
    """

    task = "MCL"
    views = ("plain", "masked")

    def __init__(self, *, kind: Literal["l2", "ntxent"] = "l2", temperature: float = 0.1) -> None:
        super().__init__()
        if kind not in ("l2", "ntxent") or not temperature > 0:
            raise ConfigError(
                f"contrast needs kind 'l2' or 'ntxent' and temperature > 0, got {kind!r} and {temperature}"
            )
        self.kind, self.temperature = kind, temperature

    @property
    def name(self) -> str:
        """``contrast``."""
        return "contrast"

    def build(self, dim: int, molecules: UnlabelledMolecules, seed: int) -> None:
        """A projection for ``ntxent`` (SimCLR: a hidden layer as wide as the embedding); none for ``l2``."""
        self.head = (
            nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))
            if self.kind == "ntxent"
            else nn.Identity()
        )

    def loss(self, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The mean distance, or the mean cross entropy of finding the other view."""
        plain, masked = self.head(embeddings["plain"]), self.head(embeddings["masked"])
        if self.kind == "l2":
            distance: Tensor = ((plain - masked).square().sum(dim=1) + SMOOTH).sqrt()
            return distance.mean()
        both = functional.normalize(torch.cat([whole_batch(plain), whole_batch(masked)]), dim=1)
        similarity = both @ both.T / self.temperature
        count = len(both) // 2
        itself = torch.eye(2 * count, dtype=torch.bool, device=both.device)
        partner = torch.arange(2 * count, device=both.device).roll(count)
        return functional.cross_entropy(similarity.masked_fill(itself, -torch.inf), partner)
