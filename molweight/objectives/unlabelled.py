"""The unlabelled half of a setup: corpus, pictures, views and objectives, and batches made of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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
from molweight.training.setup import nothing
from molweight.training.streams import Fetch

logger = logging.getLogger(__name__)

NONE: dict[str, Any] = {
    "name": "none",
    "molecules": 0,
    "invalid": 0,
    "held_out": 0,
    "sha256": None,
    "in_test": 0,
}


@dataclass(frozen=True, kw_only=True)
class Unlabelled:
    """What level 1 trains on.

    Args:
        corpus: None where nothing is pretrained.
        positions: of its molecules, [n].
        fetch: batches of their views and targets.
    """

    corpus: Corpus | None
    positions: Tensor
    fetch: Fetch

    def facts(self, test: Sequence[str]) -> dict[str, Any]:
        """What the report says about the corpus.

        Args:
            test: canonical SMILES of the test part.
        """
        if self.corpus is None:
            return dict(NONE)
        return {
            "name": self.corpus.name,
            "molecules": len(self.corpus),
            "invalid": self.corpus.n_invalid,
            "held_out": self.corpus.n_held_out,
            "sha256": self.corpus.sha256,
            "in_test": len(set(test) & set(self.corpus.smiles)),
        }


def unlabelled_part(
    objectives: ObjectiveSet,
    views: ViewSet,
    load: Callable[[], Corpus],
    *,
    size: int,
    dim: int,
    seed: int,
    progress: bool,
) -> Unlabelled:
    """Load and draw the corpus, and build the objectives for it; nothing of this without objectives.

    Args:
        objectives: attached in place.
        views: that they encode.
        load: the corpus.
        size: side of the pictures, px.
        dim: of the embeddings.
        seed: of heads and targets.
        progress: show bars.
    """
    if not objectives.names:
        return Unlabelled(corpus=None, positions=torch.arange(0), fetch=nothing)
    corpus = load()
    pictures = Pictures(corpus.smiles, size, progress=progress)
    if pictures.failed:
        logger.warning("corpus %s: %d molecules cannot be drawn", corpus.name, len(pictures.failed))
        corpus = corpus.without(pictures.failed)
    objectives.build(dim, UnlabelledMolecules(corpus.smiles, progress=progress), seed)

    def fetch(positions: Tensor, draws: Draws) -> Batch:
        pixels, targets = views(pictures[positions], draws)
        return nest({VIEWS: pixels, **targets, **objectives.targets(positions)})

    return Unlabelled(corpus=corpus, positions=torch.arange(len(corpus)), fetch=fetch)
