"""What became of the rows of a table: canonical molecules, rows left out and why, rows that repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from molweight.molecules.smiles import InvalidSmilesError
from molweight.molecules.standardise import AS_GIVEN, Standardisation, standard_smiles

NO_LABEL = "no label"


@dataclass(frozen=True)
class Excluded:
    """A row that is not used."""

    row: int  # 0-based data row
    input: str  # as spelled in the file
    reason: str
    status: str = InvalidSmilesError.status  # or that of an UnsupportedMoleculeError


@dataclass(frozen=True)
class Duplicate:
    """A row whose molecule stood in an earlier row; it stays in the data set."""

    row: int  # 0-based data row
    first_row: int  # 0-based data row
    smiles: str  # canonical
    conflicting: bool  # some label differs from one that the same molecule had before


def canonical_rows(
    inputs: Sequence[str], *, name: str, standardise: Standardisation = AS_GIVEN
) -> list[str | Excluded]:
    """The canonical SMILES of every input, or the reason why it has none, in the order of the inputs.

    Args:
        inputs: SMILES strings as they stand in the file.
        name: shown beside the progress bar, which appears on a terminal only.
        standardise: done to every molecule.
    """
    known: dict[str, str | Excluded] = {}
    result: list[str | Excluded] = []
    for row, text in enumerate(tqdm(inputs, desc=f"reading {name}", unit="mol", disable=None, leave=False)):
        if text not in known:
            try:
                known[text] = standard_smiles(text, standardise)
            except InvalidSmilesError as error:
                known[text] = Excluded(row, text, str(error), error.status)
        found = known[text]
        result.append(found if isinstance(found, str) else replace(found, row=row))
    return result


def find_duplicates(
    smiles: Sequence[str],
    rows: np.ndarray,  # [n] int64
    targets: np.ndarray,  # [n, t] float, NaN = missing
) -> list[Duplicate]:
    """Every row whose canonical SMILES occurred before.

    It is conflicting if one of its labels differs from a label that an earlier row of the same molecule
    has for the same target; a missing label contradicts nothing.
    """
    first: dict[str, int] = {}
    lowest: dict[str, np.ndarray] = {}  # label [t] of each molecule so far
    highest: dict[str, np.ndarray] = {}
    duplicates = []
    for i, molecule in enumerate(smiles):
        now = targets[i]
        if molecule not in first:
            first[molecule] = int(rows[i])
            lowest[molecule], highest[molecule] = now, now
            continue
        low, high = lowest[molecule], highest[molecule]
        there = ~np.isnan(low) & ~np.isnan(now)
        conflicting = bool(((low != now) | (high != now))[there].any())
        duplicates.append(Duplicate(int(rows[i]), first[molecule], molecule, conflicting))
        lowest[molecule], highest[molecule] = np.fmin(low, now), np.fmax(high, now)
    return duplicates
