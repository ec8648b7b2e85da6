"""Columns become labels: numbers, two classes in whatever words, or a sentence that says why not.

Letters: n rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from molweight.data.columns import is_identifier_name, listed
from molweight.data.label_cells import LabelColumn, is_text
from molweight.data.table_rows import Unclear
from molweight.errors import DataError, option

LIMITS = ("<", ">", "≤", "≥", "~")  # begin a value that is known up to a limit
MARKS = "write decimals with a point and thousands without a mark"
ENOUGH = 10  # labels from which whole numbers that all differ look like identifiers
STAND_INS = (99, 999, 9_999, 99_999)  # with either sign: what people write for a missing measurement
NEGATIVE_WORDS = frozenset(
    ("0", "-", "n", "no", "f", "false", "neg", "negative", "off", "fail", "failed", "low", "absent")
)
"""Words that are class 0 beside any other one."""
NEGATIONS = ("in", "im", "un", "non", "not", "no", "dis")


@dataclass(frozen=True, kw_only=True)
class Target:
    """The labels of one target.

    Args:
        values: [n] float64, NaN = missing.
        kind: ``classification``, ``regression``, or None where they can be either.
        classes: what 0 and 1 stand for, where the table has other words for them.
    """

    values: np.ndarray
    kind: str | None
    classes: tuple[str, str] | None = None


class UnusableColumn(Exception):  # noqa: N818 - a column that nobody asked for is no error
    """Why a column cannot hold labels."""


@dataclass(frozen=True, kw_only=True)
class LabelReader:
    """Decides what the cells of a column mean.

    Args:
        table: what messages call the table.
        lines: [n] of the file.
        task_type: ``classification``, ``regression``, or None to tell from the labels.
        refuse_stand_ins: whether a number such as -999, far from all others, is refused.
        chosen: whether the user has named the targets.
    """

    table: str
    lines: np.ndarray
    task_type: str | None
    refuse_stand_ins: bool
    chosen: bool

    def target(self, column: LabelColumn) -> Target:
        """The labels of a column.

        Raises:
            DataError: a cell is no label, or can be read in two ways; naming it and the cure.
            UnusableColumn: nobody asked for the column and it holds no labels.
        """
        if column.count:
            return self._words(column)
        values = column.values
        if not self.chosen:
            check_no_identifier(column.name, values)
        return self._numbers(column, values)

    def _words(self, column: LabelColumn) -> Target:
        """Two words are two classes; everything else with words in it is no column of labels."""
        assert column.first is not None
        values = column.values
        numbers = int((~np.isnan(values)).sum())
        if not all(map(is_text, (column.first[2], *column.spellings.values()))):
            raise self._no_number(column, "")
        if len(column.rows) == 2 and not numbers and self.task_type != "regression":
            negative, positive = in_order(column.spellings)
            values[np.array(column.rows[negative])], values[np.array(column.rows[positive])] = 0.0, 1.0
            words = (column.spellings[negative], column.spellings[positive])
            return Target(values=values, kind="classification", classes=words)
        if self.chosen or numbers >= column.count:
            raise self._no_number(column, "" if numbers else self._meaning(column))
        raise UnusableColumn("text" if len(column.rows) != 2 or numbers else "two words, beside quantities")

    def _numbers(self, column: LabelColumn, values: np.ndarray) -> Target:
        """Numbers of a classification or a regression; refused where they may be the other, or missing."""
        distinct, counts = np.unique(values[~np.isnan(values)] + 0.0, return_counts=True)  # -0 is 0
        if np.isin(distinct, (0.0, 1.0)).all():
            kind = self.task_type or "classification"
            return Target(values=values, kind=kind if len(distinct) == 2 else None)
        if self.task_type != "regression" and len(distinct) == 2 and counts.sum() > 2:
            return two_classes(values, distinct)
        if self.task_type == "classification":
            raise self._no_class(column, values)
        if self.task_type is None:
            self._check_no_third(column.name, distinct, counts)
        self._check_no_stand_in(column.name, distinct, counts)
        return Target(values=values, kind="regression")

    def _check_no_third(self, name: str, distinct: np.ndarray, counts: np.ndarray) -> None:
        """Refuse two classes with a third value, which may mean that the label is missing.

        Raises:
            DataError: naming all three and the options that decide.
        """
        if len(distinct) != 3 or not (distinct == np.floor(distinct)).all():
            return
        zero_one = np.isin((0.0, 1.0), distinct).all()
        if counts.sum() < ENOUGH and not (zero_one and counts.sum() > 3):
            return
        rarest = f"{distinct[np.argmin(counts)]:g}"
        each = ", ".join(f"{value:g} ({count} rows)" for value, count in zip(distinct, counts, strict=True))
        raise DataError(
            f"{self.table}: column {name!r} holds three values, {each}: are they two classes and a "
            f"missing label, or quantities? Pass {option('dataset.missing_values', f'[{rarest}]')} if "
            f"{rarest} stands for a missing label, or {option('dataset.task_type', 'regression')}"
        )

    def _check_no_stand_in(self, name: str, distinct: np.ndarray, counts: np.ndarray) -> None:
        """Refuse -999 and the like far from all other values: it hardly is a measurement.

        Raises:
            DataError: naming it and the option that decides.
        """
        if not self.refuse_stand_ins or len(distinct) < 3:
            return
        for at, rest in ((0, distinct[1:]), (-1, distinct[:-1])):
            gap, value = abs(distinct[at] - rest[at]), f"{distinct[at]:g}"
            if abs(distinct[at]) in STAND_INS and gap > rest[-1] - rest[0]:
                raise DataError(
                    f"{self.table}: column {name!r} holds {value} ({counts[at]} rows) far from all other "
                    f"values ({rest[0]:g} to {rest[-1]:g})",
                    hint=f"pass {option('dataset.missing_values', f'[{value}]')} if it stands for a missing "
                    f"label, or {option('dataset.missing_values', '[]')} if it was measured",
                )

    def _no_number(self, column: LabelColumn, meaning: str) -> DataError:
        """What is wrong with the first word of a column; ``meaning``: what else its words may be."""
        assert column.first is not None
        row, line, cell = column.first
        where = f"{self.table}: column {column.name!r}, row {row} (line {line})"
        if isinstance(cell, Unclear):
            return DataError(f"{where}: {cell.text!r} is unclear, {cell.reason}; {MARKS}")
        text = str(cell).strip()
        if text.startswith(LIMITS):
            return DataError(
                f"{where}: {cell!r} is not a number; it is a limit (a censored value): write the limit alone "
                "in such cells, or leave them empty, or leave the column out of dataset.targets"
            )
        marks = f"; {MARKS}, or" if "," in text else ";"
        return DataError(
            f"{where}: {cell!r} is not a number{meaning}{marks} leave the cell empty "
            f"for a missing label, pass {option('dataset.missing_values', f'[{text}]')} if it stands for "
            "one, or leave the column out of dataset.targets"
        )

    def _meaning(self, column: LabelColumn) -> str:
        """What the words of a column without numbers may be."""
        if self.task_type == "regression":
            return f", as {option('dataset.task_type', 'regression')} asks for"
        words = listed(column.spellings.values())
        problem = f"{words} stands alone" if len(column.spellings) == 1 else f"there are more: {words}, …"
        return f" (two words are two classes, but {problem})"

    def _no_class(self, column: LabelColumn, values: np.ndarray) -> DataError:
        """What is wrong with the first label of a classification that is neither 0 nor 1."""
        row = int(np.flatnonzero(~np.isnan(values) & (values != 0) & (values != 1))[0])
        value = f"{values[row]:g}"
        return DataError(
            f"{self.table}: column {column.name!r}, row {row + 1} (line {self.lines[row]}): {value!r} is "
            "neither 0 nor 1, the labels of a classification task; leave the cell empty for a missing label, "
            f"pass {option('dataset.missing_values', f'[{value}]')} if it stands for one, or "
            f"{option('dataset.task_type', 'regression')}"
        )


def check_no_identifier(name: str, values: np.ndarray) -> None:
    """Find out a column that numbers its rows.

    Args:
        name: of the column.
        values: [n] float64, NaN = missing.

    Raises:
        UnusableColumn: its values are whole numbers, and all different, or its name says so.
    """
    numbers = values[~np.isnan(values)]
    if not len(numbers) or not (numbers == np.floor(numbers)).all():
        return
    if is_identifier_name(name):
        raise UnusableColumn("an identifier by its name")
    if len(numbers) >= ENOUGH and len(np.unique(numbers)) == len(numbers):
        raise UnusableColumn("whole numbers, all different: an identifier?")


def two_classes(values: np.ndarray, distinct: np.ndarray) -> Target:
    """Labels whose smaller value is class 0 and whose larger one is class 1."""
    low, high = distinct
    labels = np.where(np.isnan(values), np.nan, (values == high).astype(np.float64))
    return Target(values=labels, kind="classification", classes=(f"{low:g}", f"{high:g}"))


def in_order(words: Iterable[str]) -> tuple[str, str]:
    """Two words, the negative one first; else in alphabetical order.

    A word is negative if it is in :data:`NEGATIVE_WORDS`, or if it is the other one negated.

    >>> in_order(["active", "inactive"]), in_order(["yes", "no"]), in_order(["b", "a"])
    (('inactive', 'active'), ('no', 'yes'), ('a', 'b'))
    """
    first, second = sorted(words)
    negated = second.endswith(first) and second.removesuffix(first).strip(" -_") in NEGATIONS
    if second in NEGATIVE_WORDS or (first not in NEGATIVE_WORDS and negated):
        return second, first
    return first, second
