"""From a table to one SMILES string and one row of numbers per molecule, or a sentence that says why not."""

from __future__ import annotations

import difflib
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from rdkit import Chem

from molweight.errors import DataError
from molweight.molecules.readers import Cell, Misshapen, Rows, Source, open_all_rows, open_rows, title

MISSING = {"", "nan", "na", "n/a", "#n/a", "null", "none", "<na>"}  # compared in lower case
REMEMBERED = 10_000  # spellings of labels; a table of zeros and ones needs two
FLOAT32_MAX = float(np.finfo(np.float32).max)  # labels are trained on in float32


def read_table(
    source: Source,
    *,
    smiles_column: str = "smiles",
    targets: Sequence[str] | None = None,
    smiles_aliases: Sequence[str] = (),
    aliases: Mapping[str, Sequence[str]] | None = None,
    ignore: Sequence[str] = (),
    task_type: str | None = None,
) -> pd.DataFrame:
    """The SMILES strings and labels of a molecule table.

    Args:
        source: see :func:`molweight.molecules.readers.open_rows`; a cell with an RDKit molecule counts as its
            SMILES. Memory holds what is returned, never the file.
        smiles_column: name of the column with SMILES; without an exact match case is ignored, then
            ``smiles_aliases`` are tried.
        targets: names of the label columns; None takes every column that is neither SMILES nor ignored;
            an empty list reads the molecules alone.
        smiles_aliases: other names for the SMILES column.
        aliases: target name to its other names.
        ignore: columns that are not targets when ``targets`` is None.
        task_type: ``classification`` insists on labels 0 and 1.

    Returns:
        Column ``smiles`` (text as it stands in the table), then one float64 column per target, under the
        target's own name, NaN where the label is missing. One row per data row, in file order; the index
        ``line`` is the line of the file (Parquet, SDF: the record).

    Raises:
        DataError: see the message; it names file, column and row.
    """
    table = title(source)
    names, rows = open_rows(source)
    smiles_at = _find_column(table, names, [smiles_column, *smiles_aliases], "dataset.smiles_column")
    if targets is None:
        columns = _all_targets(table, names, smiles_at, ignore)
    else:
        known = aliases or {}
        columns = {
            name: _find_column(table, names, [name, *known.get(name, ())], "dataset.targets")
            for name in targets
        }
    _check_unique(table, names, [smiles_at, *columns.values()])
    lines, smiles, labels = _collect(table, rows, smiles_at, columns, binary=task_type == "classification")
    if not smiles:
        raise DataError(f"{table} has a header but no rows: expected one molecule per row")
    if columns and np.isnan(labels).all():
        raise DataError(
            f"{table}: every label in {_list(columns)} is missing, so there is nothing to learn; "
            "check dataset.targets"
        )
    frame = pd.DataFrame(labels, columns=pd.Index(list(columns)), index=pd.Index(lines, name="line"))
    frame.insert(0, "smiles", pd.Series(smiles, index=frame.index, dtype=object), allow_duplicates=True)
    return frame


def all_molecules(source: Source, name: str, *, kind: str | None = None) -> Iterator[str | Misshapen]:
    """What every row of a table has for a molecule, as it passes by: no row is left out.

    Args:
        source, kind: see :func:`molweight.molecules.readers.open_all_rows`.
        name: of the column with SMILES; without an exact match case is ignored. A table of one column needs
            no name.

    Raises:
        DataError: at once where there is no such column; at its row where a file is damaged.
    """
    names, rows = open_all_rows(source, kind=kind)
    at = 0 if len(names) == 1 else _find_column(title(source), names, [name], "--smiles-column")
    _check_unique(title(source), names, [at])
    return (cells if isinstance(cells, Misshapen) else _smiles(cells[at]) for _, cells in rows)


def smiles_column(source: Source, name: str, aliases: Sequence[str] = ()) -> Iterator[str]:
    """The SMILES strings of a table, as they pass by: nothing is held in memory.

    Args:
        source: see :func:`molweight.molecules.readers.open_rows`.
        name: of the column; without an exact match case is ignored, then ``aliases`` are tried.
        aliases: other names.

    Raises:
        DataError: see the message; at the first string, or where the file is damaged.
    """
    names, rows = open_rows(source)
    at = _find_column(title(source), names, [name, *aliases], "corpus.smiles_column")
    _check_unique(title(source), names, [at])
    return (_smiles(cells[at]) for _, cells in rows)


