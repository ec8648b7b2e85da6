"""Conformal intervals and class sets from their definition, by ranks that are counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from molweight.errors import ConfigError
from molweight.training.conformal import check_confidence, class_sets, covered, intervals, nonconformity

NAN = math.nan


@pytest.mark.parametrize(
    ("confidence", "n", "half"),
    [
        (0.8, 9, 8.0),  # the ceil(0.8 * 10)-th smallest error
        (0.81, 9, 9.0),
        (0.9, 9, 9.0),  # the largest: the last that is finite
        (0.91, 9, math.inf),
        (0.55, 19, 11.0),  # 0.55 * 20 is 11.000000000000002
    ],
)
def test_half_an_interval_is_the_error_of_its_rank(confidence, n, half):
    errors = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    signs = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    predicted = np.full(n + 1, 3.0)
    y_true = np.append(predicted[:n] + signs * errors, NAN)  # what is missing does not count
    found = intervals(predicted, y_true, np.array([10.0, -1.0]), confidence)
    np.testing.assert_array_equal(found, [[10 - half, 10 + half], [-1 - half, -1 + half]])


@pytest.mark.parametrize(
    ("confidence", "probability", "expected"),
    [  # p of class 0: (1 + how many of 0.1 ... 0.9 are as large) / 10; p of class 1: 1 from 0.5 on, else 1/5
        (0.8, 0.85, [1, 1]),
        (0.7, 0.8, [1, 1]),  # a tie counts, and 3 >= (1 - 0.7) * 10, which is 3.0000000000000004
        (0.7, 0.81, [0, 1]),
        (0.9, 0.95, [1, 1]),
        (0.79, 0.95, [0, 1]),
        (0.8, 0.05, [1, 1]),
        (0.7, 0.05, [1, 0]),
        (0.7, 0.5, [1, 1]),
    ],
)
def test_a_class_is_in_the_set_where_its_p_value_allows(confidence, probability, expected):
    predicted = np.concatenate([np.arange(1, 10) / 10, np.full(4, 0.5), [0.99]])
    y_true = np.array([0.0] * 9 + [1.0] * 4 + [NAN])
    assert class_sets(predicted, y_true, np.array([probability]), confidence).tolist() == [expected]


def test_a_class_without_samples_is_in_every_set():
    sets = class_sets(np.full(9, 0.1), np.zeros(9), np.array([0.9, 0.1]), 0.8)
    assert sets.tolist() == [[0, 1], [1, 1]]


def test_samples_look_like_a_class_that_is_probable():
    assert nonconformity(np.array([0.25]), 0) == 0.25 and nonconformity(np.array([0.25]), 1) == 0.75


def test_cover_of_intervals_counts_their_ends_and_skips_missing_labels():
    y_true = np.array([1.0, 2.0, 3.0, 0.0, NAN])
    ends = np.array([[1.0, 4.0], [0.0, 2.0], [4.0, 5.0], [-3.0, -1.0], [0.0, 100.0]])
    assert covered(y_true, ends, classification=False) == (0.5, 2.0)


def test_cover_of_class_sets_reads_the_column_of_the_true_class():
    y_true = np.array([0.0, 1.0, 1.0, 0.0, NAN])
    sets = np.array([[1.0, 0], [1, 0], [0, 1], [1, 1], [0, 0]])
    assert covered(y_true, sets, classification=True) == (0.75, 1.25)


@pytest.mark.parametrize("classification", [True, False])
def test_nothing_known_covers_nothing(classification):
    share, size = covered(np.array([NAN]), np.ones((1, 2)), classification=classification)
    assert math.isnan(share) and math.isnan(size)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -0.5, 1.5, NAN])
def test_a_confidence_that_is_no_share_is_refused(confidence):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        check_confidence(confidence)


@pytest.mark.parametrize("confidence", [0.001, 0.999])
def test_every_share_is_a_confidence(confidence):
    check_confidence(confidence)
