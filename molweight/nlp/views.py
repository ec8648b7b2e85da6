"""What is done to a sentence before it is encoded: nothing, words masked, halves exchanged.

``b`` sentences in a batch, ``l`` tokens in its longest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from molweight.nlp.tokens import IGNORED, Layout, TokenStore, padded
from molweight.tapweight.batches import nest
from molweight.tapweight.typing import Batch
from molweight.training.draws import Draws

View = Callable[[list[np.ndarray], Layout, Draws], Batch]
"""``(words of b sentences, layout, draws) -> ids, mask, …``"""


@dataclass(frozen=True, kw_only=True)
class Clean:
    """The sentence as it is; dropout makes two passes over it differ."""

    def __call__(self, words: list[np.ndarray], layout: Layout, draws: Draws) -> Batch:
        """``ids`` and ``mask``, [b, l]."""
        return padded([single(sentence, layout) for sentence in words], layout.pad)


@dataclass(frozen=True, kw_only=True)
class Masked:
    """Some words hidden, in BERT's way (Devlin et al. 2019, appendix A.1); special tokens never.

    Args:
        share: probability of choosing a token, (0, 1).
        hidden: of the chosen, the share that becomes the mask.
        replaced: of the chosen, the share that becomes any other token; the rest stays.
    """

    share: float
    hidden: float
    replaced: float

    def __call__(self, words: list[np.ndarray], layout: Layout, draws: Draws) -> Batch:
        """``ids``, ``mask`` and ``labels``, [b, l]; a label is the token that was there, if it was chosen."""
        batch = Clean()(words, layout, draws)
        ids, mask = batch["ids"], batch["mask"]
        width = ids.shape[1]
        chosen = draws.uniforms("chosen", width) < self.share
        chosen &= mask.bool() & ~torch.isin(ids, layout.special)
        fate = draws.uniforms("fate", width)
        other = layout.words[(draws.uniforms("other", width) * len(layout.words)).long()]
        masked = torch.where(chosen & (fate < self.hidden), layout.mask, ids)
        masked = torch.where(
            chosen & (fate >= self.hidden) & (fate < self.hidden + self.replaced), other, masked
        )
        return {"ids": masked, "mask": mask, "labels": torch.where(chosen, ids, IGNORED)}


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """The two halves of a sentence as a pair, exchanged in half of the cases."""

    def __call__(self, words: list[np.ndarray], layout: Layout, draws: Draws) -> Batch:
        """``ids``, ``mask``, ``types`` [b, l], and ``labels`` [b]: 1 where the halves are in their order."""
        in_order = draws.uniform("order") < 0.5
        sequences, types = [], []
        for sentence, keep in zip(words, in_order.tolist(), strict=True):
            halves = sentence[: len(sentence) // 2], sentence[len(sentence) // 2 :]
            left, right = halves if keep else halves[::-1]
            start = [*layout.before, *left.tolist(), *layout.between]
            sequences.append(np.array([*start, *right.tolist(), *layout.after], dtype=np.int32))
            types.append((np.arange(len(sequences[-1])) >= len(start)).astype(np.int8))
        whole = torch.tensor([len(sentence) > 1 for sentence in words])
        batch = padded(sequences, layout.pad) | {"labels": torch.where(whole, in_order.long(), IGNORED)}
        return batch | ({"types": padded(types, 0)["ids"]} if layout.typed else {})


def single(words: np.ndarray, layout: Layout) -> np.ndarray:
    """A sentence with its special tokens."""
    return np.concatenate([layout.before, words, layout.end]).astype(np.int32)


def make_batch(
    views: dict[str, View], store: TokenStore, layout: Layout, positions: Tensor, draws: Draws
) -> Batch:
    """All views of some sentences, nested by the name of the view."""
    words = store.sequences(positions)
    return nest({name: view(words, layout, draws.of(name)) for name, view in views.items()})
