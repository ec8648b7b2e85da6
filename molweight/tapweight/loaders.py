"""Anybody's batches as the endless streams that the levels read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from molweight.errors import ConfigError, DataError
from molweight.tapweight.typing import StateDict


class EndlessBatches:
    """The batches of a loader, over and over, on one device.

    Args:
        name: used in messages.
        loader: a ``DataLoader``, a list of batches, or another iterable that can be iterated again.
        device: that tensors are moved to.

    Raises:
        ConfigError: ``loader`` yields samples, or is not iterable.
        DataError: it yields no batch.
    """

    def __init__(self, name: str, loader: Iterable[object], device: torch.device) -> None:
        samples = isinstance(loader, Tensor | str | Mapping)
        samples |= isinstance(loader, Dataset) and not isinstance(loader, IterableDataset)
        if samples or not isinstance(loader, Iterable):
            raise ConfigError(
                f"{name} must yield batches, got {type(loader).__name__}: pass a list of batches, or "
                "DataLoader(dataset, batch_size=64, shuffle=True)"
            )
        self.name, self.loader, self.device = name, loader, device
        self._iterator: Iterator[object] = iter(loader)
        self._read = 0
        self.first = self._take()
        """The first batch, which :meth:`next` returns first."""
        self._waiting = True

    def next(self) -> Any:
        """The next batch; at the end of the loader, the first batch of another pass."""
        if self._waiting:
            self._waiting = False
            return self.first
        return self._take()

    def _take(self) -> Any:
        end = object()
        batch = next(self._iterator, end)
        if batch is end:
            self._iterator = iter(self.loader)
            batch = next(self._iterator, end)
        if batch is end:
            gave = f"gave {self._read} batches once and none again" if self._read else "yields no batch"
            raise DataError(
                f"{self.name} {gave}: it must have at least one batch, and be a DataLoader or a list, which "
                "can be iterated again, or endless"
            )
        self._read += 1
        return to_device(batch, self.device)

    def state_dict(self) -> StateDict:
        """Loaders have no position that could be saved.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("the position in a loader cannot be saved")

    def load_state_dict(self, state: StateDict) -> None:
        """As :meth:`state_dict`.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("the position in a loader cannot be restored")


def endless_batches(
    pretraining_batches: Iterable[object],
    train_batches: Iterable[object],
    validation_batches: Iterable[object],
    *,
    device: torch.device,
) -> tuple[EndlessBatches, EndlessBatches, EndlessBatches]:
    """The streams of the three levels, named as the arguments.

    Raises:
        ConfigError: the weights would be learned on what the head learns from.
    """
    if train_batches is validation_batches:
        raise ConfigError(
            "train_batches and validation_batches are the same object: the weights are learned on samples "
            "that the head does not learn from"
        )
    return (
        EndlessBatches("pretraining_batches", pretraining_batches, device),
        EndlessBatches("train_batches", train_batches, device),
        EndlessBatches("validation_batches", validation_batches, device),
    )


def to_device(value: Any, device: torch.device) -> Any:
    """The tensors in a value moved to a device; a value without tensors is returned as it is.

    >>> to_device({"x": (torch.zeros(2), "a name")}, torch.device("meta"))
    {'x': (tensor(..., device='meta', size=(2,)), 'a name')}
    """
    if hasattr(value, "to"):  # also batches of transformers and torch_geometric
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: to_device(item, device) for key, item in value.items()}
    if isinstance(value, tuple | list):
        items = [to_device(item, device) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def describe(value: object) -> str:
    """What a batch holds, in a few words.

    >>> describe((torch.zeros(8, 3), {"label": torch.zeros(8)}, "a name"))
    '(Tensor [8, 3], {label: Tensor [8]}, str)'
    """
    if isinstance(value, Tensor):
        return f"Tensor {list(value.shape)}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {describe(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple | list) and len(value) <= 8:  # more are no message
        return "(" + ", ".join(map(describe, value)) + ")"
    return type(value).__name__
