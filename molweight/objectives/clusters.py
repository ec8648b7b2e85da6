"""MG3C, multi-granularity chemical clusters: to which group of similar molecules does it belong?"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor

from molweight.errors import ConfigError, option
from molweight.images.pictures import MANY
from molweight.objectives.corpus import UnlabelledMolecules
from molweight.objectives.label_cache import Labels, cached_labels
from molweight.objectives.labels import LabelObjective
from molweight.utils.machine import versions

KMEANS = {"n_init": 1, "batch_size": 4096, "max_iter": 20}
LARGEST_FRACTION = 5  # k below n/5: fewer than five molecules a cluster cannot be told apart


class Clusters(LabelObjective):
    """Cross entropy of a linear head on k-means clusters of MACCS fingerprints.

    ImageMol uses k = 100, 1000 and 10000 for ten million molecules, three independent clusterings.

    Args:
        k: number of clusters, at least 2 and less than a fifth of the corpus.
        view: the view that is classified; ``jigsaw`` as published (ImageMol, pretrain.py).
    """

    task = "MG3C"

    @property
    def name(self) -> str:
        """``clusters_<k>``."""
        return f"clusters_{self.k}"

    def label(self, molecules: UnlabelledMolecules, seed: int) -> Tensor:
        """Cluster numbers; the clustering depends on ``seed`` and k only. Those of large corpora are kept.

        Raises:
            ConfigError: k is too large for the corpus.
        """
        limit = (len(molecules) - 1) // LARGEST_FRACTION
        if self.k > limit:
            raise ConfigError(
                f"objective '{self.name}' asks for {self.k} clusters of {len(molecules)} molecules; k must "
                f"stay below a fifth of the corpus (here at most {limit})",
                hint=f"choose a larger {option('corpus')}, or a smaller k with "
                f"{option('objectives.clusters_fine.k', '…')} (also "
                "_medium, _coarse)",
            )

        def compute() -> Labels:
            kmeans = MiniBatchKMeans(self.k, random_state=seed, **KMEANS)
            return np.asarray(kmeans.fit_predict(molecules.maccs()), dtype=np.int64)

        if len(molecules) <= MANY:
            return torch.from_numpy(compute())
        known = versions()
        recipe = {
            "labels": "k-means of MACCS keys",
            "corpus": molecules.sha256,
            "k": self.k,
            "seed": seed,
            "settings": KMEANS,
            "versions": [known[name] for name in ("rdkit", "scikit-learn", "numpy")],
        }
        return torch.from_numpy(cached_labels(recipe, compute))
