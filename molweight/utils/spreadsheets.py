"""Text in CSV files that no spreadsheet runs as a formula."""

from __future__ import annotations

import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a cell that starts with one of these


def no_formula(text: str) -> str:
    """The text, behind an apostrophe where a spreadsheet would take it for a formula.

    Such a text that stands behind apostrophes already gets one more: no two texts become the same.

    >>> no_formula("=1+1"), no_formula("CCO")
    ("'=1+1", 'CCO')
    >>> as_it_was(no_formula("=1+1"))
    '=1+1'
    """
    return f"'{text}" if text.lstrip("'").startswith(FORMULA) else text


def as_it_was(text: str) -> str:
    """What :func:`no_formula` was given."""
    return text[1:] if text[:1] == "'" and text.lstrip("'").startswith(FORMULA) else text


def csv_bytes(table: pd.DataFrame, *, header: bool = True) -> bytes:
    """A table as CSV in UTF-8, without its index, in which no text and no name of a column is a formula.

    NaN is an empty cell; numbers have the fewest digits that give them back; a character that UTF-8 cannot
    hold is an escape.

    >>> csv_bytes(pd.DataFrame({"input": ["=1+1", "CCO"], "y": [0.1, float("nan")]}))
    b"input,y\\n'=1+1,0.1\\nCCO,\\n"
    """
    safe = table.copy(deep=False)
    for name in table.select_dtypes(exclude="number").columns:
        cells = [no_formula(cell) if isinstance(cell, str) else cell for cell in table[name]]
        safe[name] = pd.Series(cells, index=table.index, dtype=object)
    text = safe.rename(columns=no_formula).to_csv(index=False, header=header, lineterminator="\n")
    return text.encode("utf-8", "backslashreplace")
