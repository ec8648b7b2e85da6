"""Level 1 under a balance: what an outer step reports."""

from __future__ import annotations

import pytest
import torch
from problems import Cycle
from torch import nn

from molweight.tapweight.one_level import Balanced, BalancedPretraining, OneLevel


class TwoLosses(nn.Module):
    """Two linear losses of one number, so that the gradients are constants."""

    def __init__(self):
        super().__init__()
        self.point = nn.Parameter(torch.zeros(1))

    def forward(self, batch):
        return torch.stack([self.point[0] + batch["x"], 3 * self.point[0]])


class Told(nn.Module):
    """Weights that come with each call, in order, so that their mean is known."""

    def __init__(self, *weights):
        super().__init__()
        self.shared = None
        self.waiting = [torch.tensor(w, requires_grad=True) for w in weights]

    def backward(self, losses, parameters, shared):
        weights, self.shared = self.waiting.pop(0), shared
        grads = torch.autograd.grad(weights.detach() @ losses, parameters)
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad
        return weights


def one_level(*weights, every, lr=0.1):
    torch.manual_seed(0)
    module = Balanced(TwoLosses(), Told(*weights))
    level = BalancedPretraining(
        module=module,
        optimizer=torch.optim.SGD(module.model.parameters(), lr=lr),
        batches=Cycle([{"x": torch.tensor(v)} for v in (1.0, 2.0, 4.0)]),
        names=("first", "second"),
        shared=tuple(module.model.parameters()),
    )
    return OneLevel(level, every=every)


def test_the_weights_of_an_outer_step_are_the_mean_and_the_losses_the_last():
    trainer = one_level([1.0, 0.0], [0.5, 0.5], [0.25, 0.75], [0.0, 1.0], every=2)
    assert trainer.weights.tolist() == [0.0, 0.0] and trainer.level.name == "pretrain"
    assert trainer.level.losses.shape == trainer.level.weights.shape == (0,)
    first = trainer.step()
    assert first.step == 1 and first.weights == {"first": 0.75, "second": 0.25}
    # the point moves by -0.1 (w1 + 3 w2): to -0.1 before the second loss, then by -0.2
    assert first.losses == pytest.approx({"first": 2 - 0.1, "second": -0.3})
    second = trainer.step()
    assert second.step == 2 and second.weights == {"first": 0.125, "second": 0.875}
    assert second.losses == pytest.approx({"first": 1 - 0.3 - 0.25, "second": 3 * (-0.3 - 0.25)})
    assert first.seconds > 0
    assert trainer.level.module.balance.shared is trainer.level.shared
    assert not trainer.level.losses.requires_grad and not trainer.level.weights.requires_grad


def test_names_are_as_many_as_losses():
    trainer = one_level([1.0, 0.0], every=1)
    trainer.level.names = ("first",)
    with pytest.raises(ValueError):
        trainer.level.train_step()


def test_a_record_holds_one_weight_and_one_loss_a_name():
    trainer = one_level([1.0, 0.0], every=1)
    trainer.step()
    weights, losses = trainer.weights, trainer.level.losses
    trainer.weights = torch.zeros(3)
    with pytest.raises(ValueError):
        trainer.record(seconds=0.0)
    trainer.weights, trainer.level.losses = weights, torch.zeros(1)
    with pytest.raises(ValueError):
        trainer.record(seconds=0.0)
    trainer.level.losses = losses
    assert trainer.record(seconds=0.25).seconds == 0.25
