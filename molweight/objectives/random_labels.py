"""A control that teaches nothing: random labels."""

from __future__ import annotations

import torch
from torch import Tensor

from molweight.objectives.corpus import UnlabelledMolecules
from molweight.objectives.labels import LabelObjective


class RandomLabels(LabelObjective):
    """Labels drawn at random, once for every molecule.

    Not one of ImageMol's tasks. It has the form of :class:`~molweight.objectives.clusters.Clusters` and
    nothing to learn that another molecule could use.
    """

    task = "control"

    @property
    def name(self) -> str:
        """``random_labels``."""
        return "random_labels"

    def label(self, molecules: UnlabelledMolecules, seed: int) -> Tensor:
        """Uniform over the labels."""
        return torch.randint(self.k, (len(molecules),), generator=torch.Generator().manual_seed(seed))
