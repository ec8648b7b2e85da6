"""DeepChem's data sets and splitters.

DeepChem takes seconds to import, so it is imported where it is needed.

Letters: n molecules, t targets.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from molweight.data.splits.rules import Fractions, Group, TrainValidTest
from molweight.errors import ConfigError, DataError, unknown
from molweight.utils.output_columns import SMILES, check_target_names


def from_deepchem(dataset: Any, targets: Sequence[str] | None = None) -> pd.DataFrame:
    """The molecules and labels of a DeepChem data set, as ``run_experiment(..., table=…)`` takes them.

    Args:
        dataset: a ``NumpyDataset``, ``DiskDataset``, … whose ``ids`` are SMILES, as after DeepChem's loaders.
        targets: names of the t tasks; None takes those of the data set, or ``y0``, … where it has numbers.

    Returns:
        A column ``smiles``, then one for each task; NaN where the weight of a label is 0, as DeepChem marks
        missing ones.

    Raises:
        DataError: its ids are no texts, it has no labels, another number of tasks, or a task with the name of
            a column that files of predictions have.
    """
    smiles, y = np.asarray(dataset.ids, dtype=object), np.asarray(dataset.y, dtype=np.float64)
    if not all(isinstance(text, str) for text in smiles):
        raise DataError("the ids of the DeepChem data set are no SMILES; its loaders put them there")
    if not y.size:
        raise DataError("the DeepChem data set has no labels")
    y = y.reshape(len(smiles), -1)
    weights = np.broadcast_to(np.asarray(dataset.w, dtype=np.float64).reshape(len(smiles), -1), y.shape)
    names = list(targets or ())
    if targets is None:
        names = [name if isinstance(name, str) else f"y{name}" for name in dataset.get_task_names()]
    if len(names) != y.shape[1]:
        raise DataError(f"the DeepChem data set has {y.shape[1]} tasks, and there are {len(names)} names")
    check_target_names(names)
    frame = pd.DataFrame(np.where(weights > 0, y, np.nan), columns=pd.Index(names))
    frame.insert(0, SMILES, smiles)
    return frame


def to_deepchem(frame: pd.DataFrame, *, smiles_column: str = "smiles") -> Any:
    """Molecules and labels as a DeepChem ``NumpyDataset``.

    Args:
        frame: a column of SMILES, and numbers, NaN where missing.
        smiles_column: its name.

    Returns:
        ``X`` and ``ids`` hold the SMILES, [n]; ``y`` and ``w`` the labels and their weights, 0 where missing,
        [n, t]. DeepChem numbers the tasks of such a data set.

    Raises:
        ConfigError: there is no such column.
    """
    if smiles_column not in frame.columns:
        raise ConfigError(unknown("column", smiles_column, [str(name) for name in frame.columns]))
    smiles = frame[smiles_column].to_numpy(dtype=object)
    y = frame.drop(columns=smiles_column).to_numpy(dtype=np.float64)
    weights = (~np.isnan(y)).astype(np.float64)
    return deepchem("data").NumpyDataset(X=smiles, y=np.nan_to_num(y, nan=0.0), w=weights, ids=smiles)


def deepchem_split(
    name: str,
    smiles: Sequence[str],
    targets: np.ndarray | None,
    groups: Sequence[Group],
    fractions: Fractions,
    seed: int | None,
) -> TrainValidTest:
    """Train, valid and test as one of DeepChem's splitters divides them.

    It sees the first molecule of every group, so that repeated molecules stay together.

    Args:
        name: of a class of ``deepchem.splits`` that needs no arguments, such as ``ButinaSplitter``.
        smiles: [n] canonical.
        targets: [n, t], NaN = missing.
        groups: positions that must stay together.
        fractions: of train, valid and test.
        seed: for those that draw.

    Raises:
        ConfigError: an unknown splitter, or one that needs arguments.
        DataError: it fails, or does not place every molecule once.
    """
    splits = deepchem("splits")
    known = [
        key
        for key, value in vars(splits).items()
        if inspect.isclass(value) and issubclass(value, splits.Splitter) and value is not splits.Splitter
    ]
    if name not in known:
        raise ConfigError(unknown("splitter of DeepChem", name, known))
    try:
        splitter = getattr(splits, name)()
    except TypeError as error:
        raise ConfigError(
            f"deepchem:{name} cannot be made without arguments: {error}", option="split"
        ) from error
    first = [group[0] for group in groups]
    frame = pd.DataFrame({"smiles": [smiles[i] for i in first]})
    for j, column in enumerate([] if targets is None else np.reshape(targets, (len(smiles), -1)).T):
        frame[f"y{j}"] = column[first]
    shares = dict(zip(("frac_train", "frac_valid", "frac_test"), fractions, strict=True))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parts = splitter.split(to_deepchem(frame), **shares, seed=seed)
    except Exception as error:  # whatever a splitter makes of data that are not for it
        raise DataError(f"deepchem:{name} failed: {error}", option="split") from error
    placed = sorted(int(i) for part in parts for i in part)
    if placed != list(range(len(first))):
        raise DataError(f"deepchem:{name} does not place every molecule in one part", option="split")
    train, valid, test = ([i for group in part for i in groups[int(group)]] for part in parts)
    return train, valid, test


def deepchem(module: str) -> Any:
    """A module of DeepChem, which announces on import what else could be installed.

    Raises:
        ConfigError: DeepChem is not installed, which pip refuses on Python 3.12 and newer.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        previous = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            return importlib.import_module(f"deepchem.{module}")
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"DeepChem cannot be imported ({error}): pip install --no-deps --ignore-requires-python "
                "deepchem==2.8.0 (it says Python < 3.12 and works on newer ones)"
            ) from error
        finally:
            logging.disable(previous)
