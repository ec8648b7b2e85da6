"""Predictions of one model, or of several together.

Letters: b rows of a batch, t targets, m models, c columns of numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from molweight.data.readers import Source
from molweight.errors import ConfigError
from molweight.inference.model import TrainedModel, load_model
from molweight.inference.pipeline import Batch, concatenated, predict_batches
from molweight.inference.reliability import Conformal, training_neighbours
from molweight.inference.requests import Request, requests
from molweight.utils.output_columns import ROW, SIMILARITY, STD, TEXT, UNCALIBRATED


def predict(
    run_dirs: str | Path | Sequence[str | Path],
    source: Source | pd.Series[str],
    *,
    smiles_column: str | None = None,
    workers: int | None = None,
    confidence: float | None = None,
    similarity: bool = False,
) -> pd.DataFrame:
    """Predictions of one model, or the mean of several.

    Args:
        run_dirs: folders of finished runs.
        source: SMILES in a list or series, a data frame, or a file.
        smiles_column: of a table with several columns; None takes the one that the models were trained on,
            else the one column with a usual name.
        workers: processes that draw; None: one for each core, none for a few molecules.
        confidence: of split-conformal intervals, (0, 1); None: no intervals.
        similarity: add the Tanimoto similarity to the nearest training molecule.

    Returns:
        One row for each row of the source, under its index if it has one: ``input``, ``status`` (``ok``,
        ``invalid``, ``unsupported``), ``reason``, then the columns of :class:`Ensemble`, NaN where the
        status is not ``ok``.

    Raises:
        ConfigError: the models do not predict the same, or cannot promise the confidence.
        DataError: a folder holds no model, or the source cannot be read.
    """
    folders = [run_dirs] if isinstance(run_dirs, str | Path) else run_dirs
    ensemble = Ensemble([load_model(folder) for folder in folders], confidence, similarity=similarity)
    queries = requests(source, smiles_column=smiles_column, preferred=ensemble.smiles_columns)
    return concatenated(ensemble.tables(queries, workers=workers), ensemble.columns, source)


class Ensemble:
    """Models that answer together.

    Columns are, for each target: its value, or its probability after temperature scaling;
    ``_uncalibrated``, the probability that the network says; ``_std``, of several models, around whose mean
    all is (ddof=1); with a confidence ``_low`` and ``_high``, or ``_may_be_0`` and ``_may_be_1``, 1 where the
    class is in the set. The last column is ``similarity``.

    Args:
        models: one or more, of one task.
        confidence, similarity: as of :func:`predict`.

    Raises:
        ConfigError, DataError: as there.
    """

    def __init__(
        self, models: Sequence[TrainedModel], confidence: float | None = None, *, similarity: bool = False
    ) -> None:
        self.models = models
        check_one_task(models)
        self.conformal = None if confidence is None else Conformal.of(models, confidence)
        self.neighbours = training_neighbours(models) if similarity else None
        counts = Counter([ROW, *TEXT, *self.columns])
        if twice := sorted(name for name, count in counts.items() if count > 1):
            raise ConfigError(
                f"{models[0].path}: two columns of the predictions would have the name {twice[0]!r}"
            )

    @property
    def smiles_columns(self) -> list[str | None]:
        """Of the tables that the models were trained on."""
        return [model.smiles_column for model in self.models]

    @property
    def columns(self) -> list[str]:
        """Columns of numbers."""
        endings = [
            "",
            *([UNCALIBRATED] if self.models[0].temperature is not None else []),
            *([STD] if self.models[1:] else []),
            *(self.conformal.endings if self.conformal else []),
        ]
        last = [] if self.neighbours is None else [SIMILARITY]
        return [name + ending for name in self.models[0].task.names for ending in endings] + last

    def tables(self, queries: Iterable[Request], *, workers: int | None = None) -> Iterator[pd.DataFrame]:
        """Tables of predictions, a batch of rows each; see
        :func:`molweight.inference.pipeline.predict_batches`.

        Raises:
            ConfigError: there are no ``workers``.
        """
        configs = list(dict.fromkeys(model.picture_config for model in self.models))
        return predict_batches(queries, configs, self.columns, self.numbers, workers=workers)

    def numbers(self, batch: Batch) -> np.ndarray:
        """Of :attr:`columns`, [b, c]."""
        outputs = [(model, model.outputs(batch.pictures[model.picture_config])) for model in self.models]
        raw = np.stack([model.values(output).numpy() for model, output in outputs])  # [m, b, t]
        shown, by_ending = raw, [raw.mean(0)]
        if self.models[0].temperature is not None:
            shown = np.stack([model.calibrated(output).numpy() for model, output in outputs])
            by_ending = [shown.mean(0), raw.mean(0)]
        if len(self.models) > 1:
            by_ending.append(shown.std(0, ddof=1))
        if self.conformal:
            by_ending.extend(np.moveaxis(self.conformal.numbers(raw.mean(0)), 2, 0))
        numbers = np.stack(by_ending, axis=2).reshape(len(batch.smiles), -1)  # targets one after the other
        if self.neighbours is None:
            return numbers
        return np.concatenate([numbers, self.neighbours.similarity(batch.smiles)[:, None]], axis=1)


def check_one_task(models: Sequence[TrainedModel]) -> None:
    """Refuse models whose predictions have no mean.

    Raises:
        ConfigError: naming two and what differs.
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
