"""Intervals of one data set's scores, from the runs' ``predictions.csv``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from molweight.leaderboard.bootstrap import Array, Predictions, bootstrap, interval, mean_over_runs
from molweight.leaderboard.rows import Row, column

Summary = dict[str, Any]


def bootstrap_intervals(
    rows: Sequence[Row], methods: Sequence[str], out: Path, reference: str | None, resamples: int
) -> dict[str, Summary]:
    """Intervals over test molecules of each method's mean over seeds, and of its difference to the reference.

    Args:
        rows: of one data set, all with a test score.
        methods: in the rows.
        out: folder that the column ``run`` is relative to.
        reference: one of the methods, or None.
        resamples: of the test molecules.

    Returns:
        By method ``interval``, ``difference``, ``difference_interval``; None where there is none, such as
        where ``predictions.csv`` is missing.
    """
    means = resampled_means(rows, methods, out, resamples)
    scores = {name: column([row for row in rows if row["method"] == name], "test").mean() for name in methods}
    result = {}
    for name in methods:
        compared = reference is not None and reference in methods and name != reference
        drawn = compared and name in means and reference in means
        result[name] = {
            "interval": interval(means[name]) if name in means else None,
            "difference": float(scores[name] - scores[str(reference)]) if compared else None,
            "difference_interval": interval(means[name] - means[str(reference)]) if drawn else None,
        }
    return result


def resampled_means(
    rows: Sequence[Row], methods: Sequence[str], out: Path, resamples: int
) -> dict[str, Array]:
    """Mean score over seeds in every resample [b], of the methods whose runs all have predictions."""
    read = [read_predictions(out / row["run"] / "predictions.csv") for row in rows]
    known = [(row["method"], one) for row, one in zip(rows, read, strict=True) if one is not None]
    lost = {row["method"] for row, one in zip(rows, read, strict=True) if one is None}
    if not known:
        return {}
    values = bootstrap(rows[0]["metric"], [one for _, one in known], resamples=resamples)
    return {
        name: mean_over_runs(values[[method == name for method, _ in known]])
        for name in methods
        if name not in lost
    }


def read_predictions(path: Path) -> Predictions | None:
    """The test part of a run's ``predictions.csv``; None where there is none that can be read."""
    import pandas as pd

    try:
        table = pd.read_csv(path, float_precision="round_trip")
        table = table[table["part"] == "test"]
        targets = [name for name in table.columns if f"{name}_true" in table.columns]
        return Predictions(
            rows=table["row"].to_numpy(np.int64),
            predicted=table[targets].to_numpy(np.float64),
            truth=table[[f"{name}_true" for name in targets]].to_numpy(np.float64),
        )
    except (OSError, ValueError, KeyError):
        return None
