"""What scikit-learn's users call X and y, as SMILES and labels; and what must not be there.

Letters: n molecules, t targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np
import pandas as pd

from molweight.errors import ConfigError, DataError

SMILES = "smiles"
"""Name of a column of molecules."""
SEEDS = 2**32  # as many as NumPy's and scikit-learn's

RandomState = int | np.random.RandomState | np.random.Generator | None
"""What scikit-learn takes as ``random_state``, and NumPy's newer generators."""


def as_smiles(X: object) -> list[str]:
    """The SMILES of what scikit-learn calls X, [n].

    Raises:
        DataError: not a column of texts.

    >>> as_smiles(np.array([["CCO"], ["CCN"]]))
    ['CCO', 'CCN']
    """
    if isinstance(X, pd.DataFrame):
        named = [name for name in X.columns if str(name).lower() == SMILES]
        if len(named) != 1 and X.shape[1] != 1:
            raise DataError(f"X must have one column, or one called {SMILES!r}, found {list(X.columns)[:5]}")
        X = X[named[0]] if len(named) == 1 else X.iloc[:, 0]
    values = np.asarray(X, dtype=object)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise DataError(f"X must be SMILES, [n] or [n, 1], found an array of shape {values.shape}")
    texts = ["" if isinstance(value, float) and np.isnan(value) else value for value in values.tolist()]
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"X must be SMILES, found {text!r} at position {position}")
    return [str(text) for text in texts]


def seed_of(random_state: object) -> int:
    """The seed of one fit: the number itself, or one that is drawn from a :data:`RandomState`.

    A generator moves on with every draw, so a second fit has another seed. None takes one from the system.

    Raises:
        ConfigError: something else.
    """
    if random_state is None:
        random_state = np.random.default_rng()
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(SEEDS, dtype=np.int64))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(SEEDS))
    boolean = isinstance(random_state, bool)
    if boolean or not isinstance(random_state, Integral) or not 0 <= int(random_state) < SEEDS:
        raise ConfigError(
            f"random_state must be a whole number between 0 and {SEEDS - 1}, None, np.random.RandomState or "
            f"np.random.Generator, got {random_state!r}"
        )
    return int(random_state)


def with_index(X: object, smiles: list[str]) -> pd.Series | list[str]:
    """The SMILES under the index of X, if it has one."""
    return pd.Series(smiles, index=X.index) if isinstance(X, pd.Series | pd.DataFrame) else smiles


def targets_of(y: object) -> tuple[np.ndarray, list[str] | None]:
    """Labels [n, t] float64, and the names of their columns; None where y is [n].

    Raises:
        DataError: not numbers, or of another shape.
    """
    try:
        labels = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"y must be numbers, NaN where missing: {error}; two classes in words (True, False) are "
            "for MolWeightClassifier, y [n]"
        ) from error
    if labels.ndim == 1:
        return labels[:, None], None
    if labels.ndim != 2 or not labels.shape[1]:
        raise DataError(f"y must be [n] or [n, t], found an array of shape {labels.shape}")
    if isinstance(y, pd.DataFrame):
        names = [str(name) for name in y.columns]
        if len(set(names)) < len(names):
            raise DataError(f"the columns of y must have different names, found {names}")
        return labels, names
    return labels, [f"y{j}" for j in range(labels.shape[1])]


def two_classes_of(y: object) -> tuple[np.ndarray, np.ndarray]:
    """Labels [n, 1] float64 in {0, 1, NaN}, and the two classes that they stand for, in their order.

    Raises:
        DataError: more or fewer than two classes.

    >>> targets, classes = two_classes_of(["no", "yes", None])
    >>> targets[:, 0].tolist(), classes.tolist()
    ([0.0, 1.0, nan], ['no', 'yes'])
    """
    labels = np.asarray(y, dtype=object)
    known = ~pd.isna(labels)
    values = np.asarray(list(labels[known]))
    classes = np.unique(values)
    if len(classes) != 2:
        raise DataError(f"y must have two classes, found {len(classes)}; for more, pass y [n, t]")
    targets = np.full((len(labels), 1), np.nan)
    targets[known, 0] = values == classes[1]
    return targets, classes


def complete(table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """The numbers of a table of predictions, [n, c], which every molecule must have.

    Raises:
        DataError: naming the first molecule without them and counting the others.
    """
    bad = np.flatnonzero(table["status"] != "ok")
    if len(bad):
        first = table.iloc[bad[0]]
        raise DataError(
            f"{len(bad)} of {len(table)} molecules cannot be predicted, the first at position {bad[0]}: "
            f"{first['input']!r} ({first['reason']}); predict_table keeps every row and says why"
        )
    return table[list(columns)].to_numpy()
