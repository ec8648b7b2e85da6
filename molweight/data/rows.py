"""What became of the rows of a table: canonical molecules, rows left out and why, rows that repeat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from tqdm import tqdm

from molweight.data.results import RenderResult
from molweight.data.smiles import InvalidSmilesError
from molweight.data.standardise import Standardisation, standard_smiles
from molweight.errors import DataError
from molweight.utils.files import write_bytes
from molweight.utils.spreadsheets import csv_bytes

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


@dataclass(frozen=True, kw_only=True)
class MoleculeRows:
    """Canonical molecules of a table, and an account of every row that was read."""

    name: str
    smiles: list[str]
    """[n] canonical."""
    rows: np.ndarray
    """[n] int64, the 0-based data row of each molecule."""
    n_rows: int
    """All data rows: usable ones and excluded ones."""
    excluded: list[Excluded]
    """Rows that are not used, in the order of the source."""

    def __len__(self) -> int:
        return len(self.smiles)

    @property
    def title(self) -> str:
        """What messages call it."""
        return self.name

    @property
    def spellings(self) -> Sequence[str]:
        """[n] as spelled in the source, as far as that is known."""
        return self.smiles

    def subset(self, indices: np.ndarray) -> Self:
        """Some of the molecules; the excluded rows stay as they are.

        Args:
            indices: [m] int64, into the molecules.
        """
        return replace(self, smiles=[self.smiles[i] for i in indices], rows=self.rows[indices])

    def without(self, failed: Mapping[int, RenderResult]) -> Self:
        """All but the molecules at some positions, which have no picture; they join the excluded ones.

        Raises:
            DataError: nothing is left.
        """
        if not failed:
            return self
        if len(failed) == len(self):
            reason = failed[min(failed)].reason
            raise DataError(f"{self.title}: none of {len(self)} molecules can be drawn, e.g. {reason}")
        excluded = [
            Excluded(int(self.rows[i]), self.spellings[i], result.reason, result.status)
            for i, result in failed.items()
        ]
        rest = self.subset(np.setdiff1d(np.arange(len(self)), sorted(failed)))
        return replace(rest, excluded=sorted([*self.excluded, *excluded], key=lambda item: item.row))

    def save_excluded(self, path: Path) -> None:
        """Write rows that are not used, or not as they stand, as CSV: ``row,input,status,reason``.

        Rows count from 1. The header is written even if there is nothing to report.
        """
        records = [(row + 1, *rest) for row, *rest in sorted(self._remarkable_rows())]
        columns = ["row", "input", "status", "reason"]
        write_bytes(path, csv_bytes(pd.DataFrame(records, columns=columns, dtype=object)))

    def _remarkable_rows(self) -> list[tuple[int, str, str, str]]:
        """0-based data row, input, status and reason."""
        return [(item.row, item.input, item.status, item.reason) for item in self.excluded]


def canonical_rows(
    inputs: Iterable[tuple[int, str]], *, name: str, standardise: Standardisation
) -> Iterator[tuple[int, str, str | Excluded]]:
    """Row, input, and its canonical SMILES or the reason why it has none, in the order of the inputs.

    Args:
        inputs: 0-based data rows and their SMILES strings, as they stand in the source.
        name: shown beside the progress bar, which appears on a terminal only.
        standardise: done to every molecule.

    >>> list(canonical_rows([(0, "OCC"), (1, "")], name="x", standardise=Standardisation()))
    [(0, 'OCC', 'CCO'), (1, '', Excluded(row=1, input='', reason='empty', status='invalid'))]
    """
    for row, text in tqdm(inputs, desc=f"reading {name}", unit="mol", disable=None, leave=False):
        try:
            yield row, text, standard_smiles(text, standardise)
        except InvalidSmilesError as error:
            yield row, text, Excluded(row, text, str(error), error.status)


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
        known = ~np.isnan(low) & ~np.isnan(now)
        conflicting = bool(((low != now) | (high != now))[known].any())
        duplicates.append(Duplicate(int(rows[i]), first[molecule], molecule, conflicting))
        lowest[molecule], highest[molecule] = np.fmin(low, now), np.fmax(high, now)
    return duplicates
