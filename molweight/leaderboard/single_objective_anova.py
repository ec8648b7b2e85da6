"""Is there anything to learn? Whether it matters which objective is chosen, and whether validation can tell.

The runs of ``single:<objective>`` are the corners of the weights' simplex. Where they do not differ by more
than seeds do, no weighting between them can be expected to. And where validation scores do not rank runs as
test scores do, weights that lower the validation loss need not help the test.

Letters: m objectives, s seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from molweight.leaderboard.rows import Row, unique
from molweight.leaderboard.statistics import LEVEL, ROUNDING, Array
from molweight.methods.registry import parse_method
from molweight.reporting.markdown import number, table

FEWEST = 3  # objectives; between two there is a paired test
SINGLE = "single:"


def single_objective_anova(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One entry for each data set with three objectives or more on two seeds or more.

    Args:
        rows: of runs with a score.
    """
    analyses = []
    for dataset in unique(row["dataset"] for row in rows):
        rows_of_set = [row for row in rows if row["dataset"] == dataset]
        values, seeds = by_objective(rows_of_set)
        if len(values) < FEWEST or len(seeds) < 2:
            continue
        effect = objective_effect(values)
        analyses.append(
            {
                "dataset": dataset,
                "objectives": len(values),
                "seeds": seeds,
                **effect,
                "valid_test": valid_against_test(rows_of_set),
                "runs": len(pretrained(rows_of_set)),
            }
        )
    return analyses


def by_objective(rows: Sequence[Row]) -> tuple[Array, list[int]]:
    """Test scores [m, s] of single objectives on the seeds that all of them have, and those seeds."""
    scores: dict[str, dict[int, float]] = {}
    for row in rows:
        if row["method"].startswith(SINGLE):
            scores.setdefault(row["method"], {})[row["seed"]] = row["test"]
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in scores.values()))) if scores else []
    values = np.array([[by_seed[seed] for seed in seeds] for by_seed in scores.values()], dtype=np.float64)
    return values, seeds


def objective_effect(values: Array) -> dict[str, float]:
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
    return {"between": math.sqrt(between), "within": math.sqrt(within), "p": p}


def pretrained(rows: Sequence[Row]) -> list[Row]:
    """The runs that continued pretraining."""
    return [row for row in rows if parse_method(row["method"]).pretrains]


def valid_against_test(rows: Sequence[Row]) -> float:
    """Spearman's correlation of validation and test score over pretrained runs; NaN with fewer than three."""
    pairs = [(row["valid"], row["test"]) for row in pretrained(rows) if row["valid"] is not None]
    if len(pairs) < FEWEST or min(len({pair[i] for pair in pairs}) for i in (0, 1)) < 2:
        return math.nan
    return float(stats.spearmanr(*zip(*pairs, strict=True)).statistic)


def anova_section(analyses: Sequence[dict[str, Any]]) -> list[str]:
    """The section of the page; nothing without entries."""
    if not analyses:
        return []
    rows = [
        (
            analysis["dataset"],
            f"{analysis['objectives']} × {len(analysis['seeds'])}",
            number(analysis["between"]),
            number(analysis["within"]),
            number(analysis["p"]),
            f"{analysis['valid_test']:+.2f} ({analysis['runs']})",
        )
        for analysis in analyses
    ]
    head = ("data set", "objectives × seeds", "between", "within", "p", "validation and test")
    alike = sum(not analysis["p"] < LEVEL for analysis in analyses)
    return [
        "## Is there anything to learn?",
        "",
        *table(head, rows),
        "",
        "The single objectives are the corners of all weightings. *between*: standard deviation of their "
        "mean test scores; *within*: that of one run once objective and seed are known; p: that all of them "
        "are alike, from a two-way analysis of variance. "
        f"In {alike} of {len(analyses)} data sets the choice of the objective is not told from noise. "
        "*validation and test*: Spearman's correlation of both scores over all runs with continued "
        "pretraining (their number); where it is not positive, what helps validation need not help the test.",
    ]
