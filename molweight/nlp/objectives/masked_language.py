"""Masked language modelling: which word was it?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from molweight.distributed.collectives import per_process
from molweight.errors import ConfigError
from molweight.nlp.encoder import TextEncoder
from molweight.nlp.objectives.base import TextObjective
from molweight.nlp.tokens import IGNORED
from molweight.nlp.views import Masked
from molweight.tapweight.typing import Batch


class MaskedLanguage(TextObjective):
    """Cross entropy of the hidden words; the decoder is the transposed embedding matrix.

    Source: Devlin et al. 2019 (BERT), section 3.1 and appendix A.1; head as in its published code.

    Args:
        share: fraction of the tokens that are chosen, (0, 1).
        hidden: fraction of the chosen tokens that become the mask.
        replaced: fraction of the chosen tokens that become any other token.
    """

    def __init__(self, *, share: float = 0.15, hidden: float = 0.8, replaced: float = 0.1) -> None:
        super().__init__()
        if not (0 < share < 1 and hidden >= 0 and replaced >= 0 and hidden + replaced <= 1):
            raise ConfigError(
                "masked_language needs 0 < share < 1 and hidden + replaced <= 1, both >= 0, got "
                f"{share}, {hidden} and {replaced}"
            )
        self._view = Masked(share=share, hidden=hidden, replaced=replaced)

    @property
    def name(self) -> str:
        """The name of its weight."""
        return "masked_language"

    @property
    def view(self) -> Masked:
        """Some words hidden."""
        return self._view

    def build(self, encoder: TextEncoder) -> None:
        """A dense layer, GELU and a layer norm; and a bias for every token."""
        self.transform = nn.Sequential(
            nn.Linear(encoder.dim, encoder.dim), nn.GELU(), nn.LayerNorm(encoder.dim)
        )
        self.bias = nn.Parameter(torch.zeros(len(encoder.embeddings)))

    def loss(self, encoder: TextEncoder, states: Sequence[Tensor], batch: Batch) -> Tensor:
        """Mean over the chosen tokens; zero where a batch has none."""
        labels = batch["labels"]
        chosen = labels != IGNORED
        hidden = self.transform(states[0][chosen])  # [m, d]: only what is asked for is decoded
        logits = functional.linear(hidden, encoder.embeddings, self.bias)
        total = functional.cross_entropy(logits, labels[chosen], reduction="sum")
        return total / per_process(chosen)
