"""Temperatures against an independent library, and where there is nothing to fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from sklearn.linear_model import LogisticRegression

from molweight.training.calibration import (
    RANGE,
    SATURATED,
    calibration_error,
    fit_temperatures,
    reliability,
    scaled,
)


def logits_and_labels(temperature, count=400, seed=0):
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, count)
    labels = (generator.uniform(size=count) < 1 / (1 + np.exp(-logits / temperature))).astype(float)
    return torch.from_numpy(logits), torch.from_numpy(labels)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_temperature_is_the_inverse_slope_of_a_logistic_regression(temperature):
    logits, labels = logits_and_labels(temperature)
    slope = LogisticRegression(C=math.inf, fit_intercept=False, tol=1e-10).fit(logits[:, None], labels).coef_
    found = fit_temperatures(logits[:, None], labels[:, None])
    assert found == pytest.approx([1 / slope.item()], rel=1e-3)


def test_the_loss_is_flat_at_the_temperature():
    logits, labels = logits_and_labels(2.0)
    (found,) = fit_temperatures(logits[:, None], labels[:, None])
    slope = ((labels - (logits / found).sigmoid()) * logits).mean()
    assert abs(slope.item()) < 1e-4


def test_targets_have_their_own_and_missing_labels_do_not_count():
    logits, labels = logits_and_labels(2.0)
    gaps = torch.where(torch.arange(400) % 2 == 0, labels, math.nan)
    found = fit_temperatures(logits[:, None].expand(-1, 2), torch.stack([labels, gaps], dim=1))
    alone = fit_temperatures(logits[::2, None], labels[::2, None])
    assert found[1] == pytest.approx(alone[0]) and found[0] != found[1]


@pytest.mark.parametrize("label", [0.0, 1.0, math.nan])
def test_one_class_has_none(label):
    assert fit_temperatures(torch.randn(9, 1), torch.full((9, 1), label)) == [1.0]


def test_limits_hold_where_no_mistake_is_made():
    logits, labels = torch.tensor([[-0.4], [0.4]]), torch.tensor([[0.0], [1.0]])
    assert fit_temperatures(logits, labels) == pytest.approx([1 / RANGE], rel=1e-3)
    assert fit_temperatures(logits, 1 - labels) == pytest.approx([RANGE], rel=1e-3)
    certain = fit_temperatures(torch.tensor([[-16.0], [16.0], [16.0]]), torch.tensor([[0.0], [1.0], [0.0]]))
    assert 1 < certain[0] <= RANGE * 1.001


@pytest.mark.parametrize(("temperature", "seed"), [(2.0, 1), (2.0, 3), (5.0, 0)])
def test_a_temperature_is_found_to_a_millionth(temperature, seed):
    logits, labels = logits_and_labels(temperature, seed=seed)

    def slope(temperature):
        return ((labels - (logits / temperature).sigmoid()) * logits).sum().item()

    (found,) = fit_temperatures(logits[:, None], labels[:, None])
    assert found == pytest.approx(brentq(slope, 0.1, 10.0, xtol=1e-12), rel=1e-6)


def test_every_target_needs_labels():
    with pytest.raises(ValueError, match="zip"):
        fit_temperatures(torch.zeros(3, 2), torch.zeros(3, 1))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_scaled_probabilities_are_those_of_divided_logits(temperature):
    logits = np.array([-8.0, -0.3, 0.0, 2.0, 15.0])
    found = scaled(1 / (1 + np.exp(-logits)), temperature)
    assert found == pytest.approx(1 / (1 + np.exp(-logits / temperature)), rel=1e-9)


def test_certainty_is_scaled_as_if_it_were_nearly_certain():
    odds = SATURATED / (1 - SATURATED)
    low, high = scaled(np.array([0.0, 1.0]), 2.0)
    assert low == pytest.approx(odds**0.5 / (1 + odds**0.5)) and high == pytest.approx(1 - low)
    assert scaled(np.array([2 * SATURATED]), 1.0) == pytest.approx(2 * SATURATED), "not at the limit"


def test_bins_are_of_equal_width_and_the_last_one_holds_certainty():
    probability = np.array([0.0, 0.2, 0.25, 0.49, 0.5, 0.75, 1.0])
    y_true = np.array([0.0, 1, 1, 0, 1, 0, 1])
    curve = reliability(y_true, probability, bins=4)
    assert curve == [
        (pytest.approx(0.1), 0.5, 2),
        (pytest.approx(0.37), 0.5, 2),
        (0.5, 1.0, 1),
        (0.875, 0.5, 2),
    ]
    assert reliability(y_true, np.full(7, 0.3), bins=2) == [(pytest.approx(0.3), 4 / 7, 7)]


def test_there_are_ten_bins_unless_said():
    probability, y_true = (np.arange(20) + 0.5) / 20, np.zeros(20)
    assert [count for _, _, count in reliability(y_true, probability)] == [2] * 10
    together = np.array([0.05, 0.095])  # in the first of ten bins; eleven would part them
    assert calibration_error(np.array([1.0, 0.0]), together) == pytest.approx(0.5 - 0.0725)


def test_calibration_error_weighs_bins_by_their_counts():
    y_true, probability = np.array([1.0, 0, 0, 1]), np.array([0.1, 0.2, 0.3, 0.9])
    # bins below and above one half: |0.2 - 1/3| for three samples, |0.9 - 1| for one
    expected = (3 * (1 / 3 - 0.2) + 1 * 0.1) / 4
    assert calibration_error(y_true, probability, bins=2) == pytest.approx(expected)
    assert calibration_error(np.array([]), np.array([])) == 0
    assert calibration_error(np.array([1.0]), np.array([0.75])) == 0.25
