"""From molecules to tables: drawn by processes, run in batches, a row for every row.

Letters: b rows of a batch, S a picture's side in px, c columns of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, tee
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molweight.data.results import RenderResult
from molweight.data.table_rows import MalformedRow
from molweight.errors import ConfigError
from molweight.images.drawing import decompress, draw
from molweight.images.drawing_processes import CHUNK, draw_all
from molweight.inference.model import PictureConfig
from molweight.inference.requests import Request
from molweight.utils.machine import cores
from molweight.utils.output_columns import ROW, TEXT

Item = TypeVar("Item")
Query = tuple[Request, tuple[RenderResult, ...]]
"""A row, and what became of its molecule under every picture configuration."""

PIXELS = 1 << 20  # of a batch: 256 pictures of 64 px, 21 of 224 px


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows that are answered together.

    Args:
        inputs: as they stood there.
        statuses: ``ok``, ``invalid`` or ``unsupported``.
        reasons: why there is no answer.
        smiles: what was drawn under the first configuration, of those whose status is ``ok``.
        pictures: by configuration, [b, 3, S, S] uint8, of the same.
    """

    inputs: list[str]
    statuses: list[str]
    reasons: list[str]
    smiles: list[str]
    pictures: dict[PictureConfig, Tensor]


Compute = Callable[[Batch], np.ndarray]
"""``batch -> numbers [b, c]`` of those whose status is ``ok``."""


def empty_table(columns: Sequence[str], dtype: str = "float64") -> pd.DataFrame:
    """The table of no rows, with columns of numbers: it says which columns there are, and of what.

    Text stands between the row and the numbers.

    >>> list(empty_table(["logD"]).columns)
    ['row', 'input', 'status', 'reason', 'logD']
    """
    dtypes = {ROW: "int64", **dict.fromkeys(TEXT, "object"), **dict.fromkeys(columns, dtype)}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in dtypes.items()})


def predict_batches(
    queries: Iterable[Request],
    configs: Sequence[PictureConfig],
    columns: Sequence[str],
    compute: Compute,
    *,
    workers: int | None = None,
    dtype: str = "float64",
) -> Iterator[pd.DataFrame]:
    """Tables of a batch of rows each, in order; memory does not grow with their number.

    Args:
        queries: read as needed.
        configs: of the pictures that are needed, all different.
        columns: of numbers.
        compute: what the numbers are.
        workers: processes that draw; None: one for each core, none for a few molecules.
        dtype: of the numbers.

    Returns:
        Tables with the columns of :func:`empty_table`; ``row`` counts from 1; numbers are NaN where the
        status is not ``ok``.

    Raises:
        ConfigError: ``workers`` is less than one; at once, not with the first table.
    """
    drawn = drawings(queries, configs, workers=workers)
    batch_size = max(1, PIXELS // max(config.size**2 for config in configs))
    chunks = iter(lambda: list(islice(drawn, batch_size)), [])
    batches = prefetched(unpacked(chunk, configs) for chunk in chunks)
    return tables(batches, columns, compute, dtype)


def drawings(
    queries: Iterable[Request], configs: Sequence[PictureConfig], *, workers: int | None = None
) -> Iterator[Query]:
    """Every row with what became of its molecule; arguments and errors as of :func:`predict_batches`.

    Processes of their own draw, which a molecule may crash or hang; a few molecules are drawn here.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}")
    queries = iter(queries)
    head = list(islice(queries, CHUNK + 1))
    in_this_process = workers is None and len(head) <= CHUNK
    workers_each = max(1, (workers or cores()) // len(configs))
    *streams, rows = tee(chain(head, queries), len(configs) + 1)
    drawn: list[Iterator[RenderResult]] = []
    for config, stream in zip(configs, streams, strict=True):
        texts = ("" if isinstance(request, MalformedRow) else request for request in stream)
        options = {"canonicalise": True, **config._asdict()}
        if in_this_process:
            drawn.append(map(partial(draw, **options), texts))
        else:
            drawn.append(draw_all(texts, workers=workers_each, **options))
    return zip(rows, zip(*drawn, strict=True), strict=True)


def prefetched(items: Generator[Item]) -> Iterator[Item]:
    """The items, each prepared by a thread while the one before is in use."""
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        try:
            coming = pool.submit(next, items, None)
            while (item := coming.result()) is not None:
                coming = pool.submit(next, items, None)
                yield item
        finally:
            pool.shutdown(wait=True)
            items.close()


def unpacked(chunk: Sequence[Query], configs: Sequence[PictureConfig]) -> Batch:
    """What became of the rows of a chunk, with the pictures of those that have them all."""
    statuses = [status_of(request, results) for request, results in chunk]
    good = [results for (_, results), (status, _) in zip(chunk, statuses, strict=True) if status == "ok"]
    return Batch(
        inputs=[text_of(request) for request, _ in chunk],
        statuses=[status for status, _ in statuses],
        reasons=[reason for _, reason in statuses],
        smiles=[results[0].smiles for results in good],
        pictures={
            config: pictures_of([results[i] for results in good], config.size)
            for i, config in enumerate(configs)
        },
    )


def tables(
    batches: Iterator[Batch], columns: Sequence[str], compute: Compute, dtype: str
) -> Iterator[pd.DataFrame]:
    """The table of every batch; arguments as of :func:`predict_batches`."""
    start = 1
    for batch in batches:
        good = [status == "ok" for status in batch.statuses]
        values = np.full((len(good), len(columns)), np.nan, dtype)
        if any(good):
            values[good] = compute(batch)
        texts = dict(zip(TEXT, (batch.inputs, batch.statuses, batch.reasons), strict=True))
        table = pd.DataFrame(texts, dtype=object)
        table.insert(0, ROW, np.arange(start, start + len(good)))
        yield pd.concat([table, pd.DataFrame(values, columns=pd.Index(columns))], axis=1)
        start += len(good)


def text_of(request: Request) -> str:
    """What stood in a row."""
    return request.text if isinstance(request, MalformedRow) else request


def status_of(request: Request, results: Sequence[RenderResult]) -> tuple[str, str]:
    """Status and reason of a row."""
    if isinstance(request, MalformedRow):
        return "invalid", request.reason
    failed = next((result for result in results if result.status != "ok"), None)
    return ("ok", "") if failed is None else (failed.status, failed.reason)


def pictures_of(results: Sequence[RenderResult], size: int) -> Tensor:
    """The pictures [b, 3, S, S] uint8."""
    pixels = np.empty((len(results), 3, size, size), dtype=np.uint8)
    for result, picture in zip(results, pixels, strict=True):
        decompress(result.frame, picture)
    return torch.from_numpy(pixels)


def concatenated(
    tables: Iterable[pd.DataFrame], columns: Sequence[str], source: object, dtype: str = "float64"
) -> pd.DataFrame:
    """All tables as one: under the index of the source if it has one, else under ``row``."""
    table = pd.concat([empty_table(columns, dtype), *tables])
    if isinstance(source, pd.Series | pd.DataFrame):
        table.index = source.index
        return table.drop(columns=ROW)
    return table.set_index(ROW)
