"""What a reader of any file format gives: column names, a stream of rows, and remarks about the file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from molweight.errors import DataError

log = logging.getLogger(__name__)

Cell = object  # text, or whatever a Parquet column or a data frame holds
Rows = Iterator[tuple[int, Sequence[Cell]]]
AllRows = Iterator[tuple[int, "Sequence[Cell] | MalformedRow"]]

SMILES_HEADERS = {  # names of a column that say that it holds SMILES
    "smiles",
    "canonical_smiles",
}
MOST_NOTES = 8  # about one file; the first ones show what is wrong


@dataclass(frozen=True)
class MalformedRow:
    """What stands for the cells of a row that cannot be told apart."""

    reason: str
    text: str
    cure: str = "quote cells that contain the delimiter"


@dataclass(frozen=True)
class Unclear:
    """What stands for a cell whose number can be read in two ways."""

    text: str
    reason: str


@dataclass(frozen=True)
class Table:
    """A molecule table whose rows pass by.

    Args:
        names: of the columns.
        rows: ``(line, cells)``, one cell per column.
        notes: a plain sentence or part of one for each thing that was guessed or is remarkable about the
            file; more may join while rows are read.
    """

    names: list[str]
    rows: AllRows
    notes: list[str] = field(default_factory=list)


Reader = Callable[[Path], Table]


def remark(title: object, notes: list[str] | None, sentence: str) -> None:
    """Note what was guessed or is remarkable about a table, and log it; of many only the first ones.

    Nothing is said without ``notes``.
    """
    if notes is None or len(notes) > MOST_NOTES:
        return
    if len(notes) == MOST_NOTES:
        sentence += "; more like this is not listed"
    notes.append(sentence)
    log.warning("%s: %s", title, sentence)


def empty(path: Path) -> DataError:
    """The error of a file without any row."""
    return DataError(f"{path} is empty: expected a header line and one molecule per line")
