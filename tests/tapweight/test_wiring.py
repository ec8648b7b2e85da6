"""A user's modules as levels: what is trained, what is frozen, and the words for what is wrong."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from molweight.errors import ConfigError, DivergedError
from molweight.tapweight.loaders import EndlessBatches
from molweight.tapweight.wiring import (
    EncoderWithHead,
    EncoderWithObjectives,
    freeze_unused,
    make_optimizer,
    of_pairs,
    require_objectives,
    require_task,
    wire,
)

CPU = torch.device("cpu")
SGD = partial(torch.optim.SGD, lr=0.1)
mse = nn.functional.mse_loss


class TwoPaths(nn.Module):
    """Inputs of three samples go one way, others another."""

    def __init__(self):
        super().__init__()
        self.shared, self.three, self.more = nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.unused = nn.Linear(4, 4)

    def forward(self, x):
        return (self.three if len(x) == 3 else self.more)(self.shared(x))


def stream(*batches, name="train_batches"):
    return EndlessBatches(name, list(batches), CPU)


def pairs(size, name="train_batches"):
    return stream((torch.ones(size, 2), torch.ones(size, 1)), name=name)


def task_model():
    torch.manual_seed(0)
    return EncoderWithHead(TwoPaths(), nn.Linear(4, 1))


def mean(encoder, batch):
    return encoder(batch["x"]).mean()


def test_losses_come_in_the_order_of_the_objectives_and_heads_are_parts():
    encoder, head = nn.Linear(2, 2), nn.Linear(2, 1)

    class WithHead(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = head

        def forward(self, encoder, batch):
            return self.head(encoder(batch["x"])).mean()

    objective = WithHead()
    module = EncoderWithObjectives(encoder, {"zero": lambda e, b: 0 * mean(e, b), "head": objective})
    batch = {"x": torch.ones(3, 2)}
    assert module(batch).tolist() == [0.0, objective(encoder, batch).item()]
    assert list(module.heads) == [objective] and list(module.named) == ["zero", "head"]
    assert {id(p) for p in module.parameters()} == {
        id(p) for p in (*encoder.parameters(), *head.parameters())
    }


def test_a_wrong_objective_is_named_with_its_batch():
    encoder, stranger = nn.Linear(2, 2), nn.Parameter(torch.ones(2))
    batches = stream({"x": torch.ones(3, 2)})

    def refused(objective, sentence, error=ConfigError):
        module = EncoderWithObjectives(encoder, {"good": mean, "bad": objective})
        with pytest.raises(error, match=sentence):
            require_objectives(module, batches)

    refused(3, "^objective 'bad' must be a function or module")
    refused(lambda e, b: e(b["x"]), r"^objective 'bad' must return a scalar loss, got Tensor \[3, 2\]")
    refused(
        lambda e, b: b["y"], r"^objective 'bad' failed on the first batch, \{x: Tensor \[3, 2\]\}: KeyError"
    )
    refused(lambda e, b: mean(e, b) + torch.inf, "^objective 'bad' is inf", DivergedError)
    refused(
        lambda e, b: mean(e, b) + stranger.sum(),
        r"^objective 'bad' depends on .*: make the objective an nn.Module that holds them, or set "
        r"requires_grad=False$",
    )
    refused(lambda e, b: torch.ones(()), "^objective 'bad' depends on no trainable parameter")


def test_a_look_at_the_first_batch_leaves_the_modules_alone():
    encoder = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
    model, batches = EncoderWithHead(encoder, nn.Linear(2, 1)), stream({"x": torch.randn(3, 2)})
    before, random_state = encoder[1].running_mean.clone(), torch.get_rng_state()
    require_objectives(EncoderWithObjectives(encoder, {"mean": mean}), batches)
    require_task(model, mse, pairs(3))
    assert torch.equal(encoder[1].running_mean, before)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_the_task_uses_what_any_of_its_streams_reaches():
    model = task_model()
    encoder, head = model.model
    used = require_task(model, mse, pairs(3), pairs(5))
    reached = (encoder.shared, encoder.three, encoder.more, head)
    assert used == {id(p) for part in reached for p in part.parameters()}
    freeze_unused(model, used)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"model.0.unused.weight", "model.0.unused.bias"}


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ((torch.ones(3, 2),), r"\(Tensor \[3, 2\]\)"),
        ((torch.ones(3, 2), torch.ones(3, 1), 3), r"\(Tensor \[3, 2\], Tensor \[3, 1\], int\)"),
        (torch.ones(2, 2), r"Tensor \[2, 2\]"),
        (3, "int"),
    ],
)
def test_a_batch_of_the_task_is_a_pair(batch, words):
    with pytest.raises(ConfigError, match=rf"^other must yield pairs \(inputs, targets\), got {words}$"):
        require_task(task_model(), mse, pairs(3), stream(batch, name="other"))


def test_a_pair_may_be_a_list():
    assert require_task(task_model(), mse, stream([torch.ones(3, 2), torch.ones(3, 1)]))


def test_a_wrong_task_is_said_with_its_loader_and_batch():
    stranger = nn.Parameter(torch.ones(2))

    def refused(task_loss, sentence, *streams, error=ConfigError):
        with pytest.raises(error, match=sentence):
            require_task(task_model(), task_loss, *streams or (pairs(3),))

    batch = r"\(Tensor \[3, 2\], Tensor \[3, 1\]\)"
    refused(
        lambda outputs, y: y["a"],
        rf"^task_loss on train_batches, with outputs Tensor \[3, 1\], failed on the first batch, {batch}: ",
    )
    wide = stream((torch.ones(3, 7), torch.ones(3, 1)), name="validation_batches")
    refused(
        mse,
        r"^task_loss on validation_batches failed on the first batch, \(Tensor \[3, 7\], Tensor \[3, 1\]\): ",
        pairs(3),
        wide,
    )
    refused(partial(mse, reduction="none"), r"^task_loss must return a scalar loss, got Tensor \[3, 1\]")
    refused(lambda o, y: o.mean() + torch.nan, "^task_loss on train_batches is nan", error=DivergedError)
    refused(lambda o, y: torch.ones(()), "^task_loss on train_batches depends on no trainable parameter")
    refused(
        lambda outputs, y: outputs.mean() + stranger.sum(),
        r"^task_loss on train_batches depends on .*: put them into the head, or set requires_grad=False$",
    )


def test_a_task_that_trains_the_head_alone_is_refused():
    model = task_model()
    model.model[0].requires_grad_(False)
    with pytest.raises(ConfigError, match="depends on no trainable parameter of the encoder"):
        require_task(model, mse, pairs(3))


def test_an_optimizer_is_over_what_is_trained_and_nothing_else():
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    optimizer = make_optimizer(SGD, module)
    assert optimizer.param_groups[0]["params"] == [module.weight]
    more = nn.Parameter(torch.ones(1))
    for wrong in (
        SGD([more]),
        lambda parameters: None,
        lambda parameters: SGD([*parameters, more]),
        lambda parameters: SGD([more]),
        3,
    ):
        with pytest.raises(ConfigError, match="an optimizer is given as a function"):
            make_optimizer(wrong, module)
    assert make_optimizer(optimizer, module) is optimizer


def test_a_loss_of_pairs_reads_the_targets():
    outputs, pair = torch.zeros(2, 1), (torch.full((2, 1), 7.0), torch.full((2, 1), 3.0))
    assert of_pairs(mse)(outputs, pair).item() == 9.0
    with pytest.raises(ConfigError, match=r"^task_loss must return a scalar loss, got Tensor \[2, 1\]"):
        of_pairs(partial(mse, reduction="none"))(outputs, pair)


def test_each_level_has_its_batches_its_optimizer_and_its_limits():
    theta, omega = EncoderWithObjectives(TwoPaths(), {"mean": mean}), task_model()
    streams = (stream({"x": torch.ones(3, 2)}), pairs(3), pairs(5, "validation_batches"))
    rates = (0.1, 0.2, 0.3)
    optimizers = tuple(partial(torch.optim.SGD, lr=rate) for rate in rates)
    levels = wire(theta, omega, mse, batches=streams, optimizers=optimizers, gamma=0.5, clip=2.0)
    order = (levels.pretrain, levels.finetune, levels.weights)
    assert tuple(level.batches for level in order) == streams
    assert tuple(level.optimizer.param_groups[0]["lr"] for level in order) == rates
    assert (levels.pretrain.module, levels.finetune.module) == (theta, omega)
    assert levels.weights.module is levels.pretrain.mixture and levels.mixture.names == ("mean",)
    assert levels.weights.finetuning is levels.finetune
    assert (levels.pretrain.clip, levels.finetune.clip, levels.weights.clip) == (2.0, 2.0, None)
    assert levels.finetune.proximal.gamma == 0.5
    pair = (torch.zeros(2, 2), torch.full((2, 1), 2.0))
    assert levels.finetune.task_loss(torch.zeros(2, 1), pair).item() == 4.0
    encoder = omega.model[0]
    assert levels.finetune.shared == tuple(range(6)), "the trained part of the encoder"
    parts = (theta.encoder.shared, theta.encoder.three, theta.encoder.more)
    anchor = [p for part in parts for p in part.parameters()]
    assert all(a is p for a, p in zip(levels.finetune.anchor, anchor, strict=True))
    assert encoder.more.weight.requires_grad and not encoder.unused.weight.requires_grad
    assert all(p.requires_grad for p in (*omega.model[1].parameters(), *theta.parameters()))
