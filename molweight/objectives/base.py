"""What an objective is: its views, its targets, its head and its loss; and several of them together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from molweight.distributed.collectives import averaged
from molweight.objectives.corpus import UnlabelledMolecules
from molweight.tapweight.batches import inner
from molweight.tapweight.typing import Batch
from molweight.training.models import BuiltLater, NamedObjectives

VIEWS = "views"  # the pictures' views within a batch


class Objective(BuiltLater):
    """One self-supervised loss.

    A subclass states which views it encodes, builds its head and targets in :meth:`build`, and
    computes a scalar in :meth:`loss`, which is a pure function of parameters and batch.
    """

    views: tuple[str, ...]
    task: ClassVar[str]
    """ImageMol's name for the task, for the reader."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of its weight, e.g. ``clusters_100``."""

    @abstractmethod
    def build(self, dim: int, molecules: UnlabelledMolecules, seed: int) -> None:
        """Build the head for embeddings of ``dim`` numbers, and the targets of the corpus.

        Raises:
            ConfigError: the setting does not fit the corpus.
        """

    def targets(self, positions: Tensor) -> dict[str, Tensor]:
        """Targets of the molecules at ``positions`` [b] that do not depend on a view."""
        return {}

    @abstractmethod
    def loss(self, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The loss, a scalar: a mean over samples, as several processes average it over their shares.

        Where samples meet others of the batch, :func:`molweight.distributed.collectives.whole_batch` brings
        those of all processes.

        Args:
            embeddings: [b, d] by view.
            batch: all targets by name, and the views' pixels, ``batch["views"]["plain"]``.
        """


class ObjectiveSet(NamedObjectives[Objective, nn.Module]):
    """Several objectives over one encoder; each distinct view is encoded once."""

    @property
    def views(self) -> tuple[str, ...]:
        """The distinct views, in the order in which they are encoded."""
        return tuple(dict.fromkeys(view for objective in self.objectives for view in objective.views))

    def build(self, dim: int, molecules: UnlabelledMolecules, seed: int) -> None:
        """Build every head and target; see :meth:`Objective.build`."""
        for objective in self.objectives:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                objective.build(dim, molecules, seed)

    def targets(self, positions: Tensor) -> dict[str, Tensor]:
        """Targets of the molecules at ``positions`` [b], of all objectives."""
        return {
            name: values
            for objective in self.objectives
            for name, values in objective.targets(positions).items()
        }

    def losses(self, backbone: nn.Module, batch: Batch) -> Tensor:
        """The loss vector, [k].

        Args:
            backbone: pixels [b, 3, H, W] -> embeddings [b, d].
            batch: the views' pixels under ``views``, and :meth:`targets`.
        """
        views = inner(batch, VIEWS)
        embeddings = {view: backbone(views[view]) for view in self.views}
        return averaged(torch.stack([objective.loss(embeddings, batch) for objective in self.objectives]))
