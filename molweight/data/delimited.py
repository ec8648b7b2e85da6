"""Delimited text, CSV and TSV: quotes are closed, the separator and the header are looked at, not assumed."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from molweight.data.decimal_commas import with_decimal_points
from molweight.data.smiles import is_molecule
from molweight.data.table_rows import AllRows, MalformedRow, Notes, Table, empty
from molweight.data.text_files import STDIN, check_is_text, text_lines
from molweight.errors import DataError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
HEAD = 50  # lines in which the separator is looked for
SPANS = "a quoted cell goes on to line {}; if rows of their own stand in it, its quote is not closed"
DOUBLE = 'write "" for a quote inside a cell'
LINE_END = re.compile(r"\r\n|\r|\n")

Lines = Iterator[tuple[int, list[str]]]
"""``(line, cells)``; a blank line has no cells."""


def read_delimited(path: Path, expected: str) -> Table:
    """Delimited text whose first non-blank line names the columns.

    Cells are separated by ``expected``; where that leaves one column, by what most first lines agree on.
    """
    notes = Notes(path)
    check_is_text(path, notes)
    lines = text_lines(path)
    head = list(islice(lines, HEAD))
    delimiter = separator(path, head, expected)
    if delimiter != expected:
        notes.add(f"its cells are separated by {SEPARATORS[delimiter]}")
    return _table(path, _csv_rows(path, chain(head, lines), delimiter, notes), delimiter, notes)


def separator(path: Path, head: list[str], expected: str) -> str:
    """What separates the cells of a table that begins with some lines.

    Raises:
        DataError: it could be one or another.
    """
    agreed, possible = [], []
    for delimiter in SEPARATORS:
        try:
            rows = [row for row in csv.reader(head, delimiter=delimiter) if any(map(str.strip, row))]
        except csv.Error:
            return expected  # a cell is too long, which is said where its line is known
        width, *widths = map(len, rows or [[]])
        if width > 1 and delimiter == expected:
            return expected
        if width > 1 and max(widths, default=width) > 1:
            possible.append(delimiter)
            agreed += [delimiter] if 2 * widths.count(width) >= len(widths) else []
    if len(possible) == len(agreed) < 2:
        return next(iter(agreed), expected)
    which = " or ".join(SEPARATORS[delimiter] for delimiter in possible)
    raise DataError(
        f"{path}: its cells seem to be separated by {which}, but that is not certain; save it with "
        f"{SEPARATORS[expected]}, and every row with as many cells as the header"
    )


def _table(path: Path, lines: Lines, delimiter: str, notes: Notes) -> Table:
    """The table in lines of cells."""
    before: list[tuple[int, list[str]]] = []
    for line, header in lines:
        names = [name.strip() for name in header]
        if any(names):
            break
        before.append((line, header))
    else:
        raise empty(path)
    if any(header for _, header in before):
        notes.add(f"the header is line {line}; the cells of the lines before it are empty")
    if len(names) > 1:
        rows = _same_width(len(names), _without_blank(lines, notes), delimiter)
        if delimiter != "," and path != STDIN:  # else a decimal comma is no number
            again = (cells for _, cells in _csv_rows(path, text_lines(path), delimiter, None))
            rows = with_decimal_points(path, delimiter, names, rows, again, notes)
        return Table(names, rows, notes)
    if is_molecule(names[0]):
        notes.add(f"it has no header: its first row, {names[0]!r}, is a molecule")
        names, lines = ["smiles"], chain(before, [(line, header)], lines)
    return Table(names, _same_width(1, ((line, cells or [""]) for line, cells in lines), delimiter), notes)


def _csv_rows(path: Path, lines: Iterator[str], delimiter: str, notes: Notes | None) -> Lines:
    """Lines of delimited text as cells; a quoted cell may span lines. Without ``notes`` nothing is said.

    Raises:
        DataError: a quote is never closed, or stands where nobody can say what it means.
    """
    record: list[str] = []  # the lines of a row

    def recorded() -> Iterator[str]:
        for line in lines:
            record.append(line)
            yield line

    reader = csv.reader(recorded(), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            last = reader.line_num
            swallowed = any(line.count(delimiter) >= len(cells) - 1 for line in record[1:])
            if notes is not None and (swallowed or len(record) > 2):
                notes.add(f"line {last - len(record) + 1}: {SPANS.format(last)}")
            if cells and cells[0][:1].isspace() and cells[0].lstrip().startswith('"'):
                raise DataError(f"{path}, line {last}: white space before a quote; remove it")
            blank = len(record) == 1 and not record[0].strip() and delimiter not in record[0]
            yield last, [] if blank else cells
            record.clear()
    except csv.Error as error:
        last = reader.line_num
        opened = last - len(record) + 1 + _lines_before_open_quote("".join(record), delimiter)
        raise DataError(f"{path}, line {min(opened, last)}: {_open_quote(str(error), last)}") from error


def _lines_before_open_quote(row: str, delimiter: str) -> int:
    """How many lines of a row end before the cell in which it breaks off."""
    cell = rf'(?:"[^"]*+(?:""[^"]*+)*+"|[^"{delimiter}\r\n][^{delimiter}\r\n]*+)?+'
    whole = re.match(rf"(?:{cell}(?:{delimiter}|\r\n|\r|\n))*+", row)
    return len(LINE_END.findall(whole[0])) if whole else 0


def _open_quote(error: str, line: int) -> str:
    """What is wrong with a quoted cell that opened, and broke off in some line."""
    if "end of data" in error:
        return f"a quote opens here and is never closed; close it, or {DOUBLE}"
    if "expected after" in error:
        return f"the quote that opens here closes in line {line} before other text; {DOUBLE}"
    return f"a cell that begins here does not end in line {line} ({error}); is its quote never closed?"


def _without_blank(lines: Lines, notes: Notes) -> Lines:
    """Rows of several cells; a blank line is none, as for pandas, which is said once."""
    blank, said = 0, False
    for line, cells in lines:
        if not cells:
            blank = blank or line
            continue
        if blank and not said:
            notes.add(f"line {blank}: blank lines are no rows of a table with several columns")
            said = True
        yield line, cells


def _same_width(columns: int, lines: Lines, delimiter: str) -> AllRows:
    """Pass rows on that have one cell per column: a shifted row would carry wrong labels."""
    for line, cells in lines:
        if len(cells) == columns:
            yield line, cells
        else:
            count = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
            reason = f"{count} where the header names {columns} column{'s' if columns > 1 else ''}"
            yield line, MalformedRow(reason, delimiter.join(cells))
