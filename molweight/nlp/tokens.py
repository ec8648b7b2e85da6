"""Sentences as token ids, shortened by their tokenizer, and batches padded to their longest.

``b`` samples in a batch, ``l`` tokens in its longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from molweight.errors import ConfigError
from molweight.nlp.encoder import TextEncoder
from molweight.tapweight.typing import Batch

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

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


def layout_of(tokenizer: PreTrainedTokenizerBase, encoder: TextEncoder) -> Layout:
    """The layout, read off what the tokenizer makes of a word and of two."""
    word = tokenizer("a", add_special_tokens=False)["input_ids"]
    single, pair = tokenizer("a")["input_ids"], tokenizer("a", "a")["input_ids"]
    starts = [i for i in range(len(pair) - len(word) + 1) if pair[i : i + len(word)] == word]
    if len(starts) != 2 or single[starts[0] : starts[0] + len(word)] != word:
        raise ConfigError("the tokenizer joins two sentences in a way that is not known here")
    first, second = starts
    special = np.array(sorted(tokenizer.all_special_ids))
    vocabulary = np.arange(min(len(tokenizer), len(encoder.embeddings)))  # some matrices are padded
    return Layout(
        before=pair[:first],
        between=pair[first + len(word) : second],
        after=pair[second + len(word) :],
        end=single[first + len(word) :],
        typed=getattr(encoder.model.config, "type_vocab_size", 0) > 1,
        pad=int(tokenizer.pad_token_id),
        mask=int(tokenizer.mask_token_id),
        special=torch.from_numpy(special),
        words=torch.from_numpy(np.setdiff1d(vocabulary, special)),
    )


@dataclass(frozen=True, kw_only=True)
class TokenStore:
    """Sequences of token ids.

    Args:
        ids: of each, int32, [its length].
        types: of the same tokens, int8; None where the encoder has none.
    """

    ids: list[np.ndarray]
    types: list[np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def sequences(self, positions: Tensor) -> list[np.ndarray]:
        """The ids of some sequences."""
        return [self.ids[i] for i in positions.tolist()]

    def batch(self, positions: Tensor, pad: int) -> Batch:
        """``ids``, ``mask`` and, if there are any, ``types``, [b, l] int64 each."""
        batch = padded(self.sequences(positions), pad)
        if self.types is not None:
            batch["types"] = padded([self.types[i] for i in positions.tolist()], 0)["ids"]
        return batch


def padded(sequences: Sequence[np.ndarray], pad: int) -> dict[str, Tensor]:
    """``ids`` [b, l], filled up with ``pad``, and ``mask`` [b, l]: 1 where there is a token."""
    rows = [torch.from_numpy(ids).long() for ids in sequences]
    return {
        "ids": pad_sequence(rows, batch_first=True, padding_value=pad),
        "mask": pad_sequence([torch.ones_like(ids) for ids in rows], batch_first=True),
    }


def encode_rows(
    tokenizer: PreTrainedTokenizerBase,
    first: Sequence[str],
    second: Sequence[str] | None,
    *,
    layout: Layout,
    longest: int,
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
    ids: list[np.ndarray] = []
    types: list[np.ndarray] = []
    shortened = 0
    for start in range(0, len(first), CHUNK):
        rows = [list(part[start : start + CHUNK]) for part in (first, second) if part is not None]
        encoded = tokenizer(
            *rows, truncation="longest_first", max_length=longest, return_token_type_ids=layout.typed
        )
        ids += [np.array(row, dtype=np.int32) for row in encoded["input_ids"]]
        types += [np.array(row, dtype=np.int8) for row in encoded.get("token_type_ids", [])]
        full = [i for i, row in enumerate(encoded["input_ids"]) if len(row) == longest]
        if full:  # as long as they may be, or shortened to it
            whole = tokenizer(*[[part[i] for i in full] for part in rows], verbose=False)["input_ids"]
            shortened += sum(len(row) > longest for row in whole)
    return TokenStore(ids=ids, types=types if layout.typed else None), shortened


def encode_words(tokenizer: PreTrainedTokenizerBase, sentences: Sequence[str], *, longest: int) -> TokenStore:
    """Sentences without special tokens, each cut at its end to ``longest`` tokens."""
    ids: list[np.ndarray] = []
    for start in range(0, len(sentences), CHUNK):
        encoded = tokenizer(
            list(sentences[start : start + CHUNK]),
            add_special_tokens=False,
            truncation=True,
            max_length=longest,
        )
        ids += [np.array(row, dtype=np.int32) for row in encoded["input_ids"]]
    return TokenStore(ids=ids)
