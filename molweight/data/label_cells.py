"""Cells of a column of labels: numbers, missing ones, and words."""

from __future__ import annotations

import contextlib
import math
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta

import numpy as np
import pandas as pd

from molweight.data.table_rows import Cell

MISSING = {"", "nan", "na", "n/a", "#n/a", "null", "none", "<na>"}  # compared in lower case
FLOAT32_MAX = float(np.finfo(np.float32).max)  # labels are trained on in float32
MARKED_NUMBER = re.compile(r"[<>≤≥~=]*\s*[+-]?[\d.,'’\s]*\d[\d.,'’\s]*(?:[eE][+-]?\d+)?\s*%?")


def number(cell: Cell) -> float:
    """The number in a cell, NaN if the cell says that there is none.

    Raises:
        ValueError: text that is not a finite number within the range of float32.

    >>> number(" 1e3 "), number("n/a")
    (1000.0, nan)
    >>> number("inactive")
    Traceback (most recent call last):
    ValueError: could not convert string to float: 'inactive'
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


class LabelCells:
    """What cells say: a number, that the label is missing, or a word.

    Args:
        missing: texts and numbers that stand for a missing label, besides :data:`MISSING`.
    """

    def __init__(self, missing: Sequence[str] = ()) -> None:
        self.words = {text.strip().lower() for text in missing}
        self.numbers = set[float]()
        for text in missing:
            with contextlib.suppress(ValueError):
                self.numbers.add(number(text))

    def value(self, cell: Cell) -> float:
        """The number, or NaN where the label is missing.

        Raises:
            ValueError: a word.
        """
        if isinstance(cell, str) and cell.strip().lower() in self.words:
            return math.nan
        value = number(cell)
        return math.nan if value in self.numbers else value


@dataclass
class LabelColumn:
    """The cells of one column, as they passed by."""

    name: str
    numbers: array[float] = field(default_factory=lambda: array("d"))
    """[n], NaN where the label is missing or a word."""
    spellings: dict[str, str] = field(default_factory=dict)
    """Word in lower case to its first spelling; at most three are kept."""
    rows: dict[str, array[int]] = field(default_factory=dict)
    """Word to the 0-based rows that hold it, while there are at most two words."""
    count: int = 0
    """Cells with a word."""
    first: tuple[int, int, Cell] | None = None
    """Row from 1, line and cell of the first word."""

    @property
    def values(self) -> np.ndarray:
        """The numbers, [n] float64; NaN where there is none."""
        return np.array(self.numbers)

    def add_word(self, line: int, cell: Cell) -> None:
        """The next cell, which is no number."""
        row = len(self.numbers)
        self.numbers.append(math.nan)
        self.count += 1
        self.first = self.first or (row + 1, line, cell)
        word = cell.strip().lower() if isinstance(cell, str) else repr(cell)
        if word not in self.spellings and len(self.spellings) < 3:
            self.spellings[word] = str(cell).strip()
        if len(self.spellings) < 3:
            self.rows.setdefault(word, array("q")).append(row)
        else:
            self.rows.clear()  # a text: nobody asks where its words are


def is_text(cell: Cell) -> bool:
    """Whether a cell that is no number is a text or a time, rather than a label that cannot be read."""
    if isinstance(cell, str):
        return MARKED_NUMBER.fullmatch(cell.strip()) is None
    return isinstance(cell, date | time | timedelta)
