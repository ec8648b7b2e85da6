"""What is said of a user's arguments and losses, and what a loss depends on."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from molweight.errors import ConfigError, DataError, DivergedError
from molweight.tapweight.checks import (
    explained,
    leaves,
    require_modules,
    require_numbers,
    require_scalar,
    require_trainable,
)

LAYER = nn.Linear(2, 2)


def test_modules_and_named_objectives_are_taken():
    require_modules(LAYER, LAYER, {"mask": LAYER})
    with pytest.raises(ConfigError, match=r"^encoder must be an nn.Module, got int"):
        require_modules(3, LAYER, {"mask": LAYER})
    with pytest.raises(ConfigError, match=r"^head must be an nn.Module, got type"):
        require_modules(LAYER, nn.Linear, {"mask": LAYER})
    for objectives in ({}, [LAYER], None):
        with pytest.raises(ConfigError, match=r"^objectives must be a dictionary"):
            require_modules(LAYER, LAYER, objectives)


@pytest.mark.parametrize("numbers", [(1, 1, 0, None), (1, 1, 0.0, 1e-9), (9, 3, 0.99, float("inf"))])
def test_numbers_at_the_ends_of_their_ranges_are_taken(numbers):
    require_numbers(*numbers)


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ((0, 1, 0, None), "^steps must be a whole number > 0, got 0"),
        ((True, 1, 0, None), "^steps must be a whole number > 0, got True"),
        ((1, 0, 0, None), "^inner_steps must be a whole number > 0, got 0"),
        ((1, 2.0, 0, None), "^inner_steps must be a whole number > 0, got 2.0"),
        ((1, 1, -0.1, None), "^burn_in must be a fraction"),
        ((1, 1, 1, None), "^burn_in must be a fraction"),
        ((1, 1, float("nan"), None), "^burn_in must be a fraction"),
        ((1, 1, 0, 0.0), "^max_grad_norm must be > 0"),
        ((1, 1, 0, float("nan")), "^max_grad_norm must be > 0"),
    ],
)
def test_numbers_out_of_range_are_named(numbers, sentence):
    with pytest.raises(ConfigError, match=sentence):
        require_numbers(*numbers)


def test_learning_runs_in_one_process(monkeypatch):
    monkeypatch.setattr("molweight.tapweight.checks.world_size", lambda: 2)
    with pytest.raises(ConfigError, match=r"runs in one process"):
        require_numbers(1, 1, 0, None)


def test_an_error_says_whose_it_was_and_on_what():
    with (
        pytest.raises(ConfigError, match=r"^the loss failed on the first batch, \{x: int\}: KeyError: 'y'$"),
        explained("the loss", {"x": 3}),
    ):
        raise KeyError("y")
    with pytest.raises(DataError, match=r"^ours$"), explained("the loss", None):
        raise DataError("ours")


def test_of_all_warnings_only_that_of_two_shapes_is_an_error():
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        filters = list(warnings.filters)
        with pytest.warns(UserWarning, match=r"another"), explained("the loss", None):
            warnings.warn("another", stacklevel=1)
        with (
            pytest.raises(ConfigError, match=r"the loss failed .*Using a target size"),
            explained("the loss", 3),
        ):
            nn.functional.mse_loss(torch.zeros(2, 1), torch.zeros(2))
        assert warnings.filters == filters


def test_a_loss_is_a_scalar_tensor():
    loss = torch.tensor(2.0)
    assert require_scalar(loss, "it") is loss
    with pytest.raises(ConfigError, match=r"^it must return a scalar loss, got Tensor \[1\]: take its mean$"):
        require_scalar(torch.zeros(1), "it")
    with pytest.raises(ConfigError, match=r"^it must return a scalar loss, got float$"):
        require_scalar(2.0, "it")


def test_the_leaves_of_a_loss_are_what_it_depends_on():
    x, y, unused = (torch.ones(2, requires_grad=True) for _ in range(3))
    middle = x * 3
    loss = (middle * y + middle.exp()).sum() + torch.ones(1)
    assert leaves(loss).keys() == {id(x), id(y)} and leaves(loss)[id(y)] is y
    many = x
    for _ in range(60):  # 2**60 ways to x
        many = many + many
    assert leaves(many.sum()).keys() == {id(x)}
    assert id(unused) not in leaves(loss) and leaves(torch.ones(())) == {}


def test_a_loss_trains_the_encoder_and_nothing_outside_the_module():
    encoder, head, stranger = nn.Linear(2, 3, bias=False), nn.Linear(3, 1), nn.Parameter(torch.ones(1, 4))
    module = nn.Sequential(encoder, head)
    output = module(torch.ones(5, 2))
    what = (module, encoder, "put them there")
    assert require_trainable(output.mean(), "it", *what) == {id(p) for p in module.parameters()}
    with pytest.raises(DivergedError, match=r"^it is inf on the first batch"):
        require_trainable(output.mean() + torch.inf, "it", *what)
    loss = output.mean() + stranger.sum() + nn.Parameter(torch.ones(1, 4)).sum()
    sentence = r"^it depends on parameters .*\(shapes \[1, 4\], \[1, 4\]\): put them there$"
    with pytest.raises(ConfigError, match=sentence):
        require_trainable(loss, "it", *what)
    with pytest.raises(ConfigError, match=r"^it depends on no trainable parameter of the encoder"):
        require_trainable(head(torch.ones(5, 3)).mean(), "it", *what)
