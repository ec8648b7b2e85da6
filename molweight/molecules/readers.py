"""File formats of molecule tables: each becomes column names and a stream of rows, with line numbers.

A reader yields ``(line, cells)``: the 1-based line of the file where the row ends (Parquet, SDF, a data frame
and a list: the 1-based number of the record) and one cell per column. One row after the other is in memory,
not the file, so a fault far down is raised when the reader gets there.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import pandas as pd
from rdkit import Chem, rdBase

from molweight.errors import DataError
from molweight.molecules.smiles import InvalidSmilesError, advice, smiles_of, split_name

Cell = object  # text, or whatever a Parquet column or a data frame holds
Rows = Iterator[tuple[int, Sequence[Cell]]]
AllRows = Iterator[tuple[int, "Sequence[Cell] | Misshapen"]]
Reader = Callable[[Path], tuple[list[str], AllRows]]
Source = Path | str | pd.DataFrame | Sequence[str]
"""A file, a data frame, or a list of SMILES strings."""

STDIN = Path("-")
SMILES_HEADERS = {  # a first word that makes the first line of a list a header
    "smiles",
    "canonical_smiles",
}
UNREADABLE = "<unreadable structure>"  # stands in for a molblock that RDKit refuses; it is no SMILES either
RECORDS = 100  # of a Parquet file in memory at a time; a thousand are not read faster


@dataclass(frozen=True)
class Misshapen:
    """What stands for the cells of a row that does not fit its header."""

    reason: str
    text: str


def open_rows(source: Source) -> tuple[list[str], Rows]:
    """The column names of a molecule table, and an iterator over its rows.

    Args:
        source: ``.csv``, ``.tsv``, ``.sdf``, ``.smi``, ``.smiles``, ``.txt`` (also with ``.gz``),
            ``.parquet``; or a data frame; or a list of SMILES, whose one column is ``smiles``.

    Raises:
        DataError: the file is missing, empty, of an unknown format, or not UTF-8 text; or a row does not fit
            its header.
    """
    names, rows = open_all_rows(source)
    return names, _all_fitting(title(source), rows)


def open_all_rows(source: Source, *, kind: str | None = None) -> tuple[list[str], AllRows]:
    """As :func:`open_rows`, with :class:`Misshapen` for the cells of a row that does not fit its header.

    Args:
        source: as there; the path ``-`` is standard input, of text that is read once.
        kind: the ending of its format, such as ``.csv``; None takes the file's own.

    Raises:
        DataError: as there.
    """
    if isinstance(source, pd.DataFrame):
        names = [str(name) for name in source.columns]
        return names, enumerate(source.itertuples(index=False, name=None), start=1)
    if not isinstance(source, str | Path):
        return ["smiles"], ((number, (cell,)) for number, cell in enumerate(source, start=1))
    path = Path(source)
    if path != STDIN and not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise DataError(
            f"{path} {what}: give the path of a table or of a list of SMILES{advice(str(source))}"
        )
    suffix = kind or Path(path.name.removesuffix(".gz")).suffix.lower()
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


def text_lines(path: Path) -> Iterator[str]:
    """The lines of a text file with their ends: unpacked if it is a ``.gz``, without a byte-order mark.

    Raises:
        DataError: unreadable, damaged, or not UTF-8.
    """
    try:
        with _reading(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            yield from text
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {_first_undecodable(path)}: not UTF-8 text; save the file with UTF-8 encoding"
        ) from error


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked; whatever goes wrong inside with the file becomes a sentence."""
    try:
        if path == STDIN:
            yield sys.stdin.buffer
            return
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            yield cast(BinaryIO, file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is not a complete gzip file ({error}): fetch it again") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _first_undecodable(path: Path) -> int:
    """The 1-based line that is not UTF-8."""
    with _reading(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1  # it was mended meanwhile


def _delimited(delimiter: str) -> Reader:
    """A reader of delimited text whose first non-blank line names the columns."""

    def read(path: Path) -> tuple[list[str], AllRows]:
        lines = _csv_rows(path, delimiter)
        for _, header in lines:
            names = [name.strip() for name in header]
            if any(names):
                return names, _same_width(len(names), lines)
        raise _empty(path)

    return read


def _csv_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Non-blank rows of delimited text; a quoted cell may span lines."""
    reader = csv.reader(text_lines(path), delimiter=delimiter)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not a table ({error})") from error


def _same_width(columns: int, lines: Iterator[tuple[int, list[str]]]) -> AllRows:
    """Pass rows on that have one cell per column: a shifted row would carry wrong labels."""
    for line, cells in lines:
        if len(cells) == columns:
            yield line, cells
        else:
            count = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
            yield line, Misshapen(f"{count} where the header names {columns} columns", ",".join(cells))


def _all_fitting(table: str, rows: AllRows) -> Rows:
    """Pass rows on until one does not fit."""
    for line, cells in rows:
        if isinstance(cells, Misshapen):
            raise DataError(f"{table}, line {line}: {cells.reason}; quote cells that contain the delimiter")
        yield line, cells


def _smiles_list(path: Path) -> tuple[list[str], AllRows]:
    """One molecule per line: SMILES, then optionally white space and a name."""
    numbered = ((number, line) for number, line in enumerate(text_lines(path), start=1) if line.strip())
    first = next(numbered, None)
    if first is None:
        raise _empty(path)

    def rows() -> Rows:
        if first[1].split()[0].lower() not in SMILES_HEADERS:
            yield cells(*first)
        for number, line in numbered:
            yield cells(number, line)

    def cells(number: int, line: str) -> tuple[int, list[str]]:
        return number, list(split_name(line))

    return ["smiles", "name"], rows()


def _parquet(path: Path) -> tuple[list[str], AllRows]:
    """A Parquet table; a pandas index in it is no column."""
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
    names = [name for name in file.schema_arrow.names if name not in index]

    def rows() -> Rows:
        number = 0
        try:
            for batch in file.iter_batches(RECORDS, columns=names):
                for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    number += 1
                    yield number, cells
        except (OSError, ArrowException) as error:
            raise DataError(f"{path} is not a readable Parquet file: {error}") from error

    return names, rows()


def _sdf(path: Path) -> tuple[list[str], AllRows]:
    """The records of an SD file: ``smiles`` from the structure, other columns from the properties.

    It is read twice: the names of the properties stand in the records.
    """
    found = dict.fromkeys(name for record in _sdf_records(path) for name, _ in _sdf_properties(record))
    names = [name for name in found if name != "smiles"]  # the structure is the authority

    def rows() -> Rows:
        for number, record in enumerate(_sdf_records(path), start=1):
            properties = dict(_sdf_properties(record))
            yield number, [_sdf_smiles(record), *(properties.get(name, "") for name in names)]

    return ["smiles", *names], rows()


def _sdf_records(path: Path) -> Iterator[str]:
    """The text of every record, with line feeds at the ends of lines."""
    lines: list[str] = []
    some = False
    for line in text_lines(path):
        if not line.startswith("$$$$"):
            lines.append(line.rstrip("\r\n") + "\n")
            continue
        some = True
        yield "".join(lines)
        lines = []
    last = "".join(lines)
    if last.strip():  # the last mark may be missing
        yield last
    elif not some:
        raise _empty(path)


def _sdf_properties(record: str) -> Iterator[tuple[str, str]]:
    """Names and values; they survive a structure that RDKit refuses."""
    _, _, rest = record.partition("M  END")
    for item in rest.split("\n>")[1:]:
        head, _, value = item.partition("\n")
        yield head[head.find("<") + 1 : head.rfind(">")], value.split("\n\n")[0].strip()


def _sdf_smiles(record: str) -> str:
    """The structure of a record."""
    block, end, _ = record.partition("M  END")
    with rdBase.BlockLogs():
        mol = Chem.MolFromMolBlock(block + end)
    try:
        return UNREADABLE if mol is None else smiles_of(mol)
    except InvalidSmilesError:
        return UNREADABLE


def _empty(path: Path) -> DataError:
    return DataError(f"{path} is empty: expected a header line and one molecule per line")


STREAMED = (".csv", ".tsv", ".smi", ".smiles", ".txt")
"""Formats that are read once, from the first line to the last."""

READERS: dict[str, Reader] = {
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".parquet": _parquet,
    ".sdf": _sdf,
    ".smi": _smiles_list,
    ".smiles": _smiles_list,
    ".txt": _smiles_list,
}