def number(cell: Cell) -> float:
    """The number in a cell, NaN if the cell says that there is none.

    Raises:
        ValueError: text that is not a finite number within the range of float32.
    """
    if cell is None or cell is pd.NA:
        return math.nan
    if isinstance(cell, str):
        text = cell.strip()
        if text.lower() in MISSING:
            return math.nan
        if "_" in text:  # Python reads 1_000 as a number, a table does not
            raise ValueError(text)
        value = float(text)
        if math.isnan(value):  # "-nan" and the like
            raise ValueError(text)
    elif isinstance(cell, bool | int | float | np.number | np.bool_):
        value = float(cell)
        if math.isnan(value):
            return value
    else:
        raise ValueError(cell)
    if abs(value) > FLOAT32_MAX:
        raise ValueError(cell)
    return value


def _collect(
    table: str, rows: Rows, smiles_at: int, columns: Mapping[str, int], *, binary: bool
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Lines [n], SMILES and labels [n, t] of all rows; equal cells are parsed once."""
    lines, smiles, labels = array("q"), list[str](), array("d")
    known: dict[str, float] = {}
    for row, (line, cells) in enumerate(rows, start=1):
        lines.append(line)
        smiles.append(_smiles(cells[smiles_at]))
        for name, at in columns.items():
            cell = cells[at]
            value = known.get(cell) if isinstance(cell, str) else None
            if value is None:
                value = _label(table, name, row, line, cell, binary=binary)
                if isinstance(cell, str) and len(known) < REMEMBERED:
                    known[cell] = value
            labels.append(value)
    return np.array(lines), smiles, np.array(labels).reshape(len(lines), len(columns))


def _smiles(cell: Cell) -> str:
    """The SMILES in a cell; what is neither text nor a molecule is none."""
    if isinstance(cell, Chem.Mol):
        return str(Chem.MolToSmiles(cell))
    return cell if isinstance(cell, str) else ""


def _label(table: str, name: str, row: int, line: int, cell: Cell, *, binary: bool) -> float:
    """The label in a cell, or a :class:`DataError` that names the cell."""
    where = f"{table}: column {name!r}, row {row} (line {line})"
    try:
        value = number(cell)
    except ValueError:
        raise DataError(
            f"{where}: {cell!r} is not a number; leave the cell empty for a missing label, or leave the "
            "column out of dataset.targets"
        ) from None
    if binary and value not in (0.0, 1.0) and not math.isnan(value):
        raise DataError(
            f"{where}: {cell!r} is neither 0 nor 1, the labels of a classification task; leave the cell "
            "empty for a missing label, or pass dataset.task_type=regression"
        )
    return value


def _find_column(table: str, names: Sequence[str], wanted: Sequence[str], option: str) -> int:
    """Position of the first of ``wanted`` that is a column: exact spellings first, then ignoring case."""
    for name in wanted:
        if name in names:
            return names.index(name)
    lowered = [name.lower() for name in names]
    for name in wanted:
        if lowered.count(name.lower()) == 1:
            return lowered.index(name.lower())
    close = difflib.get_close_matches(wanted[0].lower(), lowered, n=1, cutoff=0.5)
    hint = f" Did you mean {names[lowered.index(close[0])]!r}?" if close else ""
    separator = next((s for s in (";", "\t", "|") if len(names) == 1 and s in names[0]), None)
    if separator:
        hint = f" The cells seem to be separated by {separator!r}: save it with commas, or with tabs as .tsv."
    raise DataError(f"{table} has no column {wanted[0]!r} ({option}).{hint} Columns: {_list(names)}.")


def _all_targets(table: str, names: Sequence[str], smiles_at: int, ignore: Sequence[str]) -> dict[str, int]:
    """Every column that is neither SMILES nor ignored."""
    columns = [i for i, name in enumerate(names) if i != smiles_at and name not in ignore]
    if not columns:
        raise DataError(f"{table} has no column with labels besides the SMILES. Columns: {_list(names)}.")
    _check_unique(table, names, columns)
    return {names[i]: i for i in columns}


def _check_unique(table: str, names: Sequence[str], used: Iterable[int]) -> None:
    """Refuse a used column whose name another column has too: nobody could say which one is meant."""
    counts = Counter(names)
    twice = sorted({names[i] for i in used if counts[names[i]] > 1})
    if twice:
        raise DataError(f"{table} has more than one column {_list(twice)}: give every column its own name")


def _list(names: Iterable[str], most: int = 20) -> str:
    """Names for a message, shortened when a table is very wide."""
    quoted = [repr(name) for name in names]
    rest = f" and {len(quoted) - most} more" if len(quoted) > most else ""
    return ", ".join(quoted[:most]) + rest
