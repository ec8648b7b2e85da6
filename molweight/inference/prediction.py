"""Predictions of one model, or of several together.

Letters: b rows of a batch, t targets, m models, c columns of numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molweight.errors import ConfigError
from molweight.inference.model import TrainedModel, load_model
from molweight.inference.pipeline import TEXT, Recipe, answers, whole
from molweight.inference.requests import Request, requests
from molweight.molecules.readers import Source


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
    asked = requests(source, smiles_column=smiles_column)
    return whole(predictions(models, asked, workers=workers), value_columns(models), source)


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
    """Tables of predictions, a batch of rows each; see :func:`molweight.inference.pipeline.answers`.

    Args:
        models: one or more, of one task.
        asked, workers: as there.

    Raises:
        ConfigError: the models do not predict the same, or there are no ``workers``.
    """
    check_alike(models)
    recipes = list(dict.fromkeys(model.recipe for model in models))

    def compute(pictures: Mapping[Recipe, Tensor]) -> np.ndarray:
        return combined(models, [model.outputs(pictures[model.recipe]) for model in models])

    return answers(asked, recipes, value_columns(models), compute, workers=workers)


def combined(models: Sequence[TrainedModel], outputs: Sequence[Tensor]) -> np.ndarray:
    """The numbers of :func:`value_columns`, [b, c], from the outputs [b, t] of every model."""
    raw = torch.stack([m.values(one) for m, one in zip(models, outputs, strict=True)]).double()  # [m, b, t]
    if models[0].temperature is None:
        kinds, shown = [raw.mean(0)], raw
    else:
        shown = torch.stack([m.calibrated(one) for m, one in zip(models, outputs, strict=True)]).double()
        kinds = [shown.mean(0), raw.mean(0)]
    if len(models) > 1:
        kinds.append(shown.std(0))
    return torch.stack(kinds, dim=2).flatten(1).numpy()  # targets one after the other
