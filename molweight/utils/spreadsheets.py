"""Text in CSV files that no spreadsheet runs as a formula."""

from __future__ import annotations

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
