"""Is there anything to learn? Whether it matters which objective is chosen, and whether validation can tell.

The runs of ``single:<objective>`` are the corners of the weights' simplex. Where they do not differ by more
than seeds do, no weighting between them can be expected to. And where validation scores do not rank runs as
test scores do, weights that lower the validation loss need not help the test.

Letters: m objectives, s seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from molweight.leaderboard.rows import Row, unique
from molweight.leaderboard.statistics import ROUNDING, Array
from molweight.methods.registry import parse_method
from molweight.reporting.leaderboard_json import AnovaEntry

FEWEST = 3  # objectives; between two there is a paired test
SINGLE = "single:"


def single_objective_anova(rows: Sequence[Row]) -> list[AnovaEntry]:
    """One entry for each data set with three objectives or more on two seeds or more.

    Args:
        rows: of runs with a score.
    """
    entries = []
    for dataset in unique(row["dataset"] for row in rows):
        dataset_rows = [row for row in rows if row["dataset"] == dataset]
        values, seeds = by_objective(dataset_rows)
        if len(values) < FEWEST or len(seeds) < 2:
            continue
        between, within, p = objective_effect(values)
        entries.append(
            AnovaEntry(
                dataset=dataset,
                objectives=len(values),
                seeds=seeds,
                between=between,
                within=within,
                p=p,
                valid_test=valid_against_test(dataset_rows),
                runs=len(pretrained(dataset_rows)),
            )
        )
    return entries


def by_objective(rows: Sequence[Row]) -> tuple[Array, list[int]]:
    """Test scores [m, s] of single objectives on the seeds that all of them have, and those seeds."""
    scores: dict[str, dict[int, float]] = {}
    for row in rows:
        if row["method"].startswith(SINGLE):
            scores.setdefault(row["method"], {})[row["seed"]] = row["test"]
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in scores.values()))) if scores else []
    values = np.array([[by_seed[seed] for seed in seeds] for by_seed in scores.values()], dtype=np.float64)
    return values, seeds


def objective_effect(values: Array) -> tuple[float, float, float]:
    """Two-way analysis of variance without interaction: objectives as treatments, seeds as blocks.

    Args:
        values: [m, s].

    Returns:
        ``between``: standard deviation of the objectives' means; ``within``: of what neither objective nor
        seed explains; ``p`` of the F test that all objectives are alike (NaN where that is rounding only).
    """
    m, s = values.shape
    means, blocks = values.mean(axis=1), values.mean(axis=0)
    residual = values - means[:, None] - blocks[None, :] + values.mean()
    within = float(np.square(residual).sum() / ((m - 1) * (s - 1)))
    between = float(means.var(ddof=1))
    noise = within > np.square(ROUNDING * np.abs(values).max())
    p = float(stats.f.sf(s * between / within, m - 1, (m - 1) * (s - 1))) if noise else math.nan
    return math.sqrt(between), math.sqrt(within), p


def pretrained(rows: Sequence[Row]) -> list[Row]:
    """The runs that continued pretraining."""
    return [row for row in rows if parse_method(row["method"]).pretrains]


def valid_against_test(rows: Sequence[Row]) -> float:
    """Spearman's correlation of validation and test score over pretrained runs; NaN with fewer than three."""
    pairs = [(row["valid"], row["test"]) for row in pretrained(rows) if row["valid"] is not None]
    if len(pairs) < FEWEST or min(len({pair[i] for pair in pairs}) for i in (0, 1)) < 2:
        return math.nan
    return float(stats.spearmanr(*zip(*pairs, strict=True)).statistic)
