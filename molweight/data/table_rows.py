"""What a reader of any file format gives: column names, a stream of rows, and notes about the file."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from molweight.errors import DataError

log = logging.getLogger(__name__)

Cell = object  # text, or whatever a Parquet column or a data frame holds
Rows = Iterator[tuple[int, Sequence[Cell]]]
AllRows = Iterator[tuple[int, "Sequence[Cell] | MalformedRow"]]

SMILES_HEADERS = {"smiles", "canonical_smiles"}  # names of a column that say that it holds SMILES
MOST_NOTES = 8  # about one file; the first ones show what is wrong


@dataclass(frozen=True)
class MalformedRow:
    """What stands for the cells of a row that cannot be told apart."""

    reason: str
    text: str
    hint: str = "quote cells that contain the delimiter"


@dataclass(frozen=True)
class Unclear:
    """What stands for a cell whose number can be read in two ways."""

    text: str
    reason: str


class Notes(list[str]):
    """What was guessed or is remarkable about a table, a plain sentence or part of one each.

    Args:
        title: what messages call the table.
    """

    def __init__(self, title: object) -> None:
        super().__init__()
        self.title = str(title)

    def add(self, sentence: str) -> None:
        """Note a sentence and log it; of many only the first ones."""
        if len(self) > MOST_NOTES:
            return
        if len(self) == MOST_NOTES:
            sentence += "; more like this is not listed"
        self.append(sentence)
        log.warning("%s: %s", self.title, sentence)


@dataclass(frozen=True)
class Table:
    """A molecule table whose rows pass by.

    Args:
        names: of the columns.
        rows: ``(line, cells)``, one cell per column.
        notes: about the table; more may join while rows are read.
    """

    names: list[str]
    rows: AllRows
    notes: Notes

    @property
    def title(self) -> str:
        """What messages call the table."""
        return self.notes.title

    def complete_rows(self) -> Rows:
        """The rows, as they pass by.

        Raises:
            DataError: at the first row that does not fit the header.
        """
        for line, cells in self.rows:
            if isinstance(cells, MalformedRow):
                raise DataError(f"{self.title}, line {line}: {cells.reason}; {cells.hint}")
            yield line, cells


def empty(title: object) -> DataError:
    """The error of a file without any row."""
    return DataError(f"{title} is empty: expected a header line and one molecule per line")
