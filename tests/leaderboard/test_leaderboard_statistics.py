"""The leaderboard's numbers: closed forms, published values, and other implementations."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from molweight.leaderboard.statistics import (
    agreement,
    corrected_t_p,
    critical_difference,
    exact_friedman_p,
    friedman_p,
    holm,
    iman_davenport_p,
    ranks,
    smallest_wilcoxon_p,
    spread,
    standardised,
    wilcoxon_p,
)
from molweight.reporting.plots import cliques
from molweight.training.bootstrap import (
    Predictions,
    bootstrap,
    draws,
    interval,
    mean_over_runs,
    resampled,
)
from molweight.training.metrics import METRICS


def test_spread_is_that_of_a_sample():
    assert spread(np.array([1.0, 2.0, 3.0, math.nan])) == {"mean": 2.0, "sd": 1.0, "n": 3}
    assert spread(np.array([1.0, 3.0])) == {"mean": 2.0, "sd": pytest.approx(math.sqrt(2)), "n": 2}
    single, empty = spread(np.array([4.0])), spread(np.array([]))
    assert single["mean"] == 4.0 and math.isnan(single["sd"]) and single["n"] == 1
    assert math.isnan(empty["mean"]) and empty["n"] == 0


def test_holm_by_hand():
    # sorted 0.01 0.02 0.03 0.04: times 4, 3, 2, 1 = 0.04 0.06 0.06 0.04, and never falling
    found = holm(np.array([0.04, 0.01, math.nan, 0.03, 0.02]))
    assert found[[0, 1, 3, 4]] == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert math.isnan(found[2])
    assert holm(np.array([0.6, 0.7])) == pytest.approx([1.0, 1.0])


def test_wilcoxon_by_hand():
    # Ranks of |d| are 1 to 6 and only rank 1 is negative: W = 1, reached by 2 of 64 sign patterns, two-sided
    assert wilcoxon_p(np.array([-0.1, 0.2, 0.3, 0.4, 0.5, 0.6])) == pytest.approx(4 / 64)


def test_wilcoxon_is_scipys():
    # depth of crossed and self-fertilised plants (Darwin), scipy's own example
    depth = np.array([6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75], dtype=float)
    assert wilcoxon_p(depth) == pytest.approx(0.041259765625)


def test_wilcoxon_without_signal_or_data():
    assert wilcoxon_p(np.zeros(4)) == 1.0
    assert math.isnan(wilcoxon_p(np.array([])))
    assert wilcoxon_p(np.array([0.0, math.nan, 1.0, 2.0])) == 0.5, "zeros and gaps are dropped"


@pytest.mark.parametrize("n", [1, 3, 5, 10])
def test_smallest_p_is_reached_when_all_signs_agree(n):
    assert wilcoxon_p(np.arange(1.0, n + 1)) == pytest.approx(smallest_wilcoxon_p(n))
    assert n != 5 or smallest_wilcoxon_p(n) == 0.0625


def test_without_differences_the_smallest_p_is_one():
    assert smallest_wilcoxon_p(0) == 1.0


def test_rounding_breaks_no_ties():
    plus, minus = 0.3 - 0.2, 0.3 - 0.4  # 0.1 and a little less than -0.1
    assert plus != -minus and 0.1 + 0.2 - 0.3 > 0
    assert wilcoxon_p(np.array([plus, minus, 0.4 - 0.3, -0.2])) == wilcoxon_p(np.array([1.0, -1, 1, -2]))
    assert wilcoxon_p(np.array([0.1 + 0.2 - 0.3, 1.0, 2.0])) == 0.5, "zero but for rounding"


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_rounding_is_relative_to_the_largest_difference(unit):
    assert wilcoxon_p(unit * np.array([1e-13, 1.0, 2.0])) == 0.5
    assert wilcoxon_p(unit * np.array([1e-9, 1.0, 2.0])) == 0.25


def test_tied_differences_warn_of_nothing():
    assert 0 < wilcoxon_p(np.array([0.5, 0.5, -0.5, 1.0, 1.0, 2.0])) < 1


def test_corrected_t_by_hand():
    # mean 2, variance 1: t = 2 / sqrt((1/3 + 10/40) 1) = 2.6186, two degrees of freedom
    t = 2 / math.sqrt(1 / 3 + 1 / 4)
    p = 1 - t / math.sqrt(2 + t * t)  # two-sided, closed form for two degrees of freedom
    assert corrected_t_p(np.array([1.0, 2.0, 3.0]), n_train=40, n_test=10) == pytest.approx(p)
    plain = stats.ttest_1samp([1.0, 2.0, 3.0], 0).pvalue
    assert corrected_t_p(np.array([1.0, 2.0, 3.0]), n_train=1, n_test=0) == pytest.approx(plain)
    assert math.isnan(corrected_t_p(np.array([1.0]), n_train=4, n_test=1))
    assert corrected_t_p(np.zeros(3), n_train=4, n_test=1) == 1.0


def test_two_differences_have_a_corrected_t_with_one_degree_of_freedom():
    # mean 2, variance 2: t = 2 / sqrt((1/2 + 1/4) 2), and Cauchy's distribution in closed form
    p = 1 - 2 / math.pi * math.atan(2 / math.sqrt(1.5))
    assert corrected_t_p(np.array([1.0, 3.0]), n_train=4, n_test=1) == pytest.approx(p)


def test_differences_without_any_spread_have_no_corrected_t():
    assert math.isnan(corrected_t_p(np.ones(3), n_train=4, n_test=1))
    rounded = np.array([0.3 - 0.2, 0.4 - 0.3, 0.5 - 0.4])
    assert len(set(rounded)) > 1 and math.isnan(corrected_t_p(rounded, n_train=4, n_test=1))


@pytest.mark.parametrize("factor", [1.0, 1000.0])
def test_standardised_gains_have_no_unit(factor):
    reference, other = factor * np.array([1.0, 2.0]), factor * np.array([3.0, 2.0])
    deviation = np.std([1, 2, 3, 2], ddof=1)
    assert standardised(reference, other, higher_is_better=True) == pytest.approx([-2 / deviation, 0])
    assert standardised(reference, other, higher_is_better=False) == pytest.approx([2 / deviation, 0])
    assert standardised(np.ones(2), np.ones(2), higher_is_better=True).tolist() == [0, 0]


def test_ranks_share_ties_and_know_the_direction():
    scores = np.array([[0.9, 0.8, 0.9], [1.0, 2.0, 3.0]])
    found = ranks(scores, np.array([True, False]))
    assert found.tolist() == [[1.5, 3.0, 1.5], [1.0, 2.0, 3.0]]


def test_iman_and_davenport_are_the_published_ones():
    """Demsar (2006), section 3.2.2: four methods, 14 data sets, F = 3.69 with 3 and 39 degrees of freedom."""
    average = np.array([3.143, 2.000, 2.893, 1.964])
    assert iman_davenport_p(average, 14) == pytest.approx(stats.f.sf(3.69, 3, 39), rel=0.02)


@pytest.mark.parametrize(
    ("datasets", "methods", "p"), [(2, 2, 1 / 2), (2, 3, 1 / 6), (3, 3, 1 / 36), (2, 7, 1 / 5040)]
)
def test_friedman_of_data_sets_that_rank_alike(datasets, methods, p):
    alike = np.tile(np.arange(1.0, methods + 1), (datasets, 1))
    assert friedman_p(alike) == (pytest.approx(p), True)
    assert iman_davenport_p(alike[0], datasets) == pytest.approx(p), "an approximation is no lower"


def test_friedman_of_methods_that_tie_or_take_turns():
    assert friedman_p(np.full((5, 3), 2.0)) == (1.0, True)
    assert friedman_p(np.array([[1.0, 2, 3], [2, 3, 1], [3, 1, 2]])) == (pytest.approx(1.0), True)
    assert friedman_p(np.full((6, 17), 9.0)) == (1.0, False)


def test_friedman_on_large_tables_is_approximated_and_never_zero():
    alike = np.tile(np.arange(1.0, 18), (6, 1))
    p, exact = friedman_p(alike)
    assert not exact and 0 < p == pytest.approx(math.factorial(17) ** -5.0)


def friedman_by_enumeration(scores):
    """The share of all orders within the rows whose statistic is that of the scores or larger; scipy's."""

    def statistic(rows):
        with np.errstate(divide="ignore", invalid="ignore"):
            return stats.friedmanchisquare(*np.array(rows).T).statistic

    rows = [list(itertools.permutations(row)) for row in scores.tolist()]
    orders = [statistic(choice) for choice in itertools.product(rows[0][:1], *rows[1:])]
    return np.mean(np.array(orders) >= statistic(scores) - 1e-9)


