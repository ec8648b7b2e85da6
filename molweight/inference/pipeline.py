"""From molecules to tables: drawn by processes, run in batches, a row for every row.

Letters: b rows of a batch, S a picture's side in px, c columns of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, islice, tee
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molweight.errors import ConfigError
from molweight.inference.requests import Request
from molweight.machine import cores
from molweight.molecules.drawing import Drawn, decompress, draw
from molweight.molecules.drawing_processes import CHUNK, draw_all
from molweight.molecules.readers import Misshapen
from molweight.molecules.standardise import Standardisation

Item = TypeVar("Item")
Recipe = tuple[int, Standardisation]
"""What a picture depends on besides its molecule: its side in px, and what is done before it is drawn."""

Asked = tuple[Request, tuple[Drawn, ...]]
"""A row, and what became of its molecule under every recipe."""

PIXELS = 1 << 20  # of a batch: 256 pictures of 64 px, 21 of 224 px
TEXT = ("input", "status", "reason")
"""Columns of text; ``row`` stands before them, numbers after them."""


def empty(columns: Sequence[str]) -> pd.DataFrame:
    """The table of no rows, with columns of numbers: it says which columns there are, and of what."""
    made: dict[str, Any] = {"row": pd.Series(dtype="int64")}
    made |= {name: pd.Series(dtype=object) for name in TEXT}
    made |= {name: pd.Series(dtype="float64") for name in columns}
    return pd.DataFrame(made)


def answers(
    asked: Iterable[Request],
    recipes: Sequence[Recipe],
    columns: Sequence[str],
    compute: Callable[[Mapping[Recipe, Tensor]], np.ndarray],
    *,
    workers: int | None = None,
) -> Iterator[pd.DataFrame]:
    """Tables of a batch of rows each, in order; memory does not grow with their number.

    Args:
        asked: read as needed.
        recipes: of the pictures that are needed, all different.
        columns: of numbers.
        compute: ``(pictures [b, 3, S, S] uint8 by recipe) -> numbers [b, c]``.
        workers: processes that draw; None: one for each core, none for a few molecules.

    Returns:
        Tables with the columns of :func:`empty`; ``row`` counts from 1; numbers are NaN where the status
        is not ``ok``.

    Raises:
        ConfigError: ``workers`` is less than one.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}")
    asked = iter(asked)
    head = list(islice(asked, CHUNK + 1))
    inside = workers is None and len(head) <= CHUNK
    each = max(1, (workers or cores()) // len(recipes))
    *streams, rows = tee(chain(head, asked), len(recipes) + 1)
    drawn: list[Iterator[Drawn]] = []
    for (size, standardise), stream in zip(recipes, streams, strict=True):
        texts = ("" if isinstance(one, Misshapen) else one for one in stream)
        if inside:
            drawn.append(map(partial(draw, size=size, canonicalise=True, standardise=standardise), texts))
        else:
            drawn.append(draw_all(texts, size, canonicalise=True, workers=each, standardise=standardise))
    together = zip(rows, zip(*drawn, strict=True), strict=True)
    batch = max(1, PIXELS // max(size * size for size, _ in recipes))
    count = 0
    chunks = iter(lambda: list(islice(together, batch)), [])
    for chunk, pictures in ahead((chunk, unpacked(chunk, recipes)) for chunk in chunks):
        yield answered(chunk, pictures, columns, compute, first=count + 1)
        count += len(chunk)


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


def unpacked(chunk: Sequence[Asked], recipes: Sequence[Recipe]) -> dict[Recipe, Tensor]:
    """By recipe the pictures [b, 3, S, S] of the rows that have them all."""
    good = [drawn for request, drawn in chunk if fate(request, drawn)[0] == "ok"]
    return {
        recipe: pictures_of([drawn[place] for drawn in good], recipe[0])
        for place, recipe in enumerate(recipes)
    }


def answered(
    chunk: Sequence[Asked],
    pictures: Mapping[Recipe, Tensor],
    columns: Sequence[str],
    compute: Callable[[Mapping[Recipe, Tensor]], np.ndarray],
    *,
    first: int,
) -> pd.DataFrame:
    """The table of one batch.

    Args:
        chunk: what was asked, and what became of it under every recipe.
        pictures: of its good rows, by recipe.
        columns, compute: as of :func:`answers`.
        first: number of its first row.
    """
    fates = [fate(one, drawn) for one, drawn in chunk]
    good = [row for row, (status, _) in enumerate(fates) if status == "ok"]
    values = np.full((len(chunk), len(columns)), np.nan)
    if good:
        values[good] = compute(pictures)
    texts: dict[str, Any] = {
        "row": np.arange(first, first + len(chunk)),
        "input": [one.text if isinstance(one, Misshapen) else one for one, _ in chunk],
        "status": [status for status, _ in fates],
        "reason": [reason for _, reason in fates],
    }
    numbers = pd.DataFrame(values, columns=pd.Index(columns))
    return pd.concat([pd.DataFrame(texts), numbers], axis=1)


def fate(asked: Request, drawn: Sequence[Drawn]) -> tuple[str, str]:
    """Status and reason of a row."""
    if isinstance(asked, Misshapen):
        return "invalid", asked.reason
    bad = next((one for one in drawn if one.status != "ok"), None)
    return ("ok", "") if bad is None else (bad.status, bad.reason)


def pictures_of(drawn: Sequence[Drawn], size: int) -> Tensor:
    """The pictures [b, 3, S, S] uint8."""
    pixels = np.empty((len(drawn), 3, size, size), dtype=np.uint8)
    for place, one in enumerate(drawn):
        decompress(one.frame, pixels[place])
    return torch.from_numpy(pixels)


def whole(tables: Iterable[pd.DataFrame], columns: Sequence[str], source: object) -> pd.DataFrame:
    """All tables as one: under the index of the source if it has one, else under ``row``."""
    table = pd.concat([empty(columns), *tables])
    if isinstance(source, pd.Series | pd.DataFrame):
        table.index = source.index
        return table.drop(columns="row")
    return table.set_index("row")
