"""Labels of many targets as lines of text: one for each target, or least, median and most over all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from statistics import median_low

from molweight.data.summary import ClassBalance, Labels
from molweight.utils.terminal import columns, shortened

Measure = tuple[str, Callable[[float], object]]
"""A number of a target, which has the same name in its summary, and how the number is written."""


def _share(value: float) -> str:
    """A share in per cent; ``-`` where there is none."""
    return "-" if value != value else f"{value:.1%}"


def _real(value: float) -> str:
    """A number in four digits; ``-`` where there is none."""
    return "-" if value != value else f"{value:.4g}"


OF_CLASSES: list[Measure] = [("positives", int), ("negatives", int), ("missing", int), ("positive", _share)]
OF_NUMBERS: list[Measure] = [
    ("missing", int),
    ("mean", _real),
    ("std", _real),
    ("min", _real),
    ("max", _real),
]


def _measures(labels: Labels) -> list[Measure]:
    """What is told about a target, and compared between targets."""
    return OF_CLASSES if isinstance(labels[0], ClassBalance) else OF_NUMBERS


def table(labels: Labels) -> list[str]:
    """One line for each target."""
    measures = _measures(labels)
    width = 38 if measures is OF_CLASSES else 28  # of a target's name, so that a line has 80 characters
    rows: list[Sequence[object]] = [("target", *(name for name, _ in measures))]
    for item in labels:
        numbers = (form(getattr(item, name)) for name, form in measures)
        rows.append((shortened(item.name, width), *numbers))
    return columns(rows, align="<" + ">" * len(measures))


def overview(labels: Labels) -> list[str]:
    """Least, median and most over the targets."""
    rows: list[Sequence[object]] = [(f"{len(labels):,} targets", "least", "median", "most")]
    for name, form in _measures(labels):
        values = sorted(map(attrgetter(name), (item for item in labels if item.labelled)))
        rows.append((f"  {name}", *map(form, (values[0], median_low(values), values[-1]))))
    lines = columns(rows, align="<>>>")
    single = sum(item.extremity == 0 for item in labels if isinstance(item, ClassBalance))
    empty = sum(item.labelled == 0 for item in labels)
    if single:
        lines.append(f"without both classes: {single:,}")
    if empty:
        lines.append(f"without any label, not counted above: {empty:,}")
    return lines


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
