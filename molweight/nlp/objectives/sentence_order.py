"""Sentence order: are the two halves in the order in which they were written?"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from molweight.distributed.collectives import per_process
from molweight.nlp.encoder import TextEncoder
from molweight.nlp.objectives.base import TextObjective
from molweight.nlp.tokens import IGNORED
from molweight.nlp.views import Ordered
from molweight.tapweight.typing import Batch


class SentenceOrder(TextObjective):
    """Two classes from the first token's state.

    Source: Lan et al. 2020 (ALBERT), section 3.1; on the halves of one sentence as in TapWeight's
    nlureweight/main_roberta.py, since a corpus of single sentences has no neighbours.
    """

    @property
    def name(self) -> str:
        """The name of its weight."""
        return "sentence_order"

    @property
    def view(self) -> Ordered:
        """The halves as a pair."""
        return Ordered()

    def build(self, encoder: TextEncoder) -> None:
        """A dense layer with tanh, and two outputs."""
        self.head = nn.Sequential(nn.Linear(encoder.dim, encoder.dim), nn.Tanh(), nn.Linear(encoder.dim, 2))

    def loss(self, encoder: TextEncoder, states: Sequence[Tensor], batch: Batch) -> Tensor:
        """Mean cross entropy over sentences of two tokens or more; zero where a batch has none."""
        labels = batch["labels"]
        total = functional.cross_entropy(
            self.head(states[0][:, 0]), labels, ignore_index=IGNORED, reduction="sum"
        )
        return total / per_process(labels != IGNORED)
