"""Embeddings: what a run's backbone makes of molecules, for other people's models and maps.

Letters: n rows, d the length of an embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from molweight.data.readers import Source
from molweight.errors import ConfigError, unknown
from molweight.inference.model import TrainedModel, load_model, with_adapted_backbone
from molweight.inference.pipeline import concatenated, predict_batches
from molweight.inference.requests import Request, requests

WEIGHTS = ("finetuned", "adapted")
DTYPE = "float32"  # as the network computes: a number of a text needs no more digits to be read back


def embed(
    run_dir: str | Path,
    source: Source | pd.Series[str],
    *,
    weights: str = "finetuned",
    smiles_column: str | None = None,
    workers: int | None = None,
) -> pd.DataFrame:
    """The embedding of every molecule.

    Args:
        run_dir: folder of a finished run.
        source, smiles_column, workers: as of :func:`molweight.inference.prediction.predict`.
        weights: ``finetuned``, or ``adapted``: as pretraining left them, before finetuning.

    Returns:
        One row for each row of the source, under its index if it has one: ``input``, ``status``, ``reason``,
        then ``e0`` to ``e<d-1>``, float32, NaN where the status is not ``ok``.

    Raises:
        ConfigError: unknown ``weights``.
        DataError: the folder holds no such model, or the source cannot be read.
    """
    model = embedding_model(run_dir, weights)
    queries = requests(source, smiles_column=smiles_column, preferred=[model.smiles_column])
    return concatenated(embeddings(model, queries, workers=workers), embedding_columns(model), source, DTYPE)


def embedding_model(run_dir: str | Path, weights: str) -> TrainedModel:
    """A run's model with the weights that were asked for."""
    if weights not in WEIGHTS:
        raise ConfigError(unknown("weights", weights, WEIGHTS))
    model = load_model(run_dir)
    return model if weights == "finetuned" else with_adapted_backbone(model)


def embedding_columns(model: TrainedModel) -> list[str]:
    """``e0`` to ``e<d-1>``."""
    return [f"e{i}" for i in range(model.module.head.in_features)]


def embeddings(
    model: TrainedModel, queries: Iterable[Request], *, workers: int | None = None
) -> Iterator[pd.DataFrame]:
    """Tables of embeddings, a batch of rows each; see
    :func:`molweight.inference.pipeline.predict_batches`."""
    return predict_batches(
        queries,
        [model.picture_config],
        embedding_columns(model),
        lambda batch: model.embeddings(batch.pictures[model.picture_config]).numpy(),
        workers=workers,
        dtype=DTYPE,
    )