@pytest.mark.parametrize(("shape", "levels"), [((4, 3), 3), ((3, 3), 9), ((3, 4), 3), ((2, 5), 4)])
def test_friedman_is_the_enumeration_of_scipys_statistic(shape, levels):
    scores = np.random.default_rng(7).integers(levels, size=shape).astype(float)
    ranked = ranks(scores, np.zeros(len(scores), bool))
    assert friedman_p(ranked) == (pytest.approx(friedman_by_enumeration(scores)), True)


def test_friedman_keeps_the_halves_of_shared_ranks():
    ranked = np.array([[2.5, 2.5, 4.0, 1.0], [3.0, 3.0, 3.0, 1.0], [3.5, 3.5, 1.0, 2.0]])
    assert exact_friedman_p(ranked) == pytest.approx(friedman_by_enumeration(ranked))
    assert exact_friedman_p(ranked) == pytest.approx(1 / 4)


@pytest.mark.parametrize("wins", [5, 7, 9])
def test_friedman_of_two_methods_is_the_sign_test(wins):
    scores = np.array([[1.0, 0.0]] * wins + [[0.0, 1.0]] * (9 - wins))
    expected = stats.binomtest(wins, 9).pvalue
    assert friedman_p(ranks(scores, np.ones(9, bool))) == (pytest.approx(expected), True)


