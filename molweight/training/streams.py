"""Endless, resumable streams of shuffled batches, the same whoever prepares and reads them, and when."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import torch
from torch import Tensor

from molweight.distributed.collectives import shard, world_size
from molweight.errors import ConfigError, DataError
from molweight.tapweight.typing import Batch, StateDict
from molweight.training.draws import Draws
from molweight.training.workers import NO_TRANSFER, DeviceTransfer, Workers
from molweight.utils.seeds import derived_generator

MOST_EPOCHS = 1 << 31  # that a saved position may name

Fetch = Callable[[Tensor, Draws], Batch]
"""``(positions [b], draws) -> batch`` on the CPU: looks samples up and augments them; from any thread."""


class Stream:
    """Shuffled epochs, one after the other, cut into batches of one size, prepared ahead of use.

    A batch is a function of the seed, the name and its place alone. What is prepared but not read yet is
    not part of the position: it is prepared again after a resume.

    Args:
        fetch: builds a batch from positions.
        positions: what there is to draw from, [n] int64.
        batch_size: samples in a batch; a smaller set gives batches of its own size.
        seed: of the run.
        name: keeps the streams of a run apart.
        workers: prepare batches ahead; None prepares each when it is asked for.
        transfer: brings a batch to the model's device.

    Of several processes each prepares and reads its share of every batch, so together they see what one sees.

    Raises:
        DataError: fewer than two samples; BatchNorm has no statistics on one.
        ConfigError: the processes of the run cannot share a batch evenly.
    """

    def __init__(
        self,
        fetch: Fetch,
        positions: Tensor,
        *,
        batch_size: int,
        seed: int,
        name: str,
        workers: Workers | None = None,
        transfer: DeviceTransfer = NO_TRANSFER,
    ) -> None:
        if len(positions) < 2:
            raise DataError(f"the {name} part has {len(positions)} usable samples; at least 2 are needed")
        self.fetch = fetch
        self.positions = positions
        self.batch_size = min(batch_size, len(positions))
        if self.batch_size % world_size() or self.batch_size < 2 * world_size():
            raise ConfigError(
                f"batches of {self.batch_size} samples (level '{name}', {len(positions)} in all) cannot be "
                f"shared among {world_size()} processes: choose a batch size that is a multiple of their "
                "number, two samples or more for each"
            )
        self.key = (seed, name)
        self.count = 0  # batches read
        self.workers = workers or Workers(0)
        self.transfer = transfer
        self._coming: deque[Future[Batch]] = deque()  # batches count, count + 1, …
        self._orders: dict[int, Tensor] = {}
        self._lock = threading.Lock()  # of the orders

    @property
    def per_epoch(self) -> int:
        """Batches in an epoch; the incomplete one at its end is left out."""
        return len(self.positions) // self.batch_size

    def next(self) -> Batch:
        """The next batch.

        Raises:
            Exception: what ``fetch`` raised, as it was; the position stays before that batch.
        """
        self._look_ahead()
        try:
            batch = self._coming[0].result() if self._coming else self.prepare(self.count)
        except BaseException:
            self._forget()
            raise
        if self._coming:
            self._coming.popleft()
        self.count += 1
        self._look_ahead()
        return self.transfer.to_device(batch)

    def prepare(self, number: int) -> Batch:
        """Batch ``number`` of the stream, from 0; safe to call from several threads."""
        epoch, index = divmod(number, self.per_epoch)
        start = index * self.batch_size
        positions = shard(self.positions[self.order(epoch)[start : start + self.batch_size]])
        return self.transfer.prepare(self.fetch(positions, Draws(*self.key, epoch, samples=positions)))

    def order(self, epoch: int) -> Tensor:
        """An epoch's permutation, [n]."""
        with self._lock:
            if epoch not in self._orders:
                self._orders = {e: order for e, order in self._orders.items() if e == epoch - 1}
                generator = derived_generator(*self.key, epoch)
                self._orders[epoch] = torch.randperm(len(self.positions), generator=generator)
            return self._orders[epoch]

    def state_dict(self) -> StateDict:
        """The position in the stream: what was read, not what was prepared."""
        epoch, index = divmod(self.count, self.per_epoch)
        return {"epoch": epoch, "index": index}

    def load_state_dict(self, state: StateDict) -> None:
        """Continue at a saved position.

        Raises:
            ValueError: the stream has no such position.
        """
        if not (0 <= state["epoch"] < MOST_EPOCHS and 0 <= state["index"] <= self.per_epoch):
            raise ValueError(f"no position of this stream: {state}")
        self._forget()
        self.count = state["epoch"] * self.per_epoch + state["index"]

    def _look_ahead(self) -> None:
        """Ask for the batches that come next, as far as workers look ahead."""
        if not self.workers.ahead:
            self._coming.clear()  # the workers have gone: what they left undone was cancelled
        while len(self._coming) < self.workers.ahead:
            number = self.count + len(self._coming)
            self._coming.append(self.workers.submit(partial(self.prepare, number)))

    def _forget(self) -> None:
        """Drop what was prepared ahead."""
        for future in self._coming:
            future.cancel()
        self._coming.clear()
