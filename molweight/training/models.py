"""The models of levels 1 and 2 around a backbone of any modality."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor, nn

from molweight.errors import ConfigError
from molweight.tapweight.typing import Batch

One = TypeVar("One", bound=nn.Module)  # an objective
Backbone = TypeVar("Backbone", bound=nn.Module)


class BuiltLater(nn.Module, ABC):
    """A module whose heads are made by ``build``, once the backbone and the data are known."""

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        if "attach" in vars(cls) and "build" not in vars(cls):
            warnings.warn(f"rename {cls.__name__}.attach to build, as it is called now", FutureWarning, 2)
            cls.build = vars(cls)["attach"]  # type: ignore[attr-defined]


class NamedObjectives(nn.Module, ABC, Generic[One, Backbone]):
    """Several objectives over one backbone.

    Args:
        objectives: each with a ``name``, in the order of the loss vector.

    Raises:
        ConfigError: two have one name.
    """

    def __init__(self, objectives: Sequence[One]) -> None:
        super().__init__()
        names = [str(objective.name) for objective in objectives]
        if len(set(names)) != len(names):
            raise ConfigError(f"the names of the objectives must be distinct, got {names}")
        self.by_name = nn.ModuleDict(dict(zip(names, objectives, strict=True)))

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of the loss vector."""
        return tuple(self.by_name)

    @property
    def objectives(self) -> list[One]:
        """In the order of the loss vector."""
        return cast(list[One], list(self.by_name.values()))

    @abstractmethod
    def losses(self, backbone: Backbone, batch: Batch) -> Tensor:
        """The loss vector, [k]."""


class PretrainingModel(nn.Module):
    """Level 1's model, theta: the backbone and the objectives' heads. ``model(batch)`` is [k].

    Args:
        backbone: what they share.
        objectives: with their heads.
    """

    def __init__(self, backbone: nn.Module, objectives: NamedObjectives[Any, Any]) -> None:
        super().__init__()
        self.backbone = backbone
        self.objectives = objectives

    def forward(self, batch: Batch) -> Tensor:
        """The loss vector, [k]."""
        return self.objectives.losses(self.backbone, batch)


class TaskModel(nn.Module, ABC):
    """Level 2's model, omega: a backbone, dropout, and a linear head. ``model(batch)`` is [b, t].

    Args:
        backbone: with ``dim``, the length of an embedding; copied, so that the original stays as it is.
        outputs: t.
        dropout: before the head, [0, 1).
        seed: of the head's weights.
    """

    def __init__(self, backbone: Any, *, outputs: int, dropout: float, seed: int) -> None:
        super().__init__()
        self.backbone = deepcopy(backbone)
        self.dropout = nn.Dropout(dropout)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = nn.Linear(backbone.dim, outputs)
        nn.init.zeros_(self.head.bias)

    @abstractmethod
    def embed(self, batch: Batch) -> Tensor:
        """The embeddings of a batch, [b, d]."""

    def forward(self, batch: Batch) -> Tensor:
        """Logits or standardised values, [b, t]."""
        outputs: Tensor = self.head(self.dropout(self.embed(batch)))
        return outputs
