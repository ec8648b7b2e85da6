"""JPP, jigsaw puzzle prediction: which of the fixed permutations moved the tiles?"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from molweight.objectives.base import Objective
from molweight.objectives.corpus import UnlabelledMolecules
from molweight.tapweight.typing import Batch


class JigsawPuzzle(Objective):
    """Cross entropy of a linear head over the permutations and the identity (ImageMol: 101 classes).

    Args:
        classes: permutations besides the identity, as in the view's settings.
    """

    task = "JPP"
    views = ("jigsaw",)

    def __init__(self, *, classes: int = 100) -> None:
        super().__init__()
        self.classes = classes

    @property
    def name(self) -> str:
        """``jigsaw``."""
        return "jigsaw"

    def build(self, dim: int, molecules: UnlabelledMolecules, seed: int) -> None:
        """A linear head."""
        self.head = nn.Linear(dim, self.classes + 1)

    def loss(self, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Cross entropy."""
        return functional.cross_entropy(self.head(embeddings["jigsaw"]), batch["jigsaw_order"])
