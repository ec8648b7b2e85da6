"""MRD, molecular rationality discrimination: is the picture a possible molecule?"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from molweight.objectives.base import Objective
from molweight.objectives.corpus import UnlabelledMolecules
from molweight.tapweight.typing import Batch


class Rationality(Objective):
    """Tells pictures whose tiles were moved from pictures left whole.

    The sum of two cross entropies, over the jigsaw view (rational where its tiles stayed in place) and
    over the plain view (always rational): ImageMol, pretrain.py ``reasonability_loss``.
    """

    task = "MRD"
    views = ("jigsaw", "plain")

    @property
    def name(self) -> str:
        """``rationality``."""
        return "rationality"

    def build(self, dim: int, molecules: UnlabelledMolecules, seed: int) -> None:
        """One logit."""
        self.head = nn.Linear(dim, 1)

    def loss(self, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Binary cross entropy of both views."""
        moved, whole = self.head(embeddings["jigsaw"]).squeeze(1), self.head(embeddings["plain"]).squeeze(1)
        rational = (batch["jigsaw_order"] == 0).to(moved.dtype)
        cross_entropy = functional.binary_cross_entropy_with_logits
        return cross_entropy(moved, rational) + cross_entropy(whole, torch.ones_like(whole))
