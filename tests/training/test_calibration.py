"""Temperatures against an independent library, and where there is nothing to fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from molweight.training.calibration import RANGE, fit_temperatures


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
