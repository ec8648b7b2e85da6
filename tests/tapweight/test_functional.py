"""A module that is called without a trace, at parameters of one's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from molweight.tapweight.functional import by_place, same_random_numbers, stateless_call, trainable


class Noisy(nn.Module):
    """BatchNorm and dropout around a layer, one parameter of which is frozen."""

    def __init__(self):
        super().__init__()
        self.norm, self.layer, self.dropout = nn.BatchNorm1d(3), nn.Linear(3, 2), nn.Dropout(0.5)
        self.layer.bias.requires_grad_(False)

    def forward(self, batch):
        return self.dropout(self.layer(self.norm(batch["x"])))


def noisy():
    torch.manual_seed(0)
    return Noisy(), {"x": torch.randn(6, 3)}


def test_what_is_trained_comes_in_the_order_of_the_parameters():
    module, _ = noisy()
    assert list(trainable(module)) == ["norm.weight", "norm.bias", "layer.weight"]
    assert trainable(module)["layer.weight"] is module.layer.weight


def test_a_call_leaves_statistics_and_the_random_state():
    module, batch = noisy()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    random_state = torch.get_rng_state()
    outputs = [stateless_call(module, batch) for _ in range(2)]
    assert torch.equal(*outputs), "the same dropout mask"
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert torch.equal(module(batch), outputs[0]), "a plain call draws the same numbers"
    assert not torch.equal(module.norm.running_mean, before["norm.running_mean"])


def test_gradients_reach_the_parameters_that_were_called():
    module, batch = noisy()
    stateless_call(module, batch).sum().backward()
    assert module.layer.weight.grad is not None and module.layer.bias.grad is None
    module.zero_grad()
    values = tuple(2 * p.detach().requires_grad_() for p in trainable(module).values())
    mean = module.norm.running_mean.clone()
    output = stateless_call(module, batch, values)
    assert torch.equal(module.norm.running_mean, mean)
    grads = torch.autograd.grad(output.square().sum(), values)
    assert all(g.abs().sum() > 0 for g in grads) and module.layer.weight.grad is None
    for p, value in zip(trainable(module).values(), values, strict=True):
        p.data.copy_(value.detach())
    assert torch.equal(stateless_call(module, batch), output), "as at these parameters"


@pytest.mark.parametrize("count", [2, 4])
def test_parameters_must_be_as_many_as_are_trained(count):
    module, batch = noisy()
    with pytest.raises(ValueError):
        stateless_call(module, batch, (torch.zeros(3),) * count)


def test_the_random_state_comes_back_after_an_error():
    module, _ = noisy()
    random_state = torch.get_rng_state()
    with pytest.raises(KeyError), same_random_numbers(module):
        torch.rand(3)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), random_state)


def test_a_tensor_has_a_name_for_each_place_and_a_module_one_place():
    part = nn.BatchNorm1d(2)
    module = nn.ModuleDict({"first": part, "second": nn.Sequential(part), "other": nn.Linear(2, 2)})
    module.register_parameter("own", part.weight)
    values = {id(part.weight): torch.ones(2), id(part.running_mean): torch.full((2,), 2.0), 0: torch.zeros(1)}
    names = by_place(module, values)
    assert {name: value.tolist() for name, value in names.items()} == {
        "own": [1.0, 1.0],
        "first.weight": [1.0, 1.0],
        "first.running_mean": [2.0, 2.0],
    }


def test_a_layer_that_holds_one_tensor_twice_has_two_places():
    layer = nn.Bilinear(2, 2, 1)
    layer.register_parameter("again", layer.weight)
    layer.register_buffer("mean", torch.zeros(1))
    layer.register_buffer("mean_again", layer.mean)
    names = by_place(layer, {id(layer.weight): layer.weight + 1, id(layer.mean): torch.ones(1)})
    assert names.keys() == {"weight", "again", "mean", "mean_again"}
