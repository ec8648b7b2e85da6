"""Tables of typed cells, Parquet files and data frames: an index is no column unless it holds the SMILES."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pandas as pd
from rdkit import Chem

from molweight.data.smiles import is_molecule
from molweight.data.table_rows import SMILES_HEADERS, Cell, Notes, Rows, Table
from molweight.errors import DataError

RECORDS = 100  # of a Parquet file in memory at a time; a thousand are not read faster
SAMPLE = 20  # rows that tell whether cells are molecules
UNNAMED = "__index_level_"  # how pandas calls an index without a name in a Parquet file
INDEX_NOTE = "the SMILES are those of its index"

Named = tuple[str, Sequence[Cell]]
"""A column, and its first cells."""


def plain(cell: Cell) -> Cell:
    """A decimal as a number, bytes as the text that they spell."""
    if isinstance(cell, Decimal):
        return cell if cell.is_snan() else float(cell)
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "backslashreplace")  # no molecule, and seen to be none
    return cell


def read_frame(frame: pd.DataFrame) -> Table:
    """The rows of a data frame; lines are numbers of records."""
    names = [str(name) for name in frame.columns]
    head = frame.head(SAMPLE)
    columns = ((name, [plain(cell) for cell in head.iloc[:, at]]) for at, name in enumerate(names))
    index = frame.index
    levels = [
        ("" if name is None else str(name), [plain(cell) for cell in index.get_level_values(at)[:SAMPLE]])
        for at, name in enumerate(index.names)
    ]
    rows: Iterable[Sequence[Cell]] = frame.itertuples(index=False, name=None)
    notes = Notes("the data frame")
    at = smiles_level(levels, columns)
    if at is not None:
        names = [levels[at][0] or "smiles", *names]
        rows = ((cell, *cells) for cell, cells in zip(index.get_level_values(at), rows, strict=True))
        notes.add(INDEX_NOTE)
    _check_header(notes.title, names)
    return Table(names, ((line, list(map(plain, cells))) for line, cells in enumerate(rows, start=1)), notes)


def smiles_level(levels: Sequence[Named], columns: Iterable[Named]) -> int | None:
    """Which level of an index holds the SMILES of a table; None if a column does, or no level, or several."""
    holding = [at for at, level in enumerate(levels) if _holds_smiles(level)]
    return holding[0] if len(holding) == 1 and not any(map(_holds_smiles, columns)) else None


def _holds_smiles(column: Named) -> bool:
    """Whether its name says so, or most of its first cells are molecules."""
    name, cells = column
    good = sum(isinstance(cell, Chem.Mol) or (isinstance(cell, str) and is_molecule(cell)) for cell in cells)
    return name.lower() in SMILES_HEADERS or 2 * good > len(cells)


def _check_header(title: object, names: Sequence[str]) -> None:
    """Refuse a single column that has a molecule for its name: the table lost its first row."""
    if len(names) == 1 and is_molecule(names[0]):
        raise DataError(
            f"{title} has one column, whose name {names[0]!r} is a molecule: give the column a name, and "
            "read a file without a header with header=None"
        )


def read_parquet(path: Path) -> Table:
    """The rows of a Parquet table; lines are numbers of records."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise DataError(
            f"reading {path} needs pyarrow, which is not installed: pip install pyarrow, or save it as CSV"
        ) from error
    try:
        file = ParquetFile(path)
        index = list((file.schema_arrow.pandas_metadata or {}).get("index_columns", []))
    except (OSError, ArrowException) as error:
        raise DataError(f"{path} is not a readable Parquet file: {error}") from error
    except (ValueError, TypeError, AttributeError, RecursionError):
        index = []  # what pandas has noted, somebody has spoiled

    def read(names: list[str]) -> Rows:
        number = 0
        try:
            for batch in file.iter_batches(RECORDS, columns=names):
                for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    number += 1
                    yield number, tuple(map(plain, cells))
        except (OSError, ArrowException) as error:
            raise DataError(f"{path} is not a readable Parquet file: {error}") from error

    stored: list[str] = file.schema_arrow.names
    level = None
    if any(name in index for name in stored):
        level = _stored_level(stored, index, [cells for _, cells in islice(read(stored), SAMPLE)])
    names = [name for name in stored if name == level or name not in index]
    shown = ["smiles" if name == level and name.startswith(UNNAMED) else name for name in names]
    _check_header(path, shown)
    notes = Notes(path)
    if level is not None:
        notes.add(INDEX_NOTE)
    return Table(shown, read(names), notes)


def _stored_level(
    names: Sequence[str], index: Sequence[object], sample: Sequence[Sequence[Cell]]
) -> str | None:
    """Which column of a Parquet file is an index with the SMILES, as :func:`smiles_level` says."""
    columns = [(name, [cells[at] for cells in sample]) for at, name in enumerate(names)]
    levels = [(name, cells) for name, cells in columns if name in index]
    at = smiles_level(levels, [(name, cells) for name, cells in columns if name not in index])
    return None if at is None else levels[at][0]
