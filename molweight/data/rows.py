"""What became of the rows of a table: canonical molecules, rows left out and why, rows that repeat."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from molweight.data.results import RenderResult
from molweight.data.smiles import InvalidSmilesError
from molweight.data.standardise import AS_GIVEN, Standardisation, standard_smiles
from molweight.errors import DataError
from molweight.utils.files import write_text
from molweight.utils.spreadsheets import no_formula

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
    result: list[str | Excluded] = []
    for row, text in enumerate(tqdm(inputs, desc=f"reading {name}", unit="mol", disable=None, leave=False)):
        try:
            result.append(standard_smiles(text, standardise))
        except InvalidSmilesError as error:
            result.append(Excluded(row, text, str(error), error.status))
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


def leave_out(
    failed: Mapping[int, RenderResult], rows: np.ndarray, inputs: Sequence[str], *, what: str
) -> tuple[np.ndarray, list[Excluded]]:
    """Which molecules are kept when some have no picture, and what becomes of the others.

    Args:
        failed: position to the reason.
        rows: [n] int64, 0-based data rows of all.
        inputs: [n] strings of all.
        what: they belong to.

    Returns:
        Positions that are kept, and the excluded rows.

    Raises:
        DataError: nothing is left.
    """
    if len(failed) == len(rows):
        reason = failed[min(failed)].reason
        raise DataError(f"{what}: none of {len(rows)} molecules can be drawn, e.g. {reason}")
    gone = [Excluded(int(rows[i]), inputs[i], drawn.reason, drawn.status) for i, drawn in failed.items()]
    return np.setdiff1d(np.arange(len(rows)), sorted(failed)), gone


def save_rows(path: Path, records: Iterable[tuple[int, str, str, str]]) -> None:
    """Write rows that are not used, or not as they stand, as CSV: ``row,input,status,reason``, rows from 1.

    Text that a spreadsheet would take for a formula gets a leading apostrophe. The header is written even if
    there is nothing to report.

    Args:
        path: of the file.
        records: 0-based data row, input, status, reason.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("row", "input", "status", "reason"))
    for row, spelling, status, reason in sorted(records):
        writer.writerow((row + 1, no_formula(spelling), status, no_formula(reason)))
    write_text(path, text.getvalue())
