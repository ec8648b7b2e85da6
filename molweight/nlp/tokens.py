"""Sentences as token ids, in one array for all, and batches padded to their longest.

``b`` samples in a batch, ``l`` tokens in its longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molweight.errors import ConfigError
from molweight.nlp.encoder import TextEncoder
from molweight.tapweight.typing import Batch

CHUNK = 1000  # sentences given to the tokenizer at a time
IGNORED = -100  # a target that counts for nothing: torch's cross_entropy, ignore_index


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Special tokens around one sentence or two, as a tokenizer puts them.

    Args:
        before: in front of the first.
        between: of the first and the second.
        after: behind the last, of a pair.
        end: behind a single one.
        typed: whether the encoder tells the two sentences apart by token types.
        pad: id of padding.
        mask: id of the mask.
        special: ids that are no words, sorted.
        words: ids of all other tokens, sorted.
    """

    before: list[int]
    between: list[int]
    after: list[int]
    end: list[int]
    typed: bool
    pad: int
    mask: int
    special: Tensor
    words: Tensor

    @property
    def most(self) -> int:
        """Special tokens around a pair."""
        return len(self.before) + len(self.between) + len(self.after)


def layout_of(tokenizer: Any, encoder: TextEncoder) -> Layout:
    """The layout, read off what the tokenizer makes of a word and of two."""
    word = tokenizer("a", add_special_tokens=False)["input_ids"]
    one, two = tokenizer("a")["input_ids"], tokenizer("a", "a")["input_ids"]
    starts = [i for i in range(len(two) - len(word) + 1) if two[i : i + len(word)] == word]
    if len(starts) != 2 or one[starts[0] : starts[0] + len(word)] != word:
        raise ConfigError("the tokenizer joins two sentences in a way that is not known here")
    first, second = starts
    special = np.array(sorted(tokenizer.all_special_ids))
    known = np.arange(min(len(tokenizer), len(encoder.embeddings)))  # some matrices are padded
    return Layout(
        before=two[:first],
        between=two[first + len(word) : second],
        after=two[second + len(word) :],
        end=one[first + len(word) :],
        typed=getattr(encoder.model.config, "type_vocab_size", 0) > 1,
        pad=int(tokenizer.pad_token_id),
        mask=int(tokenizer.mask_token_id),
        special=torch.from_numpy(special),
        words=torch.from_numpy(np.setdiff1d(known, special)),
    )


@dataclass(frozen=True, kw_only=True)
class TokenStore:
    """Sequences of token ids.

    Args:
        ids: of all, one after the other, int32.
        types: of the same tokens, int8; None where the encoder has none.
        offsets: where each begins, and where the last ends, [n + 1].
    """

    ids: np.ndarray
    types: np.ndarray | None
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def sequences(self, positions: Tensor) -> list[np.ndarray]:
        """The ids of some sequences."""
        return [self.ids[self.offsets[i] : self.offsets[i + 1]] for i in positions.tolist()]

    def batch(self, positions: Tensor, pad: int) -> Batch:
        """``ids``, ``mask`` and, if there are any, ``types``, [b, l] int64 each."""
        batch = padded(self.sequences(positions), pad)
        if self.types is not None:
            types = [self.types[self.offsets[i] : self.offsets[i + 1]] for i in positions.tolist()]
            batch["types"] = padded(types, 0)["ids"]
        return batch


def padded(sequences: Sequence[np.ndarray], pad: int) -> dict[str, Tensor]:
    """``ids`` [b, l], filled up with ``pad``, and ``mask`` [b, l]: 1 where there is a token."""
    lengths = torch.tensor([len(one) for one in sequences])
    mask = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
    ids = torch.full(mask.shape, pad)
    ids[mask.bool()] = torch.from_numpy(np.concatenate(sequences)).long()
    return {"ids": ids, "mask": mask}


def stored(sequences: Sequence[Sequence[int]], types: Sequence[Sequence[int]] | None = None) -> TokenStore:
    """A store of sequences."""
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in sequences])]).astype(np.int64)
    return TokenStore(
        ids=np.fromiter((i for one in sequences for i in one), dtype=np.int32, count=int(offsets[-1])),
        types=None
        if types is None
        else np.fromiter((i for one in types for i in one), dtype=np.int8, count=int(offsets[-1])),
        offsets=offsets,
    )


def encode_rows(
    tokenizer: Any, first: Sequence[str], second: Sequence[str] | None, *, layout: Layout, longest: int
) -> tuple[TokenStore, int]:
    """Rows with their special tokens; the longer sentence of a pair is shortened first.

    Args:
        tokenizer: of the encoder.
        first, second: sentences; ``second`` is None where rows have one.
        layout: of the special tokens.
        longest: most tokens of a row, special ones included.

    Returns:
        The store, and how many rows were shortened.
    """
    ones = words_of(tokenizer, first)
    twos = None if second is None else words_of(tokenizer, second)
    sequences, types, cut = [], [], 0
    for i, one in enumerate(ones):
        two = None if twos is None else twos[i]
        room = longest - (len(layout.before) + len(layout.end) if two is None else layout.most)
        kept = shortened(one, two or [], room)
        cut += sum(map(len, kept)) < len(one) + len(two or [])
        if two is None:
            left, right = [*layout.before, *kept[0], *layout.end], []
        else:
            left, right = [*layout.before, *kept[0], *layout.between], [*kept[1], *layout.after]
        sequences.append(left + right)
        types.append([0] * len(left) + [1] * len(right))
    return stored(sequences, types if layout.typed else None), cut


def words_of(tokenizer: Any, sentences: Sequence[str]) -> list[list[int]]:
    """Token ids of sentences, without special tokens."""
    found: list[list[int]] = []
    for start in range(0, len(sentences), CHUNK):
        chunk = list(sentences[start : start + CHUNK])
        found += tokenizer(chunk, add_special_tokens=False, verbose=False)["input_ids"]
    return found


def shortened(one: list[int], two: list[int], room: int) -> tuple[list[int], list[int]]:
    """Both sentences cut at their ends to fit: the longer one until they are equally long, then both.

    As the strategy ``longest_first`` of the library tokenizers.
    """
    if len(one) + len(two) <= room:
        return one, two
    if len(one) > len(two):
        right, left = shortened(two, one, room)
        return left, right
    left = one[: room // 2]
    return left, two[: room - len(left)]
