"""File formats of molecule tables: each becomes column names and a stream of rows, with line numbers.

A reader yields ``(line, cells)``: the 1-based line of the file where the row ends (Parquet, SDF, a data frame
and a list: the 1-based number of the record) and one cell per column. One row after the other is in memory,
not the file, so a fault far down is raised when the reader gets there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import pandas as pd

from molweight.data.delimited import read_delimited
from molweight.data.frames import plain, read_frame, read_parquet
from molweight.data.sdf import read_sdf
from molweight.data.smiles import advice, split_name
from molweight.data.table_rows import SMILES_HEADERS, Notes, Table, empty
from molweight.data.text_files import STDIN, check_is_text, text_lines
from molweight.errors import DataError

Source = Path | str | pd.DataFrame | Sequence[str]
"""A file, a data frame, or a list of SMILES strings."""


def open_table(source: Source, *, kind: str | None = None) -> Table:
    """A molecule table, with :class:`MalformedRow` for the cells of a row that does not fit its header.

    Args:
        source: ``.csv``, ``.tsv``, ``.sdf``, ``.smi``, ``.smiles``, ``.txt`` (also packed with gzip),
            ``.parquet``; or a data frame; or a list of SMILES, whose one column is ``smiles``. The path ``-``
            is standard input, of text that is read once.
        kind: the ending of its format, such as ``.csv``; None takes the file's own.

    Raises:
        DataError: the file is missing, empty, of an unknown format, not UTF-8 text, or has two readings.

    >>> table = open_table(["CCO", "CCN"])
    >>> table.names, list(table.rows)
    (['smiles'], [(1, ('CCO',)), (2, ('CCN',))])
    """
    if isinstance(source, pd.DataFrame):
        return read_frame(source)
    if not isinstance(source, str | Path):
        rows = ((number, (plain(cell),)) for number, cell in enumerate(source, start=1))
        return Table(["smiles"], rows, Notes(title(source)))
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


def read_smiles_list(path: Path) -> Table:
    """One molecule per line: SMILES, then optionally white space and a name.

    Every line is a row, a blank one without a SMILES, so that rows stay beside those of other files. What
    follows the last line end is a line if there is anything.
    """
    notes = Notes(path)
    check_is_text(path, notes)
    lines = enumerate(text_lines(path), start=1)
    head: list[tuple[int, str]] = []
    for number, line in lines:
        head.append((number, line))
        if line.strip():
            break
    else:
        raise empty(path)
    if line.split()[0].lower() in SMILES_HEADERS:
        head = []
    rows = ((number, list(split_name(line))) for number, line in chain(head, lines))
    return Table(["smiles", "name"], rows, notes)


STREAMED = (".csv", ".tsv", ".smi", ".smiles", ".txt")
"""Formats that are read once, from the first line to the last."""

READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": partial(read_delimited, expected=","),
    ".tsv": partial(read_delimited, expected="\t"),
    ".parquet": read_parquet,
    ".sdf": read_sdf,
    ".smi": read_smiles_list,
    ".smiles": read_smiles_list,
    ".txt": read_smiles_list,
}
