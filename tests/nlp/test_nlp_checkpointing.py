"""Recomputed activations: every derivative is bit for bit the one without."""

from __future__ import annotations

import copy

import pytest
import torch
from texts import make_folder
from torch import nn

from molweight.errors import ConfigError
from molweight.nlp.checkpointing import recompute
from molweight.nlp.model import TextModel
from molweight.nlp.pretrained import EncoderConfig, load_encoder
from molweight.tapweight.directional import CentralDifference, ForwardMode
from molweight.tapweight.functional import stateless_call
from molweight.tapweight.hessian import DoubleBackward, GradientDifference


def recipe(name, *, checkpointing):
    return EncoderConfig(
        name=str(name),
        init="pretrained",
        pooling="mean",
        freeze_embeddings=False,
        checkpointing=checkpointing,
    )


@pytest.fixture(scope="module", params=["roberta", "deberta"])
def models(request, glue, tmp_path_factory):
    """A task model with dropout, without and with recomputation."""
    folder = make_folder(tmp_path_factory.mktemp(request.param), glue, request.param)
    found = []
    for checkpointing in (False, True):
        encoder, _ = load_encoder(recipe(folder, checkpointing=checkpointing), seed=0)
        found.append(TextModel(encoder, outputs=2, dropout=0.1, seed=0).train())
    return found


def batch():
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 300, (4, 12), generator=generator)
    mask = torch.ones_like(ids)
    mask[0, 7:] = 0
    return {"ids": ids, "mask": mask}


def derivative(model, what):
    """All numbers of a derivative at the model's parameters, along a fixed direction."""
    point = tuple(model.parameters())
    direction = tuple(
        torch.randn(p.shape, generator=torch.Generator().manual_seed(i)) for i, p in enumerate(point)
    )
    torch.manual_seed(5)
    if what == "gradient":
        found = torch.autograd.grad(model(batch()).square().mean(), point, allow_unused=True)
        return torch.cat([g.flatten() for g in found if g is not None])
    if isinstance(what, ForwardMode | CentralDifference):
        return what(lambda p: stateless_call(model, batch(), p).flatten(), point, direction)
    product = what(lambda p: stateless_call(model, batch(), p).square().mean(), point)
    return torch.cat([g.flatten() for g in product(direction)])


@pytest.mark.parametrize(
    "what",
    [
        "gradient",
        DoubleBackward(),
        GradientDifference(radius=0.1),
        GradientDifference(radius=0.1, central=True),
        ForwardMode(),
        CentralDifference(radius=0.1),
    ],
    ids=str,
)
def test_every_derivative_is_the_one_without(models, what):
    plain, recomputed = (derivative(model, what) for model in models)
    assert plain.abs().max() > 0
    assert torch.equal(plain, recomputed)


def test_activations_are_not_kept(models):
    kept = []
    for model in models:
        sizes: list[int] = []

        def pack(tensor, sizes=sizes):
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model(batch())
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 2


def test_a_copy_is_a_copy_and_names_stay(models):
    plain, recomputed = models
    assert list(plain.state_dict()) == list(recomputed.state_dict())
    copied = copy.deepcopy(recomputed)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.add_(1.0)
    torch.testing.assert_close(derivative(plain, "gradient"), derivative(recomputed, "gradient"))
    assert not torch.equal(derivative(copied, "gradient"), derivative(recomputed, "gradient"))


def test_other_networks_have_no_such_layers(glue, tmp_path, monkeypatch):
    assert recompute(nn.Sequential(nn.Linear(2, 2))) == 0
    monkeypatch.setattr("molweight.nlp.pretrained.recompute", lambda model: 0)
    with pytest.raises(ConfigError, match="transformers knows no such layers"):
        load_encoder(recipe(make_folder(tmp_path, glue), checkpointing=True), seed=0)
