"""Softmax weights and the gradient that is written out by hand."""

from __future__ import annotations

import pytest
import torch

from molweight.errors import ConfigError
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


def test_the_exponentiated_update_leaves_out_the_weight():
    softmax, exponentiated = (
        ObjectiveWeights(names=("a", "b", "c"), update=update) for update in ("softmax", "exponentiated")
    )
    logits, s = torch.tensor([1.0, 0.0, -1.0]), torch.tensor([0.3, -0.2, 0.5])
    for mixture in (softmax, exponentiated):
        with torch.no_grad():
            mixture.logits.copy_(logits)
    weights = torch.softmax(logits, 0)
    found = exponentiated.gradient(s)
    torch.testing.assert_close(found, (weights @ s) - s)
    torch.testing.assert_close(softmax.gradient(s), weights * found)


def test_values_are_named_in_the_order_of_the_objectives():
    mixture = ObjectiveWeights(names=("b", "a"))
    assert mixture.named(torch.tensor([1.0, 2.0], requires_grad=True)) == {"b": 1.0, "a": 2.0}
    with pytest.raises(ValueError, match="zip"):
        mixture.named(torch.zeros(3))


def test_precisions_of_losses_and_derivatives_are_kept_apart():
    mixture = ObjectiveWeights(names=("a", "b"))
    assert mixture(torch.tensor([1.0, 3.0], dtype=torch.float64)).dtype == torch.float64
    assert mixture.gradient(torch.tensor([1.0, 3.0], dtype=torch.float64)).dtype == torch.float32
    assert ObjectiveWeights(names=("a",), dtype=torch.float64).weights().dtype == torch.float64


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"names": ()}, "one or more distinct objectives"),
        ({"names": ("a", "a")}, "one or more distinct objectives"),
        ({"names": ("a",), "update": "softmx"}, "Did you mean 'softmax'"),
    ],
)
def test_bad_settings_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        ObjectiveWeights(**options)
