"""Whether single objectives differ by more than seeds: against nested linear models, and on rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from molweight.leaderboard.single_objective_anova import (
    objective_effect,
    single_objective_anova,
    valid_against_test,
)
from molweight.leaderboard.summary import summarise
from molweight.leaderboard.tables import markdown


def by_linear_models(values):
    """p of the F test between the model with seeds alone and the one with objectives too."""
    m, s = values.shape
    rows = [(i, j) for i in range(m) for j in range(s)]
    y = np.array([values[i, j] for i, j in rows])
    seeds = np.array([[float(j == k) for k in range(s)] for _, j in rows])
    objectives = np.array([[float(i == k) for k in range(1, m)] for i, _ in rows])
    left = []
    for design in (seeds, np.hstack([seeds, objectives])):
        fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
        left.append(np.square(y - fitted).sum())
    freedom = (m - 1) * (s - 1)
    f = (left[0] - left[1]) / (m - 1) / (left[1] / freedom)
    return stats.f.sf(f, m - 1, freedom), math.sqrt(left[1] / freedom)


@pytest.mark.parametrize("shape", [(3, 2), (7, 3), (5, 5)])
def test_the_effect_is_that_of_nested_linear_models(shape):
    generator = np.random.default_rng(0)
    values = generator.normal(size=shape) + generator.normal(size=shape[0])[:, None]
    assert objective_effect(values + 10 * generator.normal(size=shape[1])[None, :])[2] < 1
    values = generator.normal(size=shape) + generator.normal(size=shape[1])[None, :]
    between, within, p = objective_effect(values)
    assert (p, within) == pytest.approx(by_linear_models(values), rel=1e-9)
    assert between == pytest.approx(values.mean(axis=1).std(ddof=1))


def test_p_is_uniform_where_nothing_differs_and_small_where_much_does():
    generator = np.random.default_rng(1)
    p = [objective_effect(generator.normal(size=(7, 3)))[2] for _ in range(2000)]
    assert stats.kstest(p, "uniform").pvalue > 0.01
    apart = generator.normal(size=(7, 3)) + 10 * np.arange(7)[:, None]
    assert objective_effect(apart)[2] < 1e-6
    assert math.isnan(objective_effect(np.ones((3, 2)))[2])


def row(method, seed, test, valid, dataset="esol"):
    return {"dataset": dataset, "method": method, "seed": seed, "test": test, "valid": valid}


def test_rows_make_a_section_where_there_are_enough(tmp_path):
    rows = [
        row(f"single:{name}", seed, test=rank + 0.1 * seed + 0.01 * (rank == seed), valid=-rank)
        for rank, name in enumerate("abc")
        for seed in (0, 1)
    ]
    rows += [row("single:a", 2, 9.0, 9.0), row("direct", 0, -50.0, 7.0), row("equal", 0, 1.0, -1.0)]
    (entry,) = single_objective_anova([*rows, row("single:a", 0, 1.0, 1.0, dataset="bbbp")])
    assert entry["dataset"] == "esol" and entry["objectives"] == 3 and entry["seeds"] == [0, 1]
    assert entry["runs"] == 8 and entry["p"] < 0.01  # direct pretrains nothing
    pretrained = [r for r in rows if r["method"] != "direct"]
    expected = stats.spearmanr([r["valid"] for r in pretrained], [r["test"] for r in pretrained]).statistic
    assert entry["valid_test"] == pytest.approx(expected) and entry["valid_test"] < 0
    summary = summarise([], tmp_path, reference=None, resamples=100)
    text = markdown(summary | {"corners": [entry]})
    assert f"| esol | 3 × 2 | {entry['between']:.3f} |" in text and "In 0 of 1 data sets the choice" in text
    assert single_objective_anova(rows[:4]) == [] and "anything to learn" not in markdown(summary)
    assert math.isnan(valid_against_test(rows[:2]))
