"""Numbers and names as people read them; each is a filter of every template, too."""

from __future__ import annotations

import math

DASH = "–"
"""Stands where there is no value."""


def number(value: float | None) -> str:
    """Three digits behind the point.

    >>> number(0.12345), number(float("nan"))
    ('0.123', '–')
    """
    return DASH if value is None or math.isnan(value) else f"{value:.3f}"


def signed(value: float | None, digits: int = 3) -> str:
    """A difference with its sign."""
    return DASH if value is None or math.isnan(value) else f"{value:+.{digits}f}"


def amount(value: float | None) -> str:
    """A large number without decimals: ``12,345``."""
    return DASH if value is None or math.isnan(value) else f"{value:,.0f}"


def percent(share: float) -> str:
    """``0.912`` as ``91%``."""
    return DASH if math.isnan(share) else f"{share:.0%}"


def p_value(value: float) -> str:
    """Two digits; small ones as a bound."""
    if math.isnan(value):
        return DASH
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def bracket(ends: tuple[float, float] | None) -> str:
    """``[0.790, 0.830]``."""
    return DASH if ends is None or math.isnan(ends[0]) else f"[{number(ends[0])}, {number(ends[1])}]"


def plus_minus(mean: float, sd: float) -> str:
    """A mean and its standard deviation, NaN for one seed.

    >>> plus_minus(0.812, 0.004), plus_minus(0.812, float("nan"))
    ('0.812 ± 0.004', '0.812')
    """
    return number(mean) if math.isnan(sd) else f"{number(mean)} ± {number(sd)}"


def counted(count: int, what: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def line(text: object) -> str:
    """A text on one line of Markdown, so that none of its lines begins a heading or a list."""
    return " ".join(str(text).splitlines())


def cell(text: object) -> str:
    """A text inside a Markdown table."""
    return line(text).replace("|", "\\|")


FILTERS = {
    function.__name__: function
    for function in (number, signed, amount, percent, p_value, bracket, plus_minus, counted, line, cell)
}
