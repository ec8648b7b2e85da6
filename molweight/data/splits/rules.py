"""Rules that deal groups of molecules to three parts; a group is never divided.

A group holds the positions of molecules that belong together: those with one scaffold, or the repeated
rows of one molecule. Letters: n molecules in all groups together. Rules read positions and sizes only and
know nothing about chemistry. Every seeded rule makes its own generator from its seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

Group: TypeAlias = list[int]
Fractions: TypeAlias = tuple[float, float, float]
TrainValidTest: TypeAlias = tuple[list[int], list[int], list[int]]
"""Positions of train, valid and test."""

TRAIN, VALID, TEST = range(3)  # places in Fractions and TrainValidTest

DECILES = np.arange(1, 10) / 10  # ten strata: a part of 50 molecules still sees five of each


def grouped(keys: Iterable[str]) -> list[Group]:
    """Positions that share a key, in the order in which the keys are first seen."""
    groups: dict[str, Group] = {}
    for position, key in enumerate(keys):
        groups.setdefault(key, []).append(position)
    return list(groups.values())


def largest_first(groups: Sequence[Group], fractions: Fractions) -> TrainValidTest:
    """Largest groups first into train, then valid, then test.

    A group goes to train while ``|train| + |group| <= f_train n``, else to valid while
    ``|train| + |valid| + |group| <= (f_train + f_valid) n``, else to test; of two groups of one size the
    one that appears later comes first. ImageMol, utils/splitter.py ``scaffold_split_train_val_test``;
    DeepChem, splits/splitters.py ``ScaffoldSplitter``.
    """
    train, valid, test = parts = empty()
    n = count(groups)
    train_limit, valid_limit = fractions[0] * n, (fractions[0] + fractions[1]) * n
    for group in sorted(groups, key=lambda group: (len(group), group[0]), reverse=True):
        if len(train) + len(group) <= train_limit:
            train.extend(group)
        elif len(train) + len(valid) + len(group) <= valid_limit:
            valid.extend(group)
        else:
            test.extend(group)
    return parts


def big_first(groups: Sequence[Group], fractions: Fractions, seed: int) -> TrainValidTest:
    """Groups larger than half the valid or test part first, both kinds in random order.

    ImageMol, utils/splitter.py ``scaffold_split_balanced_train_val_test`` (after chemprop's
    ``scaffold_balanced``). Those shuffle with Python's global ``random``; this one with a generator of its
    own, so one seed gives another, equally valid order.
    """
    half = min(fraction for fraction in fractions[1:] if fraction) * count(groups) / 2
    rng = np.random.default_rng(seed)
    big = shuffled([group for group in groups if len(group) > half], rng)
    small = shuffled([group for group in groups if len(group) <= half], rng)
    return train_first(big + small, fractions)


def valid_first(groups: Sequence[Group], fractions: Fractions, seed: int) -> TrainValidTest:
    """Groups in random order into valid if they fit, else into test if they fit, else into train.

    ``valid`` holds at most ``floor(f_valid n)`` molecules and ``test`` at most ``floor(f_test n)``.
    ImageMol, utils/splitter.py ``random_scaffold_split_train_val_test``, with the generator used there, so
    a seed gives the same parts.
    """
    n = count(groups)
    order = np.random.RandomState(seed).permutation(len(groups))
    most = {VALID: math.floor(fractions[VALID] * n), TEST: math.floor(fractions[TEST] * n)}
    return first_fit([groups[index] for index in order], most, otherwise=TRAIN)


def at_random(groups: Sequence[Group], fractions: Fractions, seed: int) -> TrainValidTest:
    """Groups in random order into train, then valid, then test."""
    return train_first(shuffled(groups, np.random.default_rng(seed)), fractions)


def stratified(
    groups: Sequence[Group], target: np.ndarray, fractions: Fractions, seed: int
) -> TrainValidTest:
    """Every part gets its fraction of every stratum of the target, to within a molecule or two.

    Strata are laid end to end, each in random order; each group goes to the part that would otherwise lag
    furthest behind ``fraction * (molecules dealt so far)``.

    Args:
        groups: positions of molecules that stay together.
        target: [n], as :func:`strata`; a group is in the stratum of its first labelled molecule.
        fractions: of train, valid and test.
        seed: of the order within a stratum.
    """
    parts = empty()
    stratum = strata(target)
    of_group = [max(stratum[group].tolist(), key=lambda s: s >= 0) for group in groups]
    rng = np.random.default_rng(seed)
    dealt = 0
    for value in np.unique(of_group):
        members = [group for group, s in zip(groups, of_group, strict=True) if s == value]
        for group in shuffled(members, rng):
            dealt += len(group)
            lag = [fraction * dealt - len(part) for fraction, part in zip(fractions, parts, strict=True)]
            parts[int(np.argmax(lag))].extend(group)
    return parts


def strata(target: np.ndarray) -> np.ndarray:
    """The stratum of every molecule: its class if the target is binary, else its decile.

    Args:
        target: [n], values in {0, 1, NaN} or real; NaN = unlabelled.

    Returns:
        [n] int64, 0 or 1 (class) or 0..9 (decile), -1 where the target is NaN.
    """
    values = np.asarray(target, dtype=np.float64)
    labelled = ~np.isnan(values)
    stratum = np.full(len(values), -1, dtype=np.int64)
    if np.isin(values[labelled], (0.0, 1.0)).all():
        stratum[labelled] = values[labelled].astype(np.int64)
    else:
        edges = np.quantile(values[labelled], DECILES)
        stratum[labelled] = np.searchsorted(edges, values[labelled], side="right")
    return stratum


def train_first(groups: Sequence[Group], fractions: Fractions) -> TrainValidTest:
    """Groups in the given order into train if they fit, else into valid if they fit, else into test."""
    n = count(groups)
    return first_fit(groups, {TRAIN: fractions[TRAIN] * n, VALID: fractions[VALID] * n}, otherwise=TEST)


def first_fit(groups: Sequence[Group], most: Mapping[int, float], *, otherwise: int) -> TrainValidTest:
    """Each group into the first part that has room for it, else into the part ``otherwise``.

    Args:
        groups: in the order in which they are dealt.
        most: part to the molecules that it may hold, in the order in which parts are tried.
        otherwise: a part without a limit.

    >>> first_fit([[0, 1], [2], [3]], {TRAIN: 2, VALID: 1}, otherwise=TEST)
    ([0, 1], [2], [3])
    """
    parts = empty()
    for group in groups:
        room = (part for part, limit in most.items() if len(parts[part]) + len(group) <= limit)
        parts[next(room, otherwise)].extend(group)
    return parts


def shuffled(groups: Sequence[Group], rng: np.random.Generator) -> list[Group]:
    """The same groups in random order."""
    return [groups[index] for index in rng.permutation(len(groups))]


def count(groups: Sequence[Group]) -> int:
    """Molecules in all groups together."""
    return sum(len(group) for group in groups)


def empty() -> TrainValidTest:
    """Three parts with nothing in them."""
    return [], [], []
