"""Tests, ranks and agreement between methods: pure functions on arrays.

Letters: s seeds (or data set and seed pairs), m methods, d data sets, k objectives.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from molweight.reporting.leaderboard_json import Spread

Array = NDArray[np.float64]

LEVEL = 0.05  # of every test
MOST_ORDERS = 200_000  # of Friedman's test: a second; enough for 5 methods on 6 data sets, or 8 on 2
ROUNDING = 1e-12  # relative to the largest: differences that are closer are equal


def spread(values: Array) -> Spread:
    """Mean and sample standard deviation (ddof=1, unbiased variance) of finite values [s].

    >>> spread(np.array([1.0, 3.0, math.nan]))
    {'mean': 2.0, 'sd': 1.4142135623730951, 'n': 2}
    """
    known = values[np.isfinite(values)]
    return Spread(
        mean=float(known.mean()) if len(known) else math.nan,
        sd=float(known.std(ddof=1)) if len(known) > 1 else math.nan,
        n=len(known),
    )


def holm(p: Array) -> Array:
    """Holm's step-down correction of p values [m]; NaN stays NaN and does not count.

    The i-th smallest of m is multiplied by m - i + 1, never falling below its predecessor. It holds the
    chance of any false claim under every dependence, and rejects all that Bonferroni rejects.
    Holm, Scandinavian Journal of Statistics 6 (1979).

    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    result = np.full(len(p), math.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    stepped = p[order] * np.arange(len(order), 0, -1)
    result[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return result


def wilcoxon_p(differences: Array) -> float:
    """Two-sided p value of the Wilcoxon signed-rank test that differences [s] lie around zero.

    Chosen for a fixed split: seeds then differ in training noise only, which is independent between seeds
    but of unknown shape, so ranks are used. Differences of zero are dropped (Wilcoxon's rule); the
    distribution is exact up to 50 differences without ties. 1 when all are zero, NaN without differences.
    Differences that differ by rounding only (0.3 - 0.2 and 0.4 - 0.3) are tied.
    Wilcoxon, Biometrics Bulletin 1 (1945); Demsar, JMLR 7 (2006).

    >>> wilcoxon_p(np.array([0.1, 0.2, 0.3, 0.4, 0.5]))
    0.0625
    """
    from scipy.stats import wilcoxon

    known = differences[np.isfinite(differences)]
    if len(known) == 0:
        return math.nan
    scaled = np.rint(known / (np.abs(known).max() or 1.0) / ROUNDING)
    moved = scaled[scaled != 0]
    return float(wilcoxon(moved).pvalue) if len(moved) else 1.0


def smallest_wilcoxon_p(n: int) -> float:
    """The smallest two-sided p value of n differences, all of one sign: 2 / 2^n.

    >>> smallest_wilcoxon_p(5)
    0.0625
    """
    return min(1.0, 2.0 ** (1 - n))


def corrected_t_p(differences: Array, *, n_train: float, n_test: float) -> float:
    """Two-sided p value of the corrected resampled t test on differences [s] over s random splits.

    ``t = mean / sqrt((1/s + n_test/n_train) var)`` with s - 1 degrees of freedom. Chosen where every seed
    has its own split: training sets overlap, so the plain t test counts the same molecules several times and
    claims too much. NaN with fewer than two differences, or where all are the same but not zero: they
    show no spread to judge the mean by. Nadeau and Bengio, Machine Learning 52 (2003).

    Args:
        differences: one for each split, [s].
        n_train: molecules that train, > 0.
        n_test: molecules that test.
    """
    from scipy.stats import t

    known = differences[np.isfinite(differences)]
    if len(known) < 2:
        return math.nan
    if np.ptp(known) <= ROUNDING * np.abs(known).max():
        return math.nan if known.any() else 1.0
    variance = float(known.var(ddof=1)) * (1 / len(known) + n_test / n_train)
    return float(2 * t.sf(abs(known.mean()) / math.sqrt(variance), df=len(known) - 1))


def standardised(reference: Array, other: Array, *, higher_is_better: bool) -> Array:
    """How much better the reference was in each pair [s], in standard deviations of both together.

    Data sets have metrics of different size; ranks across data sets need one scale. The standard deviation
    (ddof=1) of the 2s scores uses nothing but the two methods, so a third one changes no p value.
    """
    gain = reference - other if higher_is_better else other - reference
    deviation = np.concatenate([reference, other]).std(ddof=1)
    return np.asarray(gain / deviation if deviation > 0 else gain, dtype=np.float64)


def ranks(scores: Array, higher_is_better: np.ndarray) -> Array:
    """Ranks [d, m] of scores [d, m] in each data set: 1 for the best, the mean rank for ties.

    Args:
        scores: means over seeds, all finite.
        higher_is_better: by data set, [d] bool.

    >>> ranks(np.array([[0.7, 0.9, 0.7]]), np.array([True])).tolist()
    [[2.5, 1.0, 2.5]]
    """
    from scipy.stats import rankdata

    signed = np.where(np.asarray(higher_is_better)[:, None], -scores, scores)
    return np.asarray(rankdata(signed, axis=1), dtype=np.float64)


def friedman_p(ranked: Array) -> tuple[float, bool]:
    """p value that all methods are alike by Friedman's test, and whether it is exact.

    It comes before any comparison of two ranks. Exact where the permutations can be enumerated, else as Iman
    and Davenport approximate it, which claims too much on small tables.

    Args:
        ranked: ranks [d, m], from :func:`ranks`; at least two data sets and two methods.
    """
    exact = exact_friedman_p(ranked)
    if exact is not None:
        return exact, True
    return iman_davenport_p(ranked.mean(axis=0), len(ranked)), False


def exact_friedman_p(ranked: Array, *, most: int = MOST_ORDERS) -> float | None:
    """p value of Friedman's test by enumeration; None where that takes too long.

    If all methods are alike, every order of the ranks (ties included) within a data set is equally likely.
    Friedman's statistic grows with the sum of squares of the methods' rank sums. So rank sums are added up
    data set by data set, with their probabilities; methods are exchangeable, so only the sorted sums count.
    Friedman, Journal of the American Statistical Association 32 (1937).

    Args:
        ranked: ranks [d, m].
        most: rank sums that are added up for one data set.
    """
    doubled = np.rint(2 * ranked).astype(np.int64)  # whole numbers, ties included
    sums, chance = np.sort(doubled[:1]), np.ones(1)
    for row in doubled[1:]:
        if len(sums) * math.factorial(len(row)) > most:
            return None
        orders = np.array(sorted(set(itertools.permutations(row.tolist()))))
        added = np.sort((sums[:, None] + orders).reshape(-1, len(row)), axis=1)
        sums, place = np.unique(added, axis=0, return_inverse=True)
        chance = np.bincount(place.ravel(), np.repeat(chance, len(orders))) / len(orders)
    observed = np.square(doubled.sum(axis=0)).sum()
    return min(1.0, float(chance[np.square(sums).sum(axis=1) >= observed].sum()))


def iman_davenport_p(average: Array, datasets: int) -> float:
    """p value of Friedman's test, as Iman and Davenport approximate it.

    ``chi2 = 12 N / (k (k + 1)) (sum R^2 - k (k + 1)^2 / 4)``, ``F = (N - 1) chi2 / (N (k - 1) - chi2)`` with
    k - 1 and (k - 1)(N - 1) degrees of freedom; never below ``k!^(1 - N)``, the chance that all data sets
    rank alike. Demsar, JMLR 7 (2006), section 3.2.2.

    Args:
        average: ranks over the data sets, [m], at least two.
        datasets: N, at least two.
    """
    from scipy.stats import f

    k, n = len(average), datasets
    least = math.exp((1 - n) * math.lgamma(k + 1))
    chi2 = 12 * n / (k * (k + 1)) * (float(np.square(average).sum()) - k * (k + 1) ** 2 / 4)
    left = n * (k - 1) - chi2
    if left <= 1e-9:  # every data set ranks them alike
        return least
    return max(least, float(f.sf((n - 1) * chi2 / left, k - 1, (k - 1) * (n - 1))))


def critical_difference(methods: int, datasets: int, *, level: float = LEVEL) -> float:
    """Nemenyi's critical difference of average ranks: ``q sqrt(k (k + 1) / (6 N))``.

    q is the studentised range of k methods with infinite degrees of freedom, over the root of 2. Chosen
    because it compares all pairs and needs ranks only; it is conservative.
    Demsar, JMLR 7 (2006), section 3.2.2.

    >>> round(critical_difference(3, 10), 2)
    1.05
    """
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - level, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * datasets))


def agreement(weights: Array) -> float:
    """Mean cosine between the weights of every two seeds, [s, k], after subtracting the uniform 1/k.

    1 means that all seeds learned the same preferences, 0 that they have nothing in common. Without the
    subtraction every two vectors of positive weights look alike. Runs with all weights equal have no
    direction and do not count; NaN with fewer than two others.

    >>> round(agreement(np.array([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2]])), 3)
    1.0
    """
    centred = weights - 1 / weights.shape[1]
    lengths = np.linalg.norm(centred, axis=1)
    moved = lengths > 1e-9  # float32 weights that are equal differ by less
    directions = centred[moved] / lengths[moved, None]
    cosines = [float(a @ b) for a, b in itertools.combinations(directions, 2)]
    return float(np.mean(cosines)) if cosines else math.nan
