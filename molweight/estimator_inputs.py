"""What scikit-learn's users call X and y, as SMILES and labels; and what must not be there.

Letters: n molecules, t targets.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from molweight.errors import ConfigError, DataError

SMILES = "smiles"
"""Name of a column of molecules."""
SEEDS = 2**32  # as many as NumPy's and scikit-learn's

RandomState = int | np.random.RandomState | np.random.Generator | None
"""What scikit-learn takes as ``random_state``, and NumPy's newer generators."""


def as_smiles(X: Any) -> list[str]:
    """The SMILES of what scikit-learn calls X, [n].

    Raises:
        DataError: not a column of texts.
    """
    if isinstance(X, pd.DataFrame):
        named = [name for name in X.columns if str(name).lower() == SMILES]
        if len(named) != 1 and X.shape[1] != 1:
            raise DataError(f"X must have one column, or one called {SMILES!r}, found {list(X.columns)[:5]}")
        X = X[named[0]] if len(named) == 1 else X.iloc[:, 0]
    values = X.tolist() if isinstance(X, pd.Series) else np.asarray(X, dtype=object)
    if isinstance(values, np.ndarray):
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 1:
            raise DataError(f"X must be SMILES, [n] or [n, 1], found an array of shape {values.shape}")
        values = values.tolist()
    texts = ["" if isinstance(one, float) and np.isnan(one) else one for one in values]
    for place, one in enumerate(texts):
        if not isinstance(one, str):
            raise DataError(f"X must be SMILES, found {one!r} at position {place}")
    return [str(one) for one in texts]


def seed_of(random_state: Any) -> int:
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
    whole = isinstance(random_state, Integral) and not isinstance(random_state, bool)
    if not whole or not 0 <= int(random_state) < SEEDS:
        raise ConfigError(
            f"random_state must be a whole number between 0 and {SEEDS - 1}, None, np.random.RandomState or "
            f"np.random.Generator, got {random_state!r}"
        )
    return int(random_state)


def with_index(X: Any, smiles: list[str]) -> Any:
    """The SMILES under the index of X, if it has one."""
    return pd.Series(smiles, index=X.index) if isinstance(X, pd.Series | pd.DataFrame) else smiles


def targets_of(y: Any) -> tuple[np.ndarray, list[str] | None]:
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


def refuse_gaps(table: pd.DataFrame) -> None:
    """Refuse molecules without an answer.

    Raises:
        DataError: naming the first and counting the others.
    """
    bad = np.flatnonzero(table["status"] != "ok")
    if len(bad):
        first = table.iloc[bad[0]]
        raise DataError(
            f"{len(bad)} of {len(table)} molecules cannot be predicted, the first at position {bad[0]}: "
            f"{first['input']!r} ({first['reason']}); predict_table keeps every row and says why"
        )
