"""What objectives that classify molecules share: labels computed once, a linear head, cross entropy."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from molweight.errors import ConfigError
from molweight.objectives.base import Objective
from molweight.objectives.corpus import UnlabelledMolecules
from molweight.tapweight.typing import Batch


class LabelObjective(Objective):
    """Cross entropy of a linear head on one label for each molecule.

    Args:
        k: number of labels, at least 2.
        view: the view that is classified.
    """

    def __init__(self, *, k: int, view: str = "jigsaw") -> None:
        super().__init__()
        if k < 2:
            raise ConfigError(f"{type(self).__name__} needs k >= 2, got {k}")
        self.k, self.views = k, (view,)

    @abstractmethod
    def label(self, molecules: UnlabelledMolecules, seed: int) -> Tensor:
        """A label in 0..k-1 for each molecule, [n]; depends on the arguments and k only."""

    def build(self, dim: int, molecules: UnlabelledMolecules, seed: int) -> None:
        """Label the corpus and build the head."""
        self.labels = self.label(molecules, seed)  # [n]; targets, not state: never in a checkpoint
        self.head = nn.Linear(dim, self.k)

    def targets(self, positions: Tensor) -> dict[str, Tensor]:
        """Labels [b] under the objective's name."""
        return {self.name: self.labels[positions]}

    def loss(self, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Cross entropy."""
        return functional.cross_entropy(self.head(embeddings[self.views[0]]), batch[self.name])
