"""The names of the splits and what each of them accepts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from molweight import errors
from molweight.data.splits.rules import Fractions
from molweight.errors import ConfigError, option

SEEDED = ("scaffold_balanced", "random_scaffold", "random", "stratified")
SEEDLESS = ("scaffold", "scaffold_achiral", "file")
DEEPCHEM = "deepchem:"
"""What the kinds begin with that name a splitter of DeepChem; those that draw take a seed."""
# How a kind groups: by scaffold with or without chirality; a kind not listed groups repeated molecules.
# ImageMol's balanced split calls generate_scaffold with its default, without chirality.
CHIRALITY = {
    "scaffold": True,
    "random_scaffold": True,
    "file": True,
    "scaffold_achiral": False,
    "scaffold_balanced": False,
}


def check_arguments(kind: str, seed: int | None, path: Path | None) -> None:
    """Raise :class:`ConfigError` unless the kind exists and has the seed and path that it needs."""
    if kind.startswith(DEEPCHEM):
        if seed is not None:
            check_seed(seed)
        if path is not None:
            raise ConfigError(f"split {kind!r} takes no path, found {path}")
        return
    if kind not in SEEDED + SEEDLESS:
        raise ConfigError(errors.unknown("split", kind, SEEDED + SEEDLESS))
    if kind in SEEDLESS and seed is not None:
        raise ConfigError(
            f"split {kind!r} is deterministic and takes no seed, found {seed!r}; "
            f"splits with a seed: {', '.join(SEEDED)}"
        )
    if kind in SEEDED:
        if seed is None:
            raise ConfigError(f"split {kind!r} needs a seed, e.g. {option('split.seed', '0')}")
        check_seed(seed)
    if (kind == "file") != (path is not None):
        wants = "needs the path of a split file" if kind == "file" else f"takes no path, found {path}"
        raise ConfigError(f"split {kind!r} {wants}")


def check_seed(seed: int) -> None:
    """Raise :class:`ConfigError` unless every generator used here accepts the seed."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ConfigError(f"a seed must be an integer in 0..{2**32 - 1}, found {seed!r}")


def checked_fractions(fractions: Sequence[float]) -> Fractions:
    """Three numbers with sum 1: train and valid positive, test positive or 0.

    Raises:
        ConfigError: anything else.
    """
    expected = "fractions must be three positive numbers with sum 1 (train, valid, test; test may be 0)"
    try:
        train, valid, test = (float(fraction) for fraction in fractions)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{expected}, found {fractions!r}") from error
    if not (min(train, valid) > 0 and test >= 0 and math.isclose(train + valid + test, 1.0)):
        raise ConfigError(f"{expected}, found {(train, valid, test)}")
    return train, valid, test
