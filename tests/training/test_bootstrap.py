"""Resamples of molecules, where they can be counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from molweight.training.bootstrap import Predictions, bootstrap, draws, interval, mean_over_runs, resampled


def run(errors, rows=None):
    errors = np.array(errors, dtype=float)[:, None]
    rows = np.arange(len(errors)) if rows is None else np.array(rows)
    return Predictions(rows=rows, predicted=errors, y_true=np.zeros_like(errors))


def test_two_molecules_have_three_resamples():
    values = bootstrap("mae", [run([0.0, 1.0])], resamples=400)[0]
    assert set(values) == {0.0, 0.5, 1.0}
    assert np.mean(values == 0.5) == pytest.approx(0.5, abs=0.1), "half of the draws take one of each"


def test_the_seed_is_zero_unless_said():
    runs = [run([0.0, 1.0, 3.0])]
    np.testing.assert_array_equal(
        bootstrap("mae", runs, resamples=20), bootstrap("mae", runs, resamples=20, seed=0)
    )


def test_a_resample_holds_as_many_molecules_as_there_are():
    (counts,) = draws(5, 30, seed=1)
    assert counts.shape == (30, 5) and counts.dtype == np.float64 and (counts.sum(axis=1) == 5).all()


def test_draws_come_in_chunks_that_fit(monkeypatch):
    monkeypatch.setattr("molweight.training.bootstrap.CELLS", 10)
    assert [len(chunk) for chunk in draws(5, 5, seed=1)] == [2, 2, 1]
    assert [len(chunk) for chunk in draws(11, 2, seed=1)] == [1, 1], "one at least"


def test_targets_share_the_mean_where_they_are_defined():
    y_true = np.array([[0.0, math.nan, math.nan], [0.0, 0.0, math.nan]])
    predicted = np.array([[1.0, 9.0, 9.0], [3.0, 5.0, 9.0]])
    values = resampled("mae", y_true, predicted, np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]]))
    np.testing.assert_allclose(values, [(2 + 5) / 2, 1.0, (3 + 5) / 2])


def test_targets_of_labels_and_predictions_must_match():
    with pytest.raises(ValueError, match="zip"):
        resampled("mae", np.zeros((2, 2)), np.zeros((2, 1)), np.ones((1, 2)))


def test_the_interval_holds_the_middle_of_the_values():
    values = np.append(np.arange(201.0), [math.nan, math.inf])
    assert interval(values) == pytest.approx((5.0, 195.0))
    assert interval(values, coverage=0.5) == pytest.approx((50.0, 150.0))


def test_a_mean_over_runs_where_all_are_defined_is_plain():
    np.testing.assert_array_equal(mean_over_runs(np.array([[1.0, 2.0], [3.0, 6.0]])), [2.0, 4.0])


def test_logits_rank_where_they_are_known():
    plain = run([0.25, 1.0])
    assert plain.ranked is plain.predicted
    logits = np.array([[-1.0], [40.0]])
    assert replace(plain, logits=logits).ranked is logits


def test_normalised_predictions_are_in_units_of_their_scale():
    both = Predictions(rows=np.arange(1), predicted=np.array([[4.0, 9.0]]), y_true=np.array([[2.0, 3.0]]))
    found = both.normalised(np.array([2.0, math.nan]))
    np.testing.assert_array_equal(found.predicted, [[2.0, math.nan]])
    np.testing.assert_array_equal(found.y_true, [[1.0, math.nan]])
