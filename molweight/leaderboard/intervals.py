"""Intervals of one data set's scores, from what its runs predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from molweight.leaderboard.rows import Row, column
from molweight.reporting.leaderboard_json import Intervals
from molweight.training.bootstrap import Array, Predictions, bootstrap, interval, mean_over_runs


def bootstrap_intervals(
    rows: Sequence[Row],
    methods: Sequence[str],
    predictions: Mapping[str, Predictions],
    reference: str | None,
    resamples: int,
) -> dict[str, Intervals]:
    """Intervals over test molecules of each method's mean over seeds, and of its difference to the reference.

    Args:
        rows: of one data set, all with a test score.
        methods: in the rows.
        predictions: by the column ``run``, of the runs whose predictions are known.
        reference: one of the methods, or None.
        resamples: of the test molecules.

    Returns:
        By method ``interval``, ``difference``, ``difference_interval``, None where there is none; and
        ``interval_seeds``, those whose predictions are known: only they are in the intervals.
    """
    means = resampled_means(rows, methods, predictions, resamples)
    scores = {name: column([row for row in rows if row["method"] == name], "test").mean() for name in methods}
    result: dict[str, Intervals] = {}
    for name in methods:
        compared = reference is not None and reference in methods and name != reference
        drawn = compared and name in means and reference in means
        result[name] = {
            "interval": interval(means[name]) if name in means else None,
            "interval_seeds": [r["seed"] for r in rows if r["method"] == name and r["run"] in predictions],
            "difference": float(scores[name] - scores[str(reference)]) if compared else None,
            "difference_interval": interval(means[name] - means[str(reference)]) if drawn else None,
        }
    return result


def resampled_means(
    rows: Sequence[Row], methods: Sequence[str], predictions: Mapping[str, Predictions], resamples: int
) -> dict[str, Array]:
    """Mean score over seeds in every resample [b], of the methods with a run whose predictions are known."""
    known = [row for row in rows if row["run"] in predictions]
    if not known:
        return {}
    values = bootstrap(rows[0]["metric"], [predictions[row["run"]] for row in known], resamples=resamples)
    masks = {name: [row["method"] == name for row in known] for name in methods}
    return {name: mean_over_runs(values[mask]) for name, mask in masks.items() if any(mask)}