def test_the_approximation_and_the_enumeration_meet_on_many_data_sets():
    scores = np.random.default_rng(3).normal(size=(20, 3)) + np.array([0, 0.3, 0.6])
    ranked = ranks(scores, np.zeros(20, bool))
    p = exact_friedman_p(ranked)
    assert iman_davenport_p(ranked.mean(axis=0), 20) == pytest.approx(p, rel=0.15)
    assert exact_friedman_p(ranked, most=100) is None
    assert exact_friedman_p(ranked[:2], most=6) is not None, "three methods have six orders"
    assert exact_friedman_p(ranked[:2], most=5) is None


def test_iman_and_davenport_just_above_their_limit():
    # ranks 1 2 3 and 1 2.5 2.5: chi2 = 3.25 of at most 4, and with two and two degrees of freedom
    # p = 1 - chi2 / 4, a little above the 1/3! of two data sets that rank alike
    assert iman_davenport_p(np.array([1.0, 2.25, 2.75]), 2) == pytest.approx(0.75 / 4)


def test_iman_and_davenport_correct_scipys_chi_squared():
    scores = np.random.default_rng(3).normal(size=(9, 4)) + np.array([0, 0.5, 0, 1])
    statistic = stats.friedmanchisquare(*scores.T).statistic
    average = ranks(scores, np.zeros(9, bool)).mean(axis=0)
    expected = stats.f.sf(8 * statistic / (9 * 3 - statistic), 3, 24)
    assert iman_davenport_p(average, 9) == pytest.approx(expected, rel=1e-9)


def test_critical_difference_is_the_published_one():
    # Demsar 2006, section 3.2.2: four classifiers, 14 data sets, 2.569 sqrt(4 5 / (6 14)) = 1.25
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert critical_difference(4, 14, level=0.10) == pytest.approx(1.12, abs=0.005)
    assert critical_difference(2, 6) == pytest.approx(1.960 * math.sqrt(1 / 6), abs=1e-3)


def test_cliques_are_the_largest_groups():
    assert cliques(np.array([1.0, 1.5, 2.0, 4.0]), 0.8) == [(0, 1), (1, 2)]
    assert cliques(np.array([1.0, 1.5, 2.0, 4.0]), 1.1) == [(0, 2)]
    assert cliques(np.array([1.0, 3.0]), 1.0) == []
    assert cliques(np.array([1.5, 1.5]), 1.0) == [(0, 1)]


def test_agreement_by_hand():
    third = 1 / 3
    up = [third + 0.2, third - 0.1, third - 0.1]
    down = [third - 0.2, third + 0.1, third + 0.1]
    aside = [third, third + 0.1, third - 0.1]  # at right angles to both
    assert agreement(np.array([up, up])) == pytest.approx(1)
    assert agreement(np.array([up, down])) == pytest.approx(-1)
    assert agreement(np.array([up, up, aside])) == pytest.approx(1 / 3)
    assert math.isnan(agreement(np.array([up, [third] * 3]))), "equal weights have no direction"


