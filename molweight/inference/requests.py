"""What is asked for: one molecule, or the reason why there is none, for every row of any source."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import cast

import pandas as pd

from molweight.data.columns import find_smiles_column
from molweight.data.readers import Source, open_table
from molweight.data.table import smiles_in
from molweight.data.table_rows import SMILES_HEADERS, MalformedRow
from molweight.data.text_files import STDIN
from molweight.errors import ConfigError

Request = str | MalformedRow
"""A SMILES string, as it stands in the row, or why the row has none."""

KINDS = ("csv", "tsv", "smi", "sdf", "parquet")
PEEK = 4096  # bytes of standard input that are looked at for a header


def requests(
    source: Source | pd.Series[str],
    *,
    smiles_column: str | None = None,
    kind: str | None = None,
    preferred: Iterable[str | None] = (),
) -> Iterator[Request]:
    """One request for every row, in order, read as needed; no row is left out.

    Args:
        source: a file, ``-`` for standard input, a data frame, or a series or list of SMILES.
        smiles_column: of a table with several columns; without an exact match case is ignored. None takes
            the first of ``preferred`` that is there, else the one column with a usual name.
        kind: of :data:`KINDS`; None takes the ending of the file's name, and looks at the first line of
            standard input.
        preferred: columns that the models were trained on, where that is known.

    Raises:
        ConfigError: an unknown kind.
        DataError: there is no such column, or more than one, or the source cannot be read; at its row where
            a file is damaged.

    >>> list(requests(["CCO", None]))
    ['CCO', '']
    """
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"the format of the input must be one of {', '.join(KINDS)}, got {kind!r}")
    if isinstance(source, pd.Series):
        source = source.tolist()
    if kind is None and isinstance(source, str | Path) and Path(source) == STDIN:
        kind = sniffed()
    table, at = open_table(source, kind=None if kind is None else f".{kind}"), 0
    if len(table.names) > 1:
        known = [name for name in preferred if name is not None]
        at = find_smiles_column(table, named=smiles_column, option="--smiles-column", preferred=known)
    return (cells if isinstance(cells, MalformedRow) else smiles_in(cells[at]) for _, cells in table.rows)


def sniffed() -> str:
    """The format of standard input: a table if its first line with text is a header with SMILES."""
    stream = cast(BufferedReader, sys.stdin.buffer)
    text = stream.peek(PEEK).decode("utf-8", "replace").removeprefix("\ufeff")
    first = next((line for line in re.split("[\r\n]", text) if line.strip()), "")
    for kind, delimiter in (("csv", ","), ("tsv", "\t"), ("csv", ";")):
        cells = [cell.strip().strip('"').lower() for cell in first.split(delimiter)]
        if len(cells) > 1 and SMILES_HEADERS & set(cells):
            return kind
    return "smi"
