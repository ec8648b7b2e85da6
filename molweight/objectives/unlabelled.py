"""The unlabelled half of a data module: pictures of a corpus, and batches of their views and targets."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from molweight.data.corpora import Corpus
from molweight.images.pictures import Pictures
from molweight.images.views import ViewSet
from molweight.objectives.base import VIEWS, ObjectiveSet
from molweight.objectives.corpus import UnlabelledMolecules
from molweight.tapweight.batches import nest
from molweight.tapweight.typing import Batch
from molweight.training.draws import Draws

logger = logging.getLogger(__name__)

NO_CORPUS = {"name": "none", "molecules": 0, "invalid": 0, "held_out": 0, "sha256": None, "in_test": 0}


class UnlabelledPictures:
    """What level 1 trains on.

    Args:
        corpus: None where nothing is pretrained.
        objectives: built for it in place.
        views: that they encode.
        size: side of the pictures, px.
        dim: of the embeddings.
        seed: of heads and targets.
        progress: show bars.
    """

    def __init__(
        self,
        corpus: Corpus | None,
        objectives: ObjectiveSet,
        views: ViewSet,
        *,
        size: int,
        dim: int,
        seed: int,
        progress: bool,
    ) -> None:
        self.corpus, self.objectives, self.views = corpus, objectives, views
        if corpus is None:
            return
        self.pictures = Pictures(corpus.smiles, size, progress=progress)
        if self.pictures.failed:
            logger.warning("corpus %s: %d molecules cannot be drawn", corpus.name, len(self.pictures.failed))
            self.corpus = corpus = corpus.without(self.pictures.failed)
        objectives.build(dim, UnlabelledMolecules(corpus.smiles, progress=progress), seed)

    @property
    def positions(self) -> Tensor:
        """Of its molecules, [n]."""
        return torch.arange(0 if self.corpus is None else len(self.corpus))

    def fetch(self, positions: Tensor, draws: Draws) -> Batch:
        """The views of some molecules, nested, and all targets."""
        pixels, targets = self.views(self.pictures[positions], draws)
        return nest({VIEWS: pixels, **targets, **self.objectives.targets(positions)})

    def facts(self, test: Sequence[str]) -> dict[str, object]:
        """What the report says about the corpus.

        Args:
            test: canonical SMILES of the test part.
        """
        if self.corpus is None:
            return dict(NO_CORPUS)
        return {
            "name": self.corpus.name,
            "molecules": len(self.corpus),
            "invalid": self.corpus.n_invalid,
            "held_out": self.corpus.n_held_out,
            "sha256": self.corpus.sha256,
            "in_test": len(set(test) & set(self.corpus.smiles)),
        }
