"""What an objective of text is: its view, its head and its loss; and several of them together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from molweight.distributed.collectives import averaged
from molweight.nlp.encoder import TextEncoder
from molweight.nlp.views import View
from molweight.tapweight.batches import inner
from molweight.tapweight.typing import Batch
from molweight.training.models import BuiltLater, NamedObjectives


class TextObjective(BuiltLater):
    """One self-supervised loss.

    A subclass says how a sentence is changed, builds its head in :meth:`build`, and computes a scalar in
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
    def build(self, encoder: TextEncoder) -> None:
        """Build the head for an encoder's hidden states."""

    @abstractmethod
    def loss(self, encoder: TextEncoder, states: Sequence[Tensor], batch: Batch) -> Tensor:
        """The loss, a scalar, whose mean over the processes is that of the whole batch.

        Args:
            encoder: whose embeddings a head may share.
            states: [b, l, d] of each pass.
            batch: of the view: ``mask`` [b, l] and its labels.
        """


class TextObjectiveSet(NamedObjectives[TextObjective, TextEncoder]):
    """Several objectives over one encoder."""

    @property
    def views(self) -> dict[str, View]:
        """By the name of their objective."""
        return {objective.name: objective.view for objective in self.objectives}

    def build(self, encoder: TextEncoder, seed: int) -> None:
        """Build every head; the weights of each depend on the seed alone."""
        for objective in self.objectives:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                objective.build(encoder)

    def losses(self, backbone: TextEncoder, batch: Batch) -> Tensor:
        """The loss vector, [k], of a batch of all views."""
        losses = []
        for objective in self.objectives:
            view = inner(batch, objective.name)
            states = [backbone(view) for _ in range(objective.passes)]
            losses.append(objective.loss(backbone, states, view))
        return averaged(torch.stack(losses))
