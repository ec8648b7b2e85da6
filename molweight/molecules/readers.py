"""File formats of molecule tables: each becomes column names and rows of cells, with line numbers.

A reader yields ``(line, cells)``: the 1-based line of the file where the row ends (for Parquet and
SDF the 1-based number of the record) and one cell per column.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rdkit import Chem, rdBase

from molweight.errors import DataError

Cell = object  # text, or whatever a Parquet column holds
Rows = Iterator[tuple[int, Sequence[Cell]]]
Reader = Callable[[Path], tuple[list[str], Rows]]

SMILES_HEADERS = {
    "smiles",
    "canonical_smiles",
}  # a first word that makes the first line of a list a header
UNREADABLE = "<unreadable structure>"  # stands in for a molblock that RDKit refuses; it is no SMILES either


def open_rows(path: Path) -> tuple[list[str], Rows]:
    """The column names of a molecule table, and an iterator over its rows.

    Args:
        path: ``.csv``, ``.tsv``, ``.sdf``, ``.smi``, ``.smiles``, ``.txt`` (also with ``.gz``), ``.parquet``.

    Raises:
        DataError: the file is missing, empty, of an unknown format, or not UTF-8 text.
    """
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise DataError(f"{path} {what}: give the path of a table or of a list of SMILES")
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in READERS:
        known = ", ".join(sorted(READERS))
        raise DataError(f"{path}: unknown file type {suffix!r}; expected one of {known} (text also as .gz)")
    return READERS[suffix](path)


def read_text(path: Path) -> str:
    """The text of a file, unpacked if its name ends in ``.gz``, without a byte-order mark.

    Raises:
        DataError: unreadable, damaged, empty, or not UTF-8.
    """
    try:
        content = path.read_bytes()
        if path.name.endswith(".gz"):
            content = gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is not a complete gzip file ({error}): fetch it again") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: not UTF-8 text; save the file with UTF-8 encoding") from error
    if not text.strip():
        raise DataError(f"{path} is empty: expected a header line and one molecule per line")
    return text


def _delimited(delimiter: str) -> Reader:
    """A reader of delimited text whose first non-blank line names the columns."""

    def read(path: Path) -> tuple[list[str], Rows]:
        lines = _csv_rows(path, read_text(path), delimiter)
        _, header = next(lines)
        names = [name.strip() for name in header]
        return names, _same_width(path, names, lines)

    return read


def _csv_rows(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Non-blank rows of delimited text; a quoted cell may span lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not a table ({error})") from error


def _same_width(path: Path, names: list[str], lines: Iterator[tuple[int, list[str]]]) -> Rows:
    """Pass rows on as long as each has one cell per column: a shifted row would carry wrong labels."""
    for line, cells in lines:
        if len(cells) != len(names):
            raise DataError(
                f"{path}, line {line}: {len(cells)} cells where the header names {len(names)} columns; "
                "quote cells that contain the delimiter"
            )
        yield line, list(cells)


def _smiles_list(path: Path) -> tuple[list[str], Rows]:
    """One molecule per line: SMILES, then optionally white space and a name."""
    numbered = enumerate(read_text(path).split("\n"), start=1)
    lines = [(number, [*line.split(maxsplit=1), ""]) for number, line in numbered if line.strip()]
    if lines[0][1][0].lower() in SMILES_HEADERS:
        lines = lines[1:]
    rows = ((number, [parts[0], parts[1].strip()]) for number, parts in lines)
    return ["smiles", "name"], rows


def _parquet(path: Path) -> tuple[list[str], Rows]:
    """A Parquet table, through pandas."""
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except ImportError as error:
        raise DataError(
            f"reading {path} needs pyarrow, which is not installed: pip install pyarrow, or save it as CSV"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable Parquet file: {error}") from error
    rows = zip(*(frame.iloc[:, i].tolist() for i in range(frame.shape[1])), strict=True)
    return [str(name) for name in frame.columns], ((i, list(row)) for i, row in enumerate(rows, start=1))


def _sdf(path: Path) -> tuple[list[str], Rows]:
    """The records of an SD file: ``smiles`` from the structure, other columns from the properties."""
    records = re.split(r"^\$\$\$\$.*\n?", read_text(path).replace("\r\n", "\n"), flags=re.MULTILINE)
    parsed = [_sdf_record(record) for record in records if record.strip()]
    names = list(dict.fromkeys(name for _, properties in parsed for name in properties))
    names = [name for name in names if name != "smiles"]  # the structure is the authority
    rows = (
        (number, [smiles, *(properties.get(name, "") for name in names)])
        for number, (smiles, properties) in enumerate(parsed, start=1)
    )
    return ["smiles", *names], rows


def _sdf_record(record: str) -> tuple[str, dict[str, str]]:
    """SMILES and properties of one record; the properties survive a structure that RDKit refuses."""
    block, end, rest = record.partition("M  END")
    properties = {}
    for item in rest.split("\n>")[1:]:
        head, _, value = item.partition("\n")
        name = head[head.find("<") + 1 : head.rfind(">")]
        properties[name] = value.split("\n\n")[0].strip()
    with rdBase.BlockLogs():
        mol = Chem.MolFromMolBlock(block + end)
    return (str(Chem.MolToSmiles(mol)) if mol is not None else UNREADABLE), properties


READERS: dict[str, Reader] = {
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".parquet": _parquet,
    ".sdf": _sdf,
    ".smi": _smiles_list,
    ".smiles": _smiles_list,
    ".txt": _smiles_list,
}