def example(metric, n=40, targets=3, seed=0):
    """Truth with gaps, and predictions with ties."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(size=(n, targets))
    predicted = np.round(truth + generator.normal(size=truth.shape), 1)
    if METRICS[metric].kind != "regression":
        truth = (truth > 0.5).astype(float)
    if METRICS[metric].kind == "multiclass":
        predicted = (predicted > 0.5).astype(float)
    truth[generator.random(truth.shape) < 0.2] = math.nan
    return truth, predicted


@pytest.mark.parametrize("metric", [name for name, metric in METRICS.items() if metric.resampled])
def test_formulas_over_resamples_are_the_metrics_of_repeated_molecules(metric):
    truth, predicted = example(metric)
    counts = np.concatenate(list(draws(len(truth), 50, seed=1)))
    known = ~np.isnan(truth[:, 0])
    one_by_one = replace(METRICS[metric], resampled=None)
    expected = one_by_one.over_resamples(truth[known, 0], predicted[known, 0], counts[:, known])
    found = METRICS[metric].over_resamples(truth[known, 0], predicted[known, 0], counts[:, known])
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_every_molecule_once_is_the_score_of_a_run(metric):
    import torch

    from molweight.training.metrics import score

    truth, predicted = example(metric)
    found = resampled(metric, truth, predicted, np.ones((1, len(truth))))
    assert found[0] == pytest.approx(score(metric, *map(torch.tensor, (predicted, truth)), "abc").value)


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision"])
def test_one_class_is_undefined_and_dropped(metric):
    truth = np.array([[1.0, 1.0], [0.0, 1.0], [math.nan, 1.0]])
    predicted = np.array([[0.9, 0.2], [0.1, 0.3], [0.5, 0.4]])
    counts = np.array([[1.0, 1, 1], [2, 0, 1], [0, 3, 0], [0, 0, 3]])
    values = resampled(metric, truth, predicted, counts)
    assert values[0] == 1.0 and np.isnan(values[1:]).all()
    assert interval(values) == (1.0, 1.0)
    assert np.isnan(interval(values[1:])).all()


def test_interval_covers_what_theory_says():
    # Half of the squared errors are 0, half 1: n times their mean in a resample is Binomial(n, 1/2)
    n = 400
    errors = np.tile([0.0, 1.0], n // 2)[:, None]
    run = Predictions(rows=np.arange(n), predicted=errors, y_true=np.zeros((n, 1)))
    low, high = interval(bootstrap("rmse", [run], resamples=4000)[0] ** 2)
    expected = stats.binom(n, 0.5).ppf([0.025, 0.975]) / n
    assert (low, high) == pytest.approx(tuple(expected), abs=0.006)  # two steps of the binomial, 1/400 each


def test_one_molecule_has_no_interval():
    run = Predictions(rows=np.array([7]), predicted=np.array([[1.0]]), y_true=np.array([[2.0]]))
    assert np.isnan(interval(bootstrap("rmse", [run, run], resamples=20)[0])).all()


def test_draws_are_paired_reproducible_and_independent_of_chunks(monkeypatch):
    truth, predicted = example("rmse")
    run = Predictions(rows=np.arange(40), predicted=predicted, y_true=truth)
    shuffled = Predictions(rows=np.arange(40)[::-1], predicted=predicted[::-1], y_true=truth[::-1])
    values = bootstrap("rmse", [run, shuffled], resamples=100, seed=3)
    np.testing.assert_allclose(values[0], values[1], rtol=1e-12)
    np.testing.assert_array_equal(values, bootstrap("rmse", [run, shuffled], resamples=100, seed=3))
    monkeypatch.setattr("molweight.training.bootstrap.CELLS", 40 * 7)
    again = bootstrap("rmse", [run, shuffled], resamples=100, seed=3)
    np.testing.assert_allclose(values, again, rtol=1e-12)  # sums of another shape round differently
    assert not np.array_equal(values, bootstrap("rmse", [run, shuffled], resamples=100, seed=4))


def test_runs_with_other_test_molecules_see_their_share():
    truth, predicted = example("mae", targets=1)
    parts = [
        Predictions(rows=np.arange(40)[s], predicted=predicted[s], y_true=truth[s])
        for s in (slice(0, 25), slice(15, 40))
    ]
    values = bootstrap("mae", parts, resamples=300)
    assert values.shape == (2, 300) and np.isfinite(values).all()
    shared = np.corrcoef(values)[0, 1]
    assert 0.05 < shared < 0.95, "ten molecules of 25 are drawn for both"


def test_means_over_runs_skip_what_is_undefined():
    values = np.array([[1.0, math.nan, math.nan], [3.0, 2.0, math.nan]])
    np.testing.assert_array_equal(mean_over_runs(values), [2.0, 2.0, math.nan])
