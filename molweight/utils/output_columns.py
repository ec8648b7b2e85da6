"""Names of columns that stand beside those of the targets, and targets that could not be told from them.

Whoever writes a column takes its name from here, so that no target can overwrite it.
"""

from __future__ import annotations

from collections.abc import Sequence

from molweight.errors import DataError, option

ROW, SMILES, PART = "row", "smiles", "part"  # of predictions.csv
TEXT = ("input", "status", "reason")  # of predictions and embeddings, behind the row
SIMILARITY = "similarity"
"""Tanimoto similarity to the nearest training molecule."""

TRUE, LOGIT = "_true", "_logit"  # of predictions.csv, behind the name of a target
UNCALIBRATED, STD = "_uncalibrated", "_std"  # of predictions
ENDS = ("_low", "_high")  # of an interval
CLASSES = ("_may_be_0", "_may_be_1")

FIXED = (ROW, SMILES, PART, *TEXT, SIMILARITY)
ENDINGS = (TRUE, LOGIT, UNCALIBRATED, STD, *ENDS, *CLASSES)


def check_target_names(targets: Sequence[str], fixed: Sequence[str] = FIXED) -> None:
    """Refuse targets whose predictions would stand in a column of another meaning.

    Case does not count: much that reads tables does not tell ``Status`` from ``status``.

    Args:
        targets: their names.
        fixed: columns that files have whatever the targets are.

    Raises:
        DataError: naming the target and the column.

    >>> check_target_names(["logD", "Status"])
    Traceback (most recent call last):
    molweight.errors.DataError: a target cannot be called 'Status': files of predictions ...
    """
    taken = {name.casefold(): f"files of predictions have a column {name!r} of their own" for name in fixed}
    derived = [(f"{name}{ending}", name) for name in targets for ending in ENDINGS]
    taken |= {
        name.casefold(): f"files of predictions have a column {name!r} for the target {target!r}"
        for name, target in derived
    }
    for target in targets:
        if reason := taken.get(target.casefold()):
            raise DataError(
                f"a target cannot be called {target!r}: {reason}, which it would overwrite; rename the "
                f"column in the table, such as to {target + ' value'!r}, or leave it out: "
                f"{option('dataset.targets', '[…]')}"
            )
