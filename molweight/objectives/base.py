"""What an objective is: its views, its targets, its head and its loss; and several of them together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from molweight.errors import ConfigError
from molweight.objectives.corpus import UnlabelledMolecules
from molweight.tapweight.typing import Batch


class Objective(nn.Module, ABC):
    """One self-supervised loss.

    A subclass states which views it encodes, builds its head and targets in :meth:`attach`, and
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
    def attach(self, dim: int, molecules: UnlabelledMolecules, seed: int) -> None:
        """Build the head for embeddings of ``dim`` numbers, and the targets of the corpus.

        Raises:
            ConfigError: the setting does not fit the corpus.
        """

    def targets(self, positions: Tensor) -> dict[str, Tensor]:
        """Targets of the molecules at ``positions`` [b] that do not depend on a view."""
        return {}

    @abstractmethod
    def loss(self, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The loss, a scalar.

        Args:
            embeddings: [b, d] by view.
            batch: the views' pixels and all targets.
        """


class ObjectiveSet(nn.Module):
    """Several objectives over one encoder; each distinct view is encoded once.

    Args:
        objectives: in the order of the loss vector.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        super().__init__()
        names = [objective.name for objective in objectives]
        if len(set(names)) != len(names):
            raise ConfigError(f"the names of the objectives must be distinct, got {names}")
        self.by_name = nn.ModuleDict(dict(zip(names, objectives, strict=True)))

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of the loss vector."""
        return tuple(self.by_name)

    @property
    def objectives(self) -> list[Objective]:
        """In the order of the loss vector."""
        return [o for o in self.by_name.values() if isinstance(o, Objective)]

    @property
    def views(self) -> tuple[str, ...]:
        """The distinct views, in the order in which they are encoded."""
        return tuple(dict.fromkeys(view for objective in self.objectives for view in objective.views))

    def attach(self, dim: int, molecules: UnlabelledMolecules, seed: int) -> None:
        """Build every head and target; see :meth:`Objective.attach`."""
        for objective in self.objectives:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                objective.attach(dim, molecules, seed)

    def targets(self, positions: Tensor) -> dict[str, Tensor]:
        """Targets of the molecules at ``positions`` [b], of all objectives."""
        found: dict[str, Tensor] = {}
        for objective in self.objectives:
            found |= objective.targets(positions)
        return found

    def losses(self, encoder: nn.Module, batch: Batch) -> Tensor:
        """The loss vector, [k].

        Args:
            encoder: pixels [b, 3, H, W] -> embeddings [b, d].
            batch: from the views and :meth:`targets`.
        """
        embeddings = {view: encoder(batch[f"view/{view}"]) for view in self.views}
        return torch.stack([objective.loss(embeddings, batch) for objective in self.objectives])


class PretrainingModel(nn.Module):
    """Level 1's model, theta: the backbone and the objectives' heads. ``model(batch)`` is [k].

    Args:
        backbone: pixels [b, 3, H, W] -> embeddings [b, d].
        objectives: attached.
    """

    def __init__(self, backbone: nn.Module, objectives: ObjectiveSet) -> None:
        super().__init__()
        self.backbone = backbone
        self.objectives = objectives

    def forward(self, batch: Batch) -> Tensor:
        """The loss vector, [k]."""
        return self.objectives.losses(self.backbone, batch)
