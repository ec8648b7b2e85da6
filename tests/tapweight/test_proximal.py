"""The proximal terms: values against torch, cross derivatives against double backward."""

from __future__ import annotations

import pytest
import torch

from molweight.errors import ConfigError
from molweight.tapweight.proximal import L1, PROXIMAL, SmoothL1, SquaredL2, make_proximal

GAMMA, BETA = 0.3, 0.7


def points():
    g = torch.Generator().manual_seed(1)
    omega = tuple(torch.randn(n, generator=g, dtype=torch.float64).requires_grad_() for n in (3, 5))
    theta = tuple(torch.randn(n, generator=g, dtype=torch.float64).requires_grad_() for n in (3, 5))
    direction = tuple(torch.randn(n, generator=g, dtype=torch.float64) for n in (3, 5))
    return omega, theta, direction


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("kind", ["l1", "l2", "smooth_l1"])
def test_values_are_those_of_torch(kind, reduction):
    omega, theta, _ = points()
    o, t = torch.cat(omega), torch.cat(theta)
    losses = {
        "l2": lambda: torch.nn.functional.mse_loss(o, t, reduction=reduction),
        "l1": lambda: torch.nn.functional.l1_loss(o, t, reduction=reduction),
        "smooth_l1": lambda: torch.nn.functional.smooth_l1_loss(o, t, beta=BETA, reduction=reduction),
    }
    term = make_proximal(kind, gamma=GAMMA, reduction=reduction, beta=BETA)
    torch.testing.assert_close(term(omega, theta), GAMMA * losses[kind]())


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("kind", ["l1", "l2", "smooth_l1"])
def test_the_cross_derivative_is_that_of_double_backward(kind, reduction):
    omega, theta, direction = points()
    term = make_proximal(kind, gamma=GAMMA, reduction=reduction, beta=BETA)
    gradients = torch.autograd.grad(term(omega, theta), omega, create_graph=True)
    inner = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))
    if kind == "l1":
        assert not inner.requires_grad or all(
            g is None or not g.any() for g in torch.autograd.grad(inner, theta, allow_unused=True)
        )
        assert not term.ties and not torch.cat(term.cross(omega, theta, direction)).any()
        return
    expected = [-g for g in torch.autograd.grad(inner, theta)]
    curvature = {"l2": 2.0, "smooth_l1": 1 / BETA}[kind] * term.strength(omega)
    found = term.cross(omega, theta, direction)
    assert term.ties and torch.cat(found).any()
    for f, e in zip(found, expected, strict=True):
        torch.testing.assert_close(curvature * f, e)


def test_smooth_l1_lets_go_of_parameters_that_moved_far():
    term = SmoothL1(gamma=1.0, beta=0.5)
    found = term.cross((torch.tensor([0.1, 0.6, -0.6, 0.5]),), (torch.zeros(4),), (torch.ones(4),))
    assert found[0].tolist() == [1.0, 0.0, 0.0, 0.0], "at the limit it has let go"


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_published_term_for_text_is_l2_on_embeddings_and_l1_on_the_encoder(reduction):
    omega, theta, direction = points()
    names = ("embeddings.word_embeddings.weight", "encoder.layer.0.bias")
    term = make_proximal("l1_encoder", gamma=GAMMA, reduction=reduction, beta=BETA).of(names)
    expected = GAMMA * ((omega[0] - theta[0]).square().sum() + (omega[1] - theta[1]).abs().sum())
    torch.testing.assert_close(term(omega, theta), expected / (8 if reduction == "mean" else 1))
    gradients = torch.autograd.grad(term(omega, theta), omega, create_graph=True)
    inner = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))
    embeddings, encoder = torch.autograd.grad(inner, theta, allow_unused=True)
    found = term.cross(omega, theta, direction)
    torch.testing.assert_close(2 * term.strength(omega) * found[0], -embeddings)
    assert term.ties and not found[1].any() and (encoder is None or not encoder.any())
    with pytest.raises(ConfigError, match="is for text"):
        term.of(("layer1.weight", "layer2.weight"))


def test_every_term_is_tested_here():
    assert set(PROXIMAL) == {"l1", "l2", "smooth_l1", "l1_encoder"}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SquaredL2(gamma=0.0), "gamma must be > 0"),
        (lambda: L1(gamma=-1.0), "gamma must be > 0"),
        (lambda: SquaredL2(reduction="max"), "'sum' or 'mean'"),
        (lambda: SmoothL1(beta=0.0), "beta of the smooth L1 term must be > 0"),
        (lambda: make_proximal("l3", gamma=1.0, reduction="sum", beta=1.0), "Did you mean 'l2'"),
    ],
)
def test_bad_settings_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
