"""Predictions for any number of molecules: drawn by processes, run in batches, a row for every row.

Letters: b rows of a batch, t targets, m models, S a picture's side in px.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, islice, tee
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molweight.errors import ConfigError
from molweight.inference.model import TrainedModel, load_model
from molweight.inference.requests import Request, requests
from molweight.machine import cores
from molweight.molecules.drawing import Drawn, decompress, draw
from molweight.molecules.drawing_processes import CHUNK, draw_all
from molweight.molecules.readers import Misshapen, Source
from molweight.molecules.standardise import Standardisation

Item = TypeVar("Item")
Recipe = tuple[int, Standardisation]
"""What a picture depends on besides its molecule: its side in px, and what is done before it is drawn."""

Asked = tuple[Request, tuple[Drawn, ...]]
"""A row, and what became of its molecule under every recipe."""

PIXELS = 1 << 20  # of a batch: 256 pictures of 64 px, 21 of 224 px
TEXT = ("input", "status", "reason")
"""Columns of text; the others are numbers."""


def predict(
    run_dirs: str | Path | Sequence[str | Path],
    source: Source | pd.Series[str],
    *,
    smiles_column: str = "smiles",
    workers: int | None = None,
) -> pd.DataFrame:
    """Predictions of one model, or the mean of several.

    Args:
        run_dirs: folders of finished runs.
        source: SMILES in a list or series, a data frame, or a file.
        smiles_column: of a table with several columns.
        workers: processes that draw; None: one for each core, none for a few molecules.

    Returns:
        One row for each row of the source, under its index if it has one: ``input``, ``status`` (``ok``,
        ``invalid``, ``unsupported``), ``reason``, then the columns of :func:`value_columns`, NaN where the
        status is not ``ok``.

    Raises:
        ConfigError: the models do not predict the same.
        DataError: a folder holds no model, or the source cannot be read.
    """
    folders = [run_dirs] if isinstance(run_dirs, str | Path) else run_dirs
    models = [load_model(folder) for folder in folders]
    batches = predictions(models, requests(source, smiles_column=smiles_column), workers=workers)
    table = pd.concat([empty(models), *batches])
    if isinstance(source, pd.Series | pd.DataFrame):
        table.index = source.index
        return table.drop(columns="row")
    return table.set_index("row")


def empty(models: Sequence[TrainedModel]) -> pd.DataFrame:
    """The table of no rows: it says which columns there are, and of what."""
    columns: dict[str, Any] = {"row": pd.Series(dtype="int64")}
    columns |= {name: pd.Series(dtype=object) for name in TEXT}
    columns |= {name: pd.Series(dtype="float64") for name in value_columns(models)}
    return pd.DataFrame(columns)


def value_columns(models: Sequence[TrainedModel]) -> list[str]:
    """Columns of numbers: for each target its prediction.

    A classification has the probability after temperature scaling under the target's name, and the one that
    the network says under ``<target>_uncalibrated``. Several models: their means, and ``<target>_std``, the
    standard deviation over them (ddof=1).
    """
    first = models[0]
    extra = [*(["_uncalibrated"] if first.temperature is not None else []), *(["_std"] if models[1:] else [])]
    return [name + ending for name in first.task.names for ending in ("", *extra)]


def check_alike(models: Sequence[TrainedModel]) -> None:
    """Refuse models whose predictions have no mean.

    Raises:
        ConfigError: naming two and what differs; or a target whose columns another one has.
    """
    first = models[0]
    for other in models[1:]:
        for what, ours, theirs in (
            ("targets", list(first.task.names), list(other.task.names)),
            ("kind", first.task.kind, other.task.kind),
            ("units", first.units, other.units),
        ):
            if ours != theirs:
                raise ConfigError(
                    f"{first.path} and {other.path} do not predict the same: their {what} are {ours} and "
                    f"{theirs}; give models of one task"
                )
    names = ["row", *TEXT, *value_columns(models)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{first.path}: two columns of the predictions would have the name {twice[0]!r}")


def predictions(
    models: Sequence[TrainedModel], asked: Iterable[Request], *, workers: int | None = None
) -> Iterator[pd.DataFrame]:
    """Tables of predictions, a batch of rows each, in order; memory does not grow with their number.

    Args:
        models: one or more, of one task.
        asked: read as needed.
        workers: processes that draw; None: one for each core, none for a few molecules.

    Returns:
        Tables with the columns of :func:`empty`; ``row`` counts from 1.

    Raises:
        ConfigError: the models do not predict the same, or there are no ``workers``.
    """
    check_alike(models)
    if workers is not None and workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}")
    recipes = list(dict.fromkeys((model.image_size, model.standardise) for model in models))
    asked = iter(asked)
    head = list(islice(asked, CHUNK + 1))
    inside = workers is None and len(head) <= CHUNK
    each = max(1, (workers or cores()) // len(recipes))
    *streams, rows = tee(chain(head, asked), len(recipes) + 1)
    drawn: list[Iterator[Drawn]] = []
    for (size, standardise), stream in zip(recipes, streams, strict=True):
        texts = ("" if isinstance(one, Misshapen) else one for one in stream)
        if inside:
            one = partial(draw, size=size, canonicalise=True, standardise=standardise)
            drawn.append(map(one, texts))
        else:
            drawn.append(draw_all(texts, size, canonicalise=True, workers=each, standardise=standardise))
    together = zip(rows, zip(*drawn, strict=True), strict=True)
    batch = max(1, PIXELS // max(size * size for size, _ in recipes))
    count = 0
    chunks = iter(lambda: list(islice(together, batch)), [])
    for chunk, pictures in ahead((chunk, unpacked(chunk, recipes)) for chunk in chunks):
        yield answered(models, chunk, pictures, first=count + 1)
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
    models: Sequence[TrainedModel],
    chunk: Sequence[Asked],
    pictures: Mapping[Recipe, Tensor],
    *,
    first: int,
) -> pd.DataFrame:
    """The table of one batch.

    Args:
        models: that predict.
        chunk: what was asked, and what became of it under every recipe.
        pictures: of its good rows, by recipe.
        first: number of its first row.
    """
    fates = [fate(one, drawn) for one, drawn in chunk]
    good = [row for row, (status, _) in enumerate(fates) if status == "ok"]
    values = np.full((len(chunk), len(value_columns(models))), np.nan)
    if good:
        values[good] = combined(
            models, [model.outputs(pictures[model.image_size, model.standardise]) for model in models]
        )
    columns: dict[str, Any] = {
        "row": np.arange(first, first + len(chunk)),
        "input": [one.text if isinstance(one, Misshapen) else one for one, _ in chunk],
        "status": [status for status, _ in fates],
        "reason": [reason for _, reason in fates],
    }
    return pd.DataFrame(columns | dict(zip(value_columns(models), values.T, strict=True)))


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


def combined(models: Sequence[TrainedModel], outputs: Sequence[Tensor]) -> np.ndarray:
    """The numbers of :func:`value_columns`, [b, columns], from the outputs [b, t] of every model."""
    raw = torch.stack([m.values(one) for m, one in zip(models, outputs, strict=True)]).double()  # [m, b, t]
    if models[0].temperature is None:
        kinds, shown = [raw.mean(0)], raw
    else:
        scaled = [model.calibrated(one) for model, one in zip(models, outputs, strict=True)]
        shown = torch.stack([one for one in scaled if one is not None]).double()
        kinds = [shown.mean(0), raw.mean(0)]
    if len(models) > 1:
        kinds.append(shown.std(0))
    return torch.stack(kinds, dim=2).flatten(1).numpy()  # targets one after the other
