"""The benchmark's oracle is itself right: autograd through all steps against retraining from scratch."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from benchmarks.unrolled import Setting, problem, train, truth


@pytest.mark.parametrize("batchnorm", [True, False])
def test_truth_equals_central_differences_of_the_whole_training(batchnorm):
    setting = Setting(batchnorm=batchnorm, momentum=0.5, pretrained=5, steps=8)
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
