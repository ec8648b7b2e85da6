"""Batches that hold other batches: two streams read side by side, several batches of one, views of a sample.

The static type of all of them is :data:`Batch`: most code reads tensors, and Python's types cannot say under
which names there are batches. Those are built by :func:`nest` and read by :func:`inner`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias, cast

from torch import Tensor

from molweight.tapweight.typing import Batch

NestedBatch: TypeAlias = Mapping[str, "Tensor | NestedBatch"]
"""Named tensors whose first dimension is the batch, and named batches."""


def nest(batch: NestedBatch) -> Batch:
    """A batch of named tensors and batches.

    >>> import torch
    >>> pair = nest({"unlabelled": {"x": torch.zeros(8, 3)}, "labelled": {"x": torch.zeros(2, 3)}})
    >>> inner(pair, "labelled")["x"].shape
    torch.Size([2, 3])
    """
    return cast(Batch, batch)


def inner(batch: Batch, name: str) -> Batch:
    """The batch under a name of a nested one."""
    return cast(Batch, batch[name])


def map_tensors(function: Callable[[Tensor], Tensor], batch: NestedBatch) -> Batch:
    """The same batch with a function applied to every tensor, however deep.

    >>> import torch
    >>> inner(map_tensors(lambda x: x[:1], {"view": {"plain": torch.zeros(8, 3)}}), "view")["plain"].shape
    torch.Size([1, 3])
    """
    return nest(
        {
            name: map_tensors(function, value) if isinstance(value, Mapping) else function(value)
            for name, value in batch.items()
        }
    )
