"""Labels that take long to compute, kept in the cache and checked whenever they are read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from molweight.data.cache import CachedRecords
from molweight.data.locate import cache_folder
from molweight.data.segments import Record

Labels = NDArray[np.int64]


def cached_labels(recipe: Mapping[str, object], compute: Callable[[], Labels]) -> Labels:
    """Labels [n] from the cache's folder ``labels``, or computed and put there.

    Args:
        recipe: everything that decides them, as JSON can say it.
        compute: makes them.

    Raises:
        DataError: the cache cannot be read or written.
    """

    def record(_: Sequence[str]) -> list[Record]:
        return [Record("ok", compute().astype("<i8").tobytes())]

    records = CachedRecords(["labels"], cache_folder() / "labels", recipe, record, what="labels")
    return np.frombuffer(next(records.values(np.arange(1))), dtype="<i8").astype(np.int64)
