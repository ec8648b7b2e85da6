"""Softmax weights and the gradient that is written out by hand."""

from __future__ import annotations

import torch

from molweight.tapweight.objective_weights import ObjectiveWeights


def test_starts_equal_and_stays_on_the_simplex():
    mixture = ObjectiveWeights(names=("a", "b", "c"))
    torch.testing.assert_close(mixture.weights(), torch.full((3,), 1 / 3))
    with torch.no_grad():
        mixture.logits.copy_(torch.tensor([5.0, -80.0, 0.1]))
    assert mixture.weights().min() >= 0
    assert abs(mixture.weights().sum().item() - 1) < 1e-6


def test_gradient_equals_autograd_through_softmax():
    mixture = ObjectiveWeights(names=tuple("abcde"), dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        mixture.logits.copy_(torch.randn(5, generator=generator))
    s = torch.randn(5, generator=generator, dtype=torch.float64)
    alpha = mixture.logits.detach().clone().requires_grad_()
    (expected,) = torch.autograd.grad(-(torch.softmax(alpha, 0) @ s), alpha)
    torch.testing.assert_close(mixture.gradient(s), expected)


def test_the_loss_does_not_reach_the_logits_in_level_one():
    mixture = ObjectiveWeights(names=("a", "b"))
    losses = torch.tensor([1.0, 3.0], requires_grad=True)
    mixture(losses).backward()
    assert mixture.logits.grad is None
    torch.testing.assert_close(losses.grad, torch.tensor([0.5, 0.5]))
