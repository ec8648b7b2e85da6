"""From molecules to tables: drawn by processes, run in batches, a row for every row.

Letters: b rows of a batch, S a picture's side in px, c columns of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, tee
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molweight.data.results import RenderResult
from molweight.data.standardise import Standardisation
from molweight.data.table_rows import MalformedRow
from molweight.errors import ConfigError
from molweight.images.drawing import decompress, draw
from molweight.images.drawing_processes import CHUNK, draw_all
from molweight.inference.requests import Request
from molweight.utils.machine import cores
from molweight.utils.output_columns import ROW, TEXT

Item = TypeVar("Item")
Recipe = tuple[int, Standardisation]
"""What a picture depends on besides its molecule: its side in px, and what is done before it is drawn."""

Query = tuple[Request, tuple[RenderResult, ...]]
"""A row, and what became of its molecule under every recipe."""

PIXELS = 1 << 20  # of a batch: 256 pictures of 64 px, 21 of 224 px


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows that are answered together.

    Args:
        inputs: as they stood there.
        fates: status and reason of each.
        smiles: what was drawn under the first recipe, of those whose status is ``ok``.
        pictures: by recipe, [b, 3, S, S] uint8, of the same.
    """

    inputs: list[str]
    fates: list[tuple[str, str]]
    smiles: list[str]
    pictures: dict[Recipe, Tensor]


Compute = Callable[[Batch], np.ndarray]
"""``batch -> numbers [b, c]`` of those whose status is ``ok``."""


def empty(columns: Sequence[str], dtype: str = "float64") -> pd.DataFrame:
    """The table of no rows, with columns of numbers: it says which columns there are, and of what.

    Text stands between the row and the numbers.
    """
    made: dict[str, Any] = {ROW: pd.Series(dtype="int64")}
    made |= {name: pd.Series(dtype=object) for name in TEXT}
    made |= {name: pd.Series(dtype=dtype) for name in columns}
    return pd.DataFrame(made)


def predict_batches(
    queries: Iterable[Request],
    recipes: Sequence[Recipe],
    columns: Sequence[str],
    compute: Compute,
    *,
    workers: int | None = None,
    dtype: str = "float64",
) -> Iterator[pd.DataFrame]:
    """Tables of a batch of rows each, in order; memory does not grow with their number.

    Args:
        queries: read as needed.
        recipes: of the pictures that are needed, all different.
        columns: of numbers.
        compute: what the numbers are.
        workers: processes that draw; None: one for each core, none for a few molecules.
        dtype: of the numbers.

    Returns:
        Tables with the columns of :func:`empty`; ``row`` counts from 1; numbers are NaN where the status
        is not ``ok``.

    Raises:
        ConfigError: ``workers`` is less than one; at once, not with the first table.
    """
    together = drawings(queries, recipes, workers=workers)
    batch = max(1, PIXELS // max(size * size for size, _ in recipes))
    chunks = iter(lambda: list(islice(together, batch)), [])
    batches = ahead(unpacked(chunk, recipes) for chunk in chunks)
    return tables(batches, columns, compute, dtype)


def drawings(
    queries: Iterable[Request], recipes: Sequence[Recipe], *, workers: int | None = None
) -> Iterator[Query]:
    """Every row with what became of its molecule; arguments and errors as of :func:`predict_batches`.

    Processes of their own draw, which a molecule may crash or hang; a few molecules are drawn here.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}")
    queries = iter(queries)
    head = list(islice(queries, CHUNK + 1))
    inside = workers is None and len(head) <= CHUNK
    each = max(1, (workers or cores()) // len(recipes))
    *streams, rows = tee(chain(head, queries), len(recipes) + 1)
    drawn: list[Iterator[RenderResult]] = []
    for (size, standardise), stream in zip(recipes, streams, strict=True):
        texts = ("" if isinstance(one, MalformedRow) else one for one in stream)
        if inside:
            drawn.append(map(partial(draw, size=size, canonicalise=True, standardise=standardise), texts))
        else:
            drawn.append(draw_all(texts, size, canonicalise=True, workers=each, standardise=standardise))
    return zip(rows, zip(*drawn, strict=True), strict=True)


def ahead(items: Generator[Item]) -> Iterator[Item]:
    """The items, each prepared by a thread while the one before is in use."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        try:
            coming = pool.submit(next, items, None)
            while (item := coming.result()) is not None:
                coming = pool.submit(next, items, None)
                yield item
        finally:
            pool.shutdown(wait=True)
            items.close()


def unpacked(chunk: Sequence[Query], recipes: Sequence[Recipe]) -> Batch:
    """What became of the rows of a chunk, with the pictures of those that have them all."""
    fates = [status_of(request, drawn) for request, drawn in chunk]
    good = [drawn for (_, drawn), (status, _) in zip(chunk, fates, strict=True) if status == "ok"]
    return Batch(
        inputs=[one.text if isinstance(one, MalformedRow) else one for one, _ in chunk],
        fates=fates,
        smiles=[drawn[0].smiles for drawn in good],
        pictures={
            recipe: pictures_of([drawn[place] for drawn in good], recipe[0])
            for place, recipe in enumerate(recipes)
        },
    )


def tables(
    batches: Iterator[Batch], columns: Sequence[str], compute: Compute, dtype: str
) -> Iterator[pd.DataFrame]:
    """The table of every batch; arguments as of :func:`predict_batches`."""
    count = 0
    for batch in batches:
        good = [status == "ok" for status, _ in batch.fates]
        values = np.full((len(good), len(columns)), np.nan, dtype)
        if any(good):
            values[good] = compute(batch)
        fates = ([kind for kind, _ in batch.fates], [reason for _, reason in batch.fates])
        texts: dict[str, Any] = {ROW: np.arange(count + 1, count + 1 + len(good))}
        texts |= zip(TEXT, (batch.inputs, *fates), strict=True)
        numbers = pd.DataFrame(values, columns=pd.Index(columns))
        yield pd.concat([pd.DataFrame(texts), numbers], axis=1)
        count += len(good)


def status_of(queries: Request, drawn: Sequence[RenderResult]) -> tuple[str, str]:
    """Status and reason of a row."""
    if isinstance(queries, MalformedRow):
        return "invalid", queries.reason
    bad = next((one for one in drawn if one.status != "ok"), None)
    return ("ok", "") if bad is None else (bad.status, bad.reason)


def pictures_of(drawn: Sequence[RenderResult], size: int) -> Tensor:
    """The pictures [b, 3, S, S] uint8."""
    pixels = np.empty((len(drawn), 3, size, size), dtype=np.uint8)
    for place, one in enumerate(drawn):
        decompress(one.frame, pixels[place])
    return torch.from_numpy(pixels)


def whole(
    parts: Iterable[pd.DataFrame], columns: Sequence[str], source: object, dtype: str = "float64"
) -> pd.DataFrame:
    """All tables as one: under the index of the source if it has one, else under ``row``."""
    table = pd.concat([empty(columns, dtype), *parts])
    if isinstance(source, pd.Series | pd.DataFrame):
        table.index = source.index
        return table.drop(columns=ROW)
    return table.set_index(ROW)
