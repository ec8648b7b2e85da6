"""Labels of many targets as lines of text: one for each target, or least, median and most over all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median_low
from typing import Any

from molweight.data.summary import ClassBalance, Labels
from molweight.utils.terminal import columns, shortened

NAMES = {True: 38, False: 28}  # characters of a target's name beside class counts, beside five numbers


def table(labels: Labels) -> list[str]:
    """One line for each target."""
    rows: list[Sequence[object]] = []
    for item in labels:
        name = shortened(item.name, NAMES[isinstance(item, ClassBalance)])
        if isinstance(item, ClassBalance):
            rows.append((name, item.positives, item.negatives, item.missing, _share(item)))
        else:
            rows.append((name, item.missing, *map(_real, (item.mean, item.std, item.min, item.max))))
    head = _columns_of(labels)
    return columns([("target", *head), *rows], align="<" + ">" * len(head))


def _columns_of(labels: Labels) -> tuple[str, ...]:
    """Headings of what is told about a target."""
    if isinstance(labels[0], ClassBalance):
        return ("positives", "negatives", "missing", "positive")
    return ("missing", "mean", "std", "min", "max")


def overview(labels: Labels) -> list[str]:
    """Least, median and most over the targets."""
    rows: list[Sequence[object]] = [(f"{len(labels):,} targets", "least", "median", "most")]
    for heading, value, form in _measures(labels):
        values = sorted(value(item) for item in labels if item.labelled)
        rows.append((f"  {heading}", *map(form, (values[0], median_low(values), values[-1]))))
    lines = columns(rows, align="<>>>")
    single = sum(item.extremity == 0 for item in labels if isinstance(item, ClassBalance))
    empty = sum(item.labelled == 0 for item in labels)
    if single:
        lines.append(f"without both classes: {single:,}")
    if empty:
        lines.append(f"without any label, not counted above: {empty:,}")
    return lines


def _measures(labels: Labels) -> list[tuple[str, Callable[[Any], Any], Callable[[Any], object]]]:
    """What is compared between targets: heading, the number, how it is written."""
    if isinstance(labels[0], ClassBalance):
        return [
            ("positives", lambda item: item.positives, int),
            ("negatives", lambda item: item.negatives, int),
            ("missing", lambda item: item.missing, int),
            ("positive", lambda item: item.positives / item.labelled, lambda share: f"{share:.1%}"),
        ]
    return [
        ("missing", lambda item: item.missing, int),
        ("mean", lambda item: item.mean, _real),
        ("std", lambda item: item.std, _real),
        ("min", lambda item: item.min, _real),
        ("max", lambda item: item.max, _real),
    ]


def extremes(labels: Labels, *, few: int) -> list[list[str]]:
    """Tables of the targets that are hardest to learn from, each under a heading."""
    heading = (
        "fewest labels of the rarer class"
        if isinstance(labels[0], ClassBalance)
        else "label farthest from the mean, in standard deviations"
    )
    blocks = [[heading, *table(sorted(labels, key=lambda item: -item.extremity)[:few])]]
    if any(item.missing for item in labels):
        blocks.append(["most missing labels", *table(sorted(labels, key=lambda item: -item.missing)[:few])])
    return blocks


def _share(item: ClassBalance) -> str:
    """Positives among the labels."""
    return f"{item.positives / item.labelled:.1%}" if item.labelled else "-"


def _real(value: float) -> str:
    """A number in four digits; ``-`` where there is none."""
    return "-" if value != value else f"{value:.4g}"
