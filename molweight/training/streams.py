"""Endless, resumable streams of shuffled batches, the same whoever reads them and when."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from molweight.errors import DataError
from molweight.tapweight.typing import Batch

Fetch = Callable[[Tensor, torch.Generator], Batch]
"""``(positions [b], generator) -> batch``: looks samples up and augments them."""


def derived_generator(*key: object) -> torch.Generator:
    """A CPU generator seeded by a key such as (seed, stream, epoch, position).

    Nothing is shared between two keys, so no stream depends on how much another one has drawn.
    """
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


class Stream:
    """Shuffled epochs, one after the other, cut into batches of one size.

    Args:
        fetch: builds a batch from positions.
        positions: what there is to draw from, [n] int64.
        batch_size: samples in a batch; a smaller set gives batches of its own size.
        seed: of the run.
        name: keeps the streams of a run apart.

    Raises:
        DataError: fewer than two samples; BatchNorm has no statistics on one.
    """

    def __init__(self, fetch: Fetch, positions: Tensor, *, batch_size: int, seed: int, name: str) -> None:
        if len(positions) < 2:
            raise DataError(f"the {name} part has {len(positions)} usable molecules; at least 2 are needed")
        self.fetch = fetch
        self.positions = positions
        self.batch_size = min(batch_size, len(positions))
        self.key = (seed, name)
        self.epoch = 0
        self.index = 0  # of the next batch in this epoch
        self._order: tuple[int, Tensor] | None = None

    def next(self) -> Batch:
        """The next batch; the incomplete one at an epoch's end is left out."""
        if self.index >= len(self.positions) // self.batch_size:
            self.epoch, self.index = self.epoch + 1, 0
        start = self.index * self.batch_size
        chosen = self.order()[start : start + self.batch_size]
        generator = derived_generator(*self.key, self.epoch, self.index)
        self.index += 1
        return self.fetch(self.positions[chosen], generator)

    def order(self) -> Tensor:
        """This epoch's permutation, [n]."""
        if self._order is None or self._order[0] != self.epoch:
            generator = derived_generator(*self.key, self.epoch)
            self._order = (self.epoch, torch.randperm(len(self.positions), generator=generator))
        return self._order[1]

    def state_dict(self) -> dict[str, Any]:
        """The position in the stream."""
        return {"epoch": self.epoch, "index": self.index}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue at a saved position."""
        self.epoch, self.index = state["epoch"], state["index"]
