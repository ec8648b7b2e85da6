"""File formats of molecule tables: each becomes column names and a stream of rows, with line numbers.

A reader yields ``(line, cells)``: the 1-based line of the file where the row ends (Parquet, SDF, a data frame
and a list: the 1-based number of the record) and one cell per column. One row after the other is in memory,
not the file, so a fault far down is raised when the reader gets there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import pandas as pd

from molweight.data.delimited import delimited
from molweight.data.frames import plain, read_frame, read_parquet
from molweight.data.sdf import read_sdf
from molweight.data.smiles import advice, split_name
from molweight.data.table_rows import (
    SMILES_HEADERS,
    AllRows,
    Cell,
    MalformedRow,
    Reader,
    Rows,
    Table,
    Unclear,
    empty,
)
from molweight.data.text_files import STDIN, check_is_text, text_lines
from molweight.errors import DataError

__all__ = [  # with what the names and rows of a table are made of
    "READERS",
    "SMILES_HEADERS",
    "STDIN",
    "AllRows",
    "Cell",
    "MalformedRow",
    "Rows",
    "Source",
    "Table",
    "Unclear",
    "open_rows",
    "open_table",
    "title",
]

Source = Path | str | pd.DataFrame | Sequence[str]
"""A file, a data frame, or a list of SMILES strings."""


def open_rows(source: Source) -> tuple[list[str], Rows]:
    """The column names of a molecule table, and an iterator over its rows.

    Args:
        source: as of :func:`open_table`.

    Raises:
        DataError: as there; or a row does not fit its header.
    """
    table = open_table(source)
    return table.names, all_fitting(title(source), table.rows)


def open_table(source: Source, *, kind: str | None = None) -> Table:
    """A molecule table, with :class:`MalformedRow` for the cells of a row that does not fit its header.

    Args:
        source: ``.csv``, ``.tsv``, ``.sdf``, ``.smi``, ``.smiles``, ``.txt`` (also packed with gzip),
            ``.parquet``; or a data frame; or a list of SMILES, whose one column is ``smiles``. The path ``-``
            is standard input, of text that is read once.
        kind: the ending of its format, such as ``.csv``; None takes the file's own.

    Raises:
        DataError: the file is missing, empty, of an unknown format, not UTF-8 text, or has two readings.
    """
    if isinstance(source, pd.DataFrame):
        return read_frame(source)
    if not isinstance(source, str | Path):
        return Table(["smiles"], ((number, (plain(cell),)) for number, cell in enumerate(source, start=1)))
    path = Path(source)
    if path != STDIN and not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise DataError(
            f"{path} {what}: give the path of a table or of a list of SMILES{advice(str(source))}"
        )
    suffix = kind or Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix not in READERS:
        known = ", ".join(sorted(READERS))
        raise DataError(f"{path}: unknown file type {suffix!r}; expected one of {known} (text also as .gz)")
    if path == STDIN and suffix not in STREAMED:
        raise DataError(f"{suffix} cannot be read from standard input; save it as a file")
    return READERS[suffix](path)


def title(source: Source) -> str:
    """What messages call a source: its path, or what it is."""
    if isinstance(source, pd.DataFrame):
        return "the data frame"
    return str(source) if isinstance(source, str | Path) else "the list of molecules"


def all_fitting(table: str, rows: AllRows) -> Rows:
    """Pass rows on until one does not fit."""
    for line, cells in rows:
        if isinstance(cells, MalformedRow):
            raise DataError(f"{table}, line {line}: {cells.reason}; {cells.cure}")
        yield line, cells


def _smiles_list(path: Path) -> Table:
    """One molecule per line: SMILES, then optionally white space and a name.

    Every line is a row, a blank one without a SMILES, so that rows stay beside those of other files. What
    follows the last line end is a line if there is anything.
    """
    notes: list[str] = []
    check_is_text(path, notes)
    lines = enumerate(text_lines(path), start=1)
    before: list[tuple[int, str]] = []
    for number, line in lines:
        before.append((number, line))
        if line.strip():
            break
    else:
        raise empty(path)
    if line.split()[0].lower() in SMILES_HEADERS:
        before = []

    def cells(number: int, line: str) -> tuple[int, list[str]]:
        return number, list(split_name(line))

    rows = (cells(*one) if one[1].strip() else (one[0], ["", ""]) for one in chain(before, lines))
    return Table(["smiles", "name"], rows, notes)


STREAMED = (".csv", ".tsv", ".smi", ".smiles", ".txt")
"""Formats that are read once, from the first line to the last."""

READERS: dict[str, Reader] = {
    ".csv": delimited(","),
    ".tsv": delimited("\t"),
    ".parquet": read_parquet,
    ".sdf": read_sdf,
    ".smi": _smiles_list,
    ".smiles": _smiles_list,
    ".txt": _smiles_list,
}
