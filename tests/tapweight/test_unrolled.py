"""The benchmark's oracle is itself right: autograd through all steps against retraining from scratch."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from benchmarks.hypergradient import JUDGED, cosines
from benchmarks.small_problem import Setting, problem
from benchmarks.unrolled import train, truth


@pytest.mark.parametrize("batchnorm", [True, False])
@pytest.mark.parametrize("optimiser", [{"momentum": 0.5}, {"optimiser": "adam"}], ids=["sgd", "adam"])
@pytest.mark.parametrize("proximal", ["l2", "smooth_l1"])
def test_truth_equals_central_differences_of_the_whole_training(batchnorm, optimiser, proximal):
    setting = Setting(batchnorm=batchnorm, pretrained=5, warm=5, steps=8, proximal=proximal, **optimiser)
    levels = problem(setting, seed=3)
    start = deepcopy(levels.mixture.logits.detach())

    def validation_loss(logits):
        return train(levels, setting, logits.requires_grad_())[0].item()

    differences = []
    for k in range(len(start)):
        step = torch.zeros_like(start)
        step[k] = 1e-4
        differences.append((validation_loss(start + step) - validation_loss(start - step)) / 2e-4)
    exact = truth(levels, setting)
    assert exact.abs().max() > 1e-6
    torch.testing.assert_close(torch.tensor(differences, dtype=exact.dtype), exact, rtol=1e-4, atol=1e-9)
    assert exact.sum().abs() < 1e-12, "a common shift of all logits changes nothing"


@pytest.mark.parametrize(
    ("setting", "seed", "published"),
    [(Setting(batchnorm=False, gamma=1e-3), 0, 0.2), (Setting(batchnorm=True), 2, 0.7)],
    ids=["plain", "BatchNorm"],
)
def test_the_default_points_the_right_way(setting, seed, published):
    """Seeds of the benchmark's table where the published estimator does not."""
    found = cosines((setting, seed, JUDGED))
    assert found["accurate"] > 0.95 > published > found["paper"]
