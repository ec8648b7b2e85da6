"""Decimal commas in tables whose cells are separated by something else: read where there is one reading.

``1,5`` is a number with a decimal comma; ``1,234`` may be 1.234 or, with a comma between thousands, 1234, and
``1.234`` likewise. What a column means is told by all of its cells, so the file is read once more, before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from molweight.data.table_rows import AllRows, Cell, MalformedRow, Notes, Unclear
from molweight.data.text_files import text_lines

SOME = re.compile(r'(?:^|[;\t"])\s*[+-]?\d*,\d')  # a line in which a decimal comma may be
NUMBER = re.compile(r"\s*[+-]?(?:\d+|\d*[.,]\d+|\d+[.,])(?:[eE][+-]?\d+)?\s*")
GROUPED = re.compile(r"\s*[+-]?[1-9]\d{0,2}[.,]\d{3}\s*")  # its mark may stand between thousands

Kinds = set[str]
"""What numbers of a column look like: their mark, with ``?`` if it may stand between thousands; ``text``."""


def with_decimal_points(
    path: Path, delimiter: str, names: list[str], rows: AllRows, again: Iterable[list[str]], notes: Notes
) -> AllRows:
    """The rows with a decimal point in the place of decimal commas.

    A number that can be read in two ways becomes :class:`Unclear`.

    Args:
        path: of the file.
        delimiter: of its cells; semicolons stand where people write decimal commas.
        names: of its columns.
        rows: of the file.
        again: the cells of its lines, header and blank lines included.
        notes: which columns have decimal commas is added.
    """
    if delimiter != ";" and not any(SOME.search(line) for line in text_lines(path)):
        return rows
    kinds_by_column: list[Kinds] = [set() for _ in names]
    lines = (line for line in again if len(line) == len(names) and any(map(str.strip, line)))
    for number, cells in enumerate(lines):
        for kinds, cell in zip(kinds_by_column, cells, strict=True):
            if number and cell:  # the first one is the header
                kinds.add(_kind(cell))
    changes = _changes(kinds_by_column, commas_likely=delimiter == ";")
    commas = [names[at] for at, reason in changes.items() if reason is None]
    if commas:
        notes.add(f"decimal commas in {', '.join(map(repr, commas))}")
    return ((line, _changed(cells, changes)) for line, cells in rows)


def _kind(cell: str) -> str:
    """One of :data:`Kinds`; empty for a number without a mark, and for a word without digits."""
    if not NUMBER.fullmatch(cell):
        return "text" if any(map(str.isdigit, cell)) else ""
    mark = next((mark for mark in ",." if mark in cell), "")
    return f"{mark}?" if mark and GROUPED.fullmatch(cell) else mark


def _changes(columns: list[Kinds], *, commas_likely: bool) -> dict[int, str | None]:
    """The columns whose commas become points (None), and those whose numbers have two readings, with why."""
    numeric = {at: kinds for at, kinds in enumerate(columns) if "text" not in kinds}
    everywhere = set[str]().union(*numeric.values())
    changes: dict[int, str | None] = {}
    for at, kinds in numeric.items():
        if kinds & {",", ",?"}:
            if kinds & {".", ".?"}:
                changes[at] = "the column has numbers with commas and with points"
            elif "," in kinds or ("," in everywhere and "." not in everywhere):
                changes[at] = None
            else:
                changes[at] = "its comma may stand before decimals or between thousands"
        elif kinds & {".", ".?"} == {".?"} and (
            everywhere & {",", ",?"} or (commas_likely and "." not in everywhere)
        ):
            changes[at] = "its point may stand before decimals or between thousands"
    return changes


def _changed(
    cells: Iterable[Cell] | MalformedRow, changes: dict[int, str | None]
) -> list[Cell] | MalformedRow:
    """The cells of a row after the changes."""
    if isinstance(cells, MalformedRow):
        return cells
    row = list(cells)
    for at, reason in changes.items():
        cell = str(row[at])
        if not NUMBER.fullmatch(cell) or not re.search("[,.]", cell):
            continue
        row[at] = cell.replace(",", ".") if reason is None else Unclear(cell, reason)
    return row
