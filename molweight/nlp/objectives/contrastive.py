"""Contrast of a sentence with itself: two dropout masks must agree, other sentences must not."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from molweight.distributed.collectives import whole_batch
from molweight.errors import ConfigError
from molweight.nlp.encoder import TextEncoder
from molweight.nlp.objectives.base import TextObjective
from molweight.nlp.views import Clean
from molweight.tapweight.typing import Batch


class Contrastive(TextObjective):
    """Unsupervised SimCSE: each sentence is encoded twice, and finds itself among those of the batch.

    Source: Gao, Yao and Chen 2021, equation 4; the first token's state through a dense layer with tanh,
    which exists in training only.

    Args:
        temperature: temperature of the softmax, > 0; 0.05 as published.
    """

    passes = 2

    def __init__(self, *, temperature: float = 0.05) -> None:
        super().__init__()
        if not temperature > 0:
            raise ConfigError(f"contrastive.temperature must be > 0, got {temperature}")
        self.temperature = temperature

    @property
    def name(self) -> str:
        """The name of its weight."""
        return "contrastive"

    @property
    def view(self) -> Clean:
        """The sentence as it is."""
        return Clean()

    def build(self, encoder: TextEncoder) -> None:
        """A dense layer with tanh."""
        self.head = nn.Sequential(nn.Linear(encoder.dim, encoder.dim), nn.Tanh())

    def loss(self, encoder: TextEncoder, states: Sequence[Tensor], batch: Batch) -> Tensor:
        """Cross entropy of the cosines [b, b], divided by the temperature."""
        first, second = (
            functional.normalize(whole_batch(self.head(hidden[:, 0])), dim=1) for hidden in states
        )
        cosines = first @ second.T / self.temperature
        return functional.cross_entropy(cosines, torch.arange(len(first), device=first.device))
