"""Which molecules train, which choose, which are tested, and a hash that says so.

Letters: n molecules; a position is an index into the list of molecules.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from molweight.data.deepchem_data import deepchem_split
from molweight.data.splits import files as split_files
from molweight.data.splits import rules as split_rules
from molweight.data.splits.files import PARTS
from molweight.data.splits.kinds import (
    CHIRALITY,
    DEEPCHEM,
    check_arguments,
    check_seed,
    checked_fractions,
)
from molweight.data.splits.rules import Fractions, Group
from molweight.data.splits.scaffold import scaffold
from molweight.errors import ConfigError, DataError
from molweight.utils import files

logger = logging.getLogger(__name__)

RULES = {
    "scaffold_balanced": split_rules.big_first,
    "random_scaffold": split_rules.valid_first,
    "random": split_rules.at_random,
}


@dataclass(frozen=True, eq=False)
class Splits:
    """A partition of n molecules; compare two by :meth:`hash`."""

    kind: str
    """Name of the rule."""
    seed: int | None
    """Seed of the rule; None for a deterministic one."""
    fractions: Fractions
    """Fractions of train (with meta), valid and test that were asked for, or that the file has."""
    train: np.ndarray
    """[n_train] int64 positions."""
    valid: np.ndarray
    """[n_valid] int64 positions."""
    test: np.ndarray
    """[n_test] int64 positions."""
    meta: np.ndarray = field(default_factory=partial(np.empty, 0, dtype=np.int64))
    """[n_meta] int64 positions taken out of train for level 3 (protocol strict); empty otherwise."""

    def parts(self) -> dict[str, np.ndarray]:
        """Positions by name of the part."""
        return {"train": self.train, "valid": self.valid, "test": self.test, "meta": self.meta}

    def sizes(self) -> dict[str, int]:
        """Number of molecules by name of the part."""
        return {part: len(members) for part, members in self.parts().items()}

    def hash(self, smiles: Sequence[str]) -> str:
        """SHA-256 that two splits share exactly when the same molecules sit in the same parts.

        The hash of the sorted lines ``part<tab>SMILES``, one for each molecule: neither kind, seed nor the
        order of the molecules enters, the number of times that a molecule is repeated does.

        Args:
            smiles: canonical SMILES, one for each position.
        """
        lines = sorted(f"{part}\t{smiles[i]}\n" for part, members in self.parts().items() for i in members)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def save(self, path: Path, smiles: Sequence[str], rows: Sequence[int]) -> None:
        """Write the split as JSON.

        Args:
            path: where to; replaced in one step.
            smiles: canonical SMILES, one for each position.
            rows: for each position its 0-based data row in the original file, header not counted.
        """
        content = {
            "schema": split_files.SCHEMA,
            "kind": self.kind,
            "seed": self.seed,
            "fractions": list(self.fractions),
            "hash": self.hash(smiles),
            "sizes": self.sizes(),
        }
        listed = {part: [int(rows[i]) for i in members] for part, members in self.parts().items()}
        files.write_json(path, content | listed)


def split(
    smiles: Sequence[str],
    targets: np.ndarray | None,
    *,
    kind: str,
    seed: int | None = None,
    fractions: Fractions = (0.8, 0.1, 0.1),  # ImageMol, utils/splitter.py; DeepChem, splits/splitters.py
    path: Path | None = None,
    rows: Sequence[int] | None = None,
    n_rows: int | None = None,
) -> Splits:
    """Divide molecules into train, valid and test so that a repeated molecule is in one part only.

    ===================  ==========================================================================
    scaffold             largest scaffold sets first, chirality kept (ImageMol, TapWeight, GROVER)
    scaffold_achiral     the same without chirality (DeepChem)
    scaffold_balanced    big scaffold sets first, else random; without chirality (ImageMol, chemprop)
    random_scaffold      random scaffold sets, valid and test filled first (ImageMol's headline)
    random               molecules at random
    stratified           molecules at random within a class or decile of the first target
    file                 as a file says: our JSON or chemprop's ``splits.json``
    deepchem:<Name>      as a splitter of DeepChem divides them, such as ``deepchem:ButinaSplitter``
    ===================  ==========================================================================

    Args:
        smiles: [n] canonical SMILES.
        targets: [n, t] or [n], NaN = unlabelled; only ``stratified`` needs it and uses the first column,
            by class if its values are 0 and 1, by decile otherwise, the unlabelled apart.
        kind: one of the names above.
        seed: in 0..2**32-1 for a seeded kind (the range of ImageMol's generator), None for the others.
        fractions: of train, valid and test, positive, with sum 1; test may be 0, for a model that learns
            from everything and is tested elsewhere; ``file`` has its own.
        path: the file of kind ``file``.
        rows: for each molecule its 0-based data row in the original file; None = 0..n-1.
        n_rows: data rows of the original file, so that a file may name unusable rows at its end;
            None = up to the last row in ``rows``.

    Raises:
        ConfigError: unknown kind, or arguments that do not fit the kind.
        DataError: a part is empty, or the file does not fit the molecules.

    >>> smiles = ["CCO", "CCN", "CC", "c1ccccc1", "Cc1ccccc1", "Oc1ccccc1", "c1ccncc1", "Cc1ccncc1", "C1CC1"]
    >>> divided = split(smiles, None, kind="scaffold", fractions=(0.6, 0.2, 0.2))
    >>> divided.sizes()
    {'train': 5, 'valid': 3, 'test': 1, 'meta': 0}
    >>> [smiles[i] for i in divided.test]
    ['C1CC1']
    >>> divided.hash(smiles)[:12]
    '62448c9b82ce'
    """
    check_arguments(kind, seed, path)
    fractions = checked_fractions(fractions)
    assert rows is None or len(rows) == len(smiles), "rows must name the row of every molecule"
    if kind == "file":
        assert path is not None, "checked above"
        splits = _from_file(path, smiles, range(len(smiles)) if rows is None else rows, n_rows)
    else:
        parts = _by_rule(smiles, targets, kind, seed, fractions)
        if not fractions[2]:  # what rounding has put there
            parts = (parts[0], [*parts[1], *parts[2]], [])
        splits = Splits(kind, seed, fractions, *(np.asarray(part, dtype=np.int64) for part in parts))
    placed = np.sort(np.concatenate(list(splits.parts().values())))
    assert np.array_equal(placed, np.arange(len(smiles))), "a split must place every molecule once"
    _check_not_empty(splits.sizes(), kind, needed=PARTS[:3] if fractions[2] else PARTS[:2])
    return splits


def carve_meta(splits: Splits, smiles: Sequence[str], *, fraction: float, seed: int) -> Splits:
    """Move about ``fraction`` of train into ``meta``, whole groups only (protocol strict).

    Groups are scaffolds, as the kind of the split understands them, or repeated molecules for ``random`` and
    ``stratified``. They are visited in random order and taken while ``|meta| <= fraction * |train|``. A
    split whose file brings its own meta part keeps it.

    Args:
        splits: what to carve from; not changed.
        smiles: canonical SMILES, one for each position.
        fraction: in (0, 1).
        seed: of the order of the groups.

    Raises:
        ConfigError: ``fraction`` or ``seed`` is out of range.
        DataError: every group is larger than the meta part may be.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"the fraction of train for meta must lie between 0 and 1, found {fraction!r}")
    check_seed(seed)
    if len(splits.meta):
        logger.info("the split brings its own meta part of %d molecules", len(splits.meta))
        return splits
    groups = _groups([smiles[i] for i in splits.train], splits.kind)
    meta: list[int] = []  # indices into train
    for group in split_rules.shuffled(groups, np.random.default_rng(seed)):
        if len(meta) + len(group) <= fraction * len(splits.train):
            meta.extend(group)
    if not meta:
        raise DataError(
            f"no group of train ({len(splits.train)} molecules in {len(groups)} groups) is small enough "
            f"for a meta part of {fraction:g}; use another split, a larger fraction or more data"
        )
    return replace(splits, train=np.delete(splits.train, meta), meta=splits.train[np.sort(meta)])


def _by_rule(
    smiles: Sequence[str], targets: np.ndarray | None, kind: str, seed: int | None, fractions: Fractions
) -> split_rules.TrainValidTest:
    """Train, valid and test by the rule that ``kind`` names."""
    groups = _groups(smiles, kind)
    if kind.startswith(DEEPCHEM):
        return deepchem_split(kind.removeprefix(DEEPCHEM), smiles, targets, groups, fractions, seed)
    if kind in ("scaffold", "scaffold_achiral"):
        return split_rules.largest_first(groups, fractions)
    assert seed is not None, "checked by check_arguments"
    if kind in RULES:
        return RULES[kind](groups, fractions, seed)
    if targets is None:
        raise ConfigError("split 'stratified' needs targets, and there are none; use split 'random'")
    if len(targets) != len(smiles):
        raise ConfigError(f"expected one row of targets for each of {len(smiles)} molecules: {len(targets)}")
    first = targets if targets.ndim == 1 else targets[:, 0]
    return split_rules.stratified(groups, first, fractions, seed)


def _check_not_empty(sizes: Mapping[str, int], kind: str, *, needed: Sequence[str]) -> None:
    """Refuse a split that leaves a part without molecules that must have some."""
    if not all(sizes[part] for part in needed):
        listed = ", ".join(f"{part} {sizes[part]}" for part in PARTS[:3])
        raise DataError(
            f"split {kind!r} leaves a part empty ({listed}); use another split, other fractions or more data"
        )


def _groups(smiles: Sequence[str], kind: str) -> list[Group]:
    """Positions that must stay together under ``kind``, in first-seen order."""
    if kind in CHIRALITY:
        return split_rules.grouped(scaffold(text, chirality=CHIRALITY[kind]) for text in smiles)
    return split_rules.grouped(smiles)


def _from_file(path: Path, smiles: Sequence[str], rows: Sequence[int], n_rows: int | None) -> Splits:
    """The split that a file describes; warns if the file was saved for other molecules."""
    listed, digest = split_files.read_split_file(path)
    parts = split_files.positions(listed, smiles, rows, n_rows=n_rows, path=path)
    n = max(len(smiles), 1)
    valid, test = len(parts["valid"]) / n, len(parts["test"]) / n
    splits = Splits("file", None, (1 - valid - test, valid, test), **parts)
    if digest is not None and digest != splits.hash(smiles):
        logger.warning("%s was saved for other molecules, or by another RDKit: its hash differs", path)
    return splits
