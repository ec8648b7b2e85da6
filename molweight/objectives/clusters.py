"""MG3C, multi-granularity chemical clusters: to which group of similar molecules does it belong?"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor, nn
from torch.nn import functional

from molweight.errors import ConfigError
from molweight.objectives.base import Objective
from molweight.objectives.corpus import UnlabelledMolecules
from molweight.tapweight.typing import Batch

LARGEST_FRACTION = 5  # k below n/5: fewer than five molecules a cluster cannot be told apart


class Clusters(Objective):
    """Cross entropy of a linear head on k-means clusters of MACCS fingerprints.

    ImageMol uses k = 100, 1000 and 10000 for ten million molecules, three independent clusterings.

    Args:
        k: number of clusters, at least 2 and less than a fifth of the corpus.
        view: that is classified; ``jigsaw`` as published (ImageMol, pretrain.py).
    """

    task = "MG3C"

    def __init__(self, *, k: int, view: str = "jigsaw") -> None:
        super().__init__()
        if k < 2:
            raise ConfigError(f"clusters need k >= 2, got {k}")
        self.k, self.views = k, (view,)

    @property
    def name(self) -> str:
        """``clusters_<k>``."""
        return f"clusters_{self.k}"

    def attach(self, dim: int, molecules: UnlabelledMolecules, seed: int) -> None:
        """Cluster the corpus; the clustering depends on ``seed`` and k only."""
        limit = (len(molecules) - 1) // LARGEST_FRACTION
        if self.k > limit:
            raise ConfigError(
                f"objective '{self.name}' asks for {self.k} clusters of {len(molecules)} molecules; k must "
                f"stay below a fifth of the corpus (here at most {limit}). Choose a larger corpus=, or a "
                "smaller k with objectives.clusters_fine.k=… (also _medium, _coarse)"
            )
        kmeans = MiniBatchKMeans(self.k, random_state=seed, n_init=1, batch_size=4096, max_iter=20)
        labels = kmeans.fit_predict(molecules.maccs())
        self.labels = torch.from_numpy(labels).long()  # [n]; targets, not state: never in a checkpoint
        self.head = nn.Linear(dim, self.k)

    def targets(self, positions: Tensor) -> dict[str, Tensor]:
        """Cluster numbers [b] under the objective's name."""
        return {self.name: self.labels[positions]}

    def loss(self, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Cross entropy."""
        return functional.cross_entropy(self.head(embeddings[self.views[0]]), batch[self.name])
