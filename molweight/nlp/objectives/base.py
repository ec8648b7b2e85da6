"""What an objective of text is: its view, its head and its loss; and several of them together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from molweight.errors import ConfigError
from molweight.nlp.encoder import TextEncoder
from molweight.nlp.views import View
from molweight.tapweight.typing import Batch


class TextObjective(nn.Module, ABC):
    """One self-supervised loss.

    A subclass says how a sentence is changed, builds its head in :meth:`attach`, and computes a scalar in
    :meth:`loss`, which is a pure function of parameters, batch and random state.
    """

    passes: int = 1
    """Times that the view is encoded, each with dropout of its own."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of its weight."""

    @property
    @abstractmethod
    def view(self) -> View:
        """What is done to a sentence before it is encoded."""

    @abstractmethod
    def attach(self, encoder: TextEncoder) -> None:
        """Build the head for an encoder's hidden states."""

    @abstractmethod
    def loss(self, encoder: TextEncoder, states: Sequence[Tensor], batch: Batch) -> Tensor:
        """The loss, a scalar.

        Args:
            encoder: whose embeddings a head may share.
            states: [b, l, d] of each pass.
            batch: of the view: ``mask`` [b, l] and its labels.
        """


class TextObjectiveSet(nn.Module):
    """Several objectives over one encoder.

    Args:
        objectives: in the order of the loss vector.
    """

    def __init__(self, objectives: Sequence[TextObjective]) -> None:
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
    def objectives(self) -> list[TextObjective]:
        """In the order of the loss vector."""
        return [o for o in self.by_name.values() if isinstance(o, TextObjective)]

    @property
    def views(self) -> dict[str, View]:
        """By the name of their objective."""
        return {objective.name: objective.view for objective in self.objectives}

    def attach(self, encoder: TextEncoder, seed: int) -> None:
        """Build every head; the weights of each depend on the seed alone."""
        for objective in self.objectives:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                objective.attach(encoder)

    def losses(self, encoder: TextEncoder, batch: Batch) -> Tensor:
        """The loss vector, [k], of a batch of all views."""
        found = []
        for objective in self.objectives:
            prefix = f"{objective.name}/"
            states = [encoder(batch, prefix) for _ in range(objective.passes)]
            own = {key.removeprefix(prefix): v for key, v in batch.items() if key.startswith(prefix)}
            found.append(objective.loss(encoder, states, own))
        return torch.stack(found)


class TextPretrainingModel(nn.Module):
    """Level 1's model, theta: the backbone and the objectives' heads. ``model(batch)`` is [k].

    Args:
        backbone: the encoder.
        objectives: attached.
    """

    def __init__(self, backbone: TextEncoder, objectives: TextObjectiveSet) -> None:
        super().__init__()
        self.backbone = backbone
        self.objectives = objectives

    def forward(self, batch: Batch) -> Tensor:
        """The loss vector, [k]."""
        return self.objectives.losses(self.backbone, batch)
