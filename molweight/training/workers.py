"""Threads that prepare batches while the model works, and the way of a batch to the model's device."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from molweight.errors import ConfigError
from molweight.tapweight.batches import map_tensors
from molweight.tapweight.typing import Batch
from molweight.utils.machine import cores

MOST = 4  # workers; more of them wait for Python's interpreter lock


class Workers:
    """Threads shared by the streams of one stage; they start and end with a ``with`` block.

    Threads, because a batch is made of torch operations, which run outside Python's lock, on pictures that
    are in memory or memory-mapped once. A spawned process imports everything again, a forked one may hang on
    torch's own threads, and a batch of 19 MB takes 1.5 times as long to arrive from it.

    Outside the block, and with none, a stream prepares a batch when it is asked for: the same batch.

    Args:
        count: of threads, >= 0.
    """

    def __init__(self, count: int) -> None:
        if count < 0:
            raise ConfigError(f"the number of workers must be >= 0, got {count}; 0 prepares without any")
        self.count = count
        self._pool: ThreadPoolExecutor | None = None

    @property
    def ahead(self) -> int:
        """Batches that each stream keeps ready or under way; 0 while no thread runs.

        One for each worker, and one more for a stream that is read twice in a row.
        """
        return self.count + 1 if self._pool is not None else 0

    def submit(self, prepare: Callable[[], Batch]) -> Future[Batch]:
        """Have a batch prepared; its error, if any, is raised by ``result()``."""
        assert self._pool is not None, "outside the with block"
        return self._pool.submit(prepare)

    def __enter__(self) -> Self:
        assert self._pool is None, "entered twice"
        # Once set, MKL no longer chooses a smaller number by itself: so with any count, for equal results.
        torch.set_num_threads(torch.get_num_threads())
        if self.count:
            self._pool = started_pool(self.count)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)


def started_pool(count: int) -> ThreadPoolExecutor:
    """``count`` running threads, each with a single torch thread; the caller's number stays.

    Otherwise each worker would have its operations run by a team of its own, as large as the model's, and
    threads that wait for each other on too few cores cost several times the work.
    """
    threads = torch.get_num_threads()
    ready = threading.Barrier(count + 1)
    pool = ThreadPoolExecutor(count, thread_name_prefix="molweight-batches", initializer=hold_to_one_thread)
    try:
        for _ in range(count):
            pool.submit(ready.wait)  # one in each thread: none ends before all have started
        ready.wait()
    except BaseException:  # a second signal, or no more threads to be had
        ready.abort()
        pool.shutdown(cancel_futures=True)
        raise
    # set_num_threads changes the calling thread and those that start later, so the latter is put back.
    torch.set_num_threads(threads)
    return pool


def hold_to_one_thread() -> None:
    """Let torch's operations in this thread run in it alone."""
    torch.get_num_threads()  # torch sets a thread's number at its first need: have that behind us
    torch.set_num_threads(1)


def choose_workers(wanted: int | None, device: torch.device) -> int:
    """The number of workers: as wanted, or the cores that the model leaves free, at least 1 and at most 4.

    Args:
        wanted: None chooses.
        device: of the model; on a CPU it occupies torch's threads, elsewhere one core.
    """
    if wanted is not None:
        return wanted
    busy = torch.get_num_threads() if device.type == "cpu" else 1
    return min(MOST, max(1, cores() - busy))


@dataclass(frozen=True, kw_only=True)
class DeviceTransfer:
    """How a batch gets from the thread that prepares it to the model's device.

    On a CPU the last step is done in the background too. Elsewhere it is done on the device, after the
    transfer of the smaller batch, by the model's own thread: not every accelerator bears several.

    Args:
        device: of the model.
        finish: the last step, such as turning uint8 pictures into normalised floats.
    """

    device: torch.device
    finish: Callable[[Batch], Batch]

    def prepare(self, batch: Batch) -> Batch:
        """In a worker: finished for a CPU, in page-locked memory for CUDA."""
        if self.device.type == "cpu":
            return self.finish(batch)
        if self.device.type == "cuda":
            return map_tensors(Tensor.pin_memory, batch)
        return batch

    def to_device(self, batch: Batch) -> Batch:
        """In the model's thread: on the device, finished; from page-locked memory without waiting."""
        if self.device.type == "cpu":
            return batch
        pinned = self.device.type == "cuda"
        # MPS has no float64: labels stay where they are until they are standardised.
        stays = {torch.float64} if self.device.type == "mps" else set()

        def moved(value: Tensor) -> Tensor:
            return value if value.dtype in stays else value.to(self.device, non_blocking=pinned)

        return self.finish(map_tensors(moved, batch))


NO_TRANSFER = DeviceTransfer(device=torch.device("cpu"), finish=lambda batch: batch)
"""For batches that need no last step."""
