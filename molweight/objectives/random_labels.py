"""A control that teaches nothing: random labels. A sound optimiser takes its weight away."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from molweight.errors import ConfigError
from molweight.objectives.base import Objective
from molweight.objectives.corpus import UnlabelledMolecules
from molweight.tapweight.typing import Batch


class RandomLabels(Objective):
    """Cross entropy of a linear head on labels drawn at random, once for every molecule.

    Not one of ImageMol's tasks. It has the form of :class:`~molweight.objectives.clusters.Clusters` and
    nothing to learn that another molecule could use.

    Args:
        k: number of labels, at least 2.
        view: that is classified.
    """

    task = "control"

    def __init__(self, *, k: int, view: str = "jigsaw") -> None:
        super().__init__()
        if k < 2:
            raise ConfigError(f"random labels need k >= 2, got {k}")
        self.k, self.views = k, (view,)

    @property
    def name(self) -> str:
        """``random_labels``."""
        return "random_labels"

    def attach(self, dim: int, molecules: UnlabelledMolecules, seed: int) -> None:
        """Draw the labels; they depend on ``seed`` and k only."""
        generator = torch.Generator().manual_seed(seed)
        self.labels = torch.randint(self.k, (len(molecules),), generator=generator)
        self.head = nn.Linear(dim, self.k)

    def targets(self, positions: Tensor) -> dict[str, Tensor]:
        """Labels [b] under the objective's name."""
        return {self.name: self.labels[positions]}

    def loss(self, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Cross entropy."""
        return functional.cross_entropy(self.head(embeddings[self.views[0]]), batch[self.name])
