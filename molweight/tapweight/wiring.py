"""A user's encoder, objectives and head as three levels, checked on their first batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from molweight.errors import ConfigError
from molweight.tapweight.checks import explained, require_scalar, require_trainable
from molweight.tapweight.functional import stateless_call
from molweight.tapweight.levels import Finetuning, Pretraining, ThreeLevels, WeightLevel, shared_parameters
from molweight.tapweight.loaders import EndlessBatches, describe
from molweight.tapweight.objective_weights import ObjectiveWeights
from molweight.tapweight.proximal import SquaredL2

Objective = Callable[[nn.Module, Any], Tensor]
"""``(encoder, batch) -> scalar loss``; an ``nn.Module`` where it has parameters, such as a head."""

PairLoss = Callable[[Tensor, Any], Tensor]
"""``(outputs, targets) -> scalar loss`` of a task"""

OptimizerFactory = Callable[[list[nn.Parameter]], Optimizer]
"""``parameters -> optimizer``, such as ``partial(torch.optim.SGD, lr=0.1)``"""


class EncoderWithObjectives(nn.Module):
    """Level 1's model: ``module(batch)`` is the loss vector, [k]."""

    def __init__(self, encoder: nn.Module, objectives: Mapping[str, Objective]) -> None:
        super().__init__()
        self.encoder = encoder
        self.named = dict(objectives)
        self.heads = nn.ModuleList(o for o in objectives.values() if isinstance(o, nn.Module))

    def forward(self, batch: object) -> Tensor:
        """The losses, in the order of the objectives."""
        return torch.stack(
            [require_scalar(o(self.encoder, batch), f"objective '{name}'") for name, o in self.named.items()]
        )


class EncoderWithHead(nn.Module):
    """Level 2's model: ``module((inputs, targets))`` is the output of the head."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.model = nn.Sequential(encoder, head)

    def forward(self, batch: Any) -> object:
        """``head(encoder(inputs))``."""
        return self.model(batch[0])


def require_objectives(module: EncoderWithObjectives, batches: EndlessBatches) -> None:
    """Insist that every objective is a scalar loss that trains the encoder.

    Raises:
        ConfigError: naming the objective.
        DivergedError: likewise.
    """
    hint = "make the objective an nn.Module that holds them, or set requires_grad=False"
    for name, objective in module.named.items():
        if not callable(objective):
            raise ConfigError(
                f"objective '{name}' must be a function or module (encoder, batch) -> loss, "
                f"got {type(objective).__name__}"
            )
        alone = EncoderWithObjectives(module.encoder, {name: objective})
        with explained(f"objective '{name}'", batches.first):
            loss = stateless_call(alone, batches.first)[0]
        require_trainable(loss, f"objective '{name}'", alone, module.encoder, hint)


def require_task(module: EncoderWithHead, task_loss: PairLoss, *streams: EndlessBatches) -> set[int]:
    """Insist that the task's loss is a scalar that trains the encoder, on labelled batches.

    Returns:
        The ``id`` of every parameter that it depends on.

    Raises:
        ConfigError: naming the loader.
        DivergedError: likewise.
    """
    used: set[int] = set()
    for batches in streams:
        batch = batches.first
        labelled = isinstance(batch, tuple | list) and len(batch) == 2
        if not labelled:
            raise ConfigError(f"{batches.name} must yield pairs (inputs, targets), got {describe(batch)}")
        what = f"task_loss on {batches.name}"
        with explained(what, batch):
            outputs = stateless_call(module, batch)
        with explained(f"{what}, with outputs {describe(outputs)},", batch):
            loss = require_scalar(task_loss(outputs, batch[1]), "task_loss")
        hint = "put them into the head, or set requires_grad=False"
        used |= require_trainable(loss, what, module, module.model[0], hint)
    return used


def freeze_unused(module: nn.Module, used: set[int]) -> None:
    """Leave parameters that a loss does not depend on, such as a pooler's, as they are."""
    for parameter in module.parameters():
        if id(parameter) not in used:
            parameter.requires_grad_(False)


def wire(
    theta: EncoderWithObjectives,
    omega: EncoderWithHead,
    task_loss: PairLoss,
    *,
    batches: tuple[EndlessBatches, EndlessBatches, EndlessBatches],
    optimizers: tuple[OptimizerFactory, OptimizerFactory, OptimizerFactory],
    gamma: float,
    clip: float | None,
) -> ThreeLevels:
    """The three levels over a user's modules, once all of them are checked on their first batches.

    Args:
        theta: level 1's model.
        omega: level 2's; what the task does not use of it is frozen.
        task_loss: ``(outputs, targets) -> scalar``.
        batches: of the three levels.
        optimizers: likewise.
        gamma: strength of the proximal term.
        clip: largest norm of a gradient of levels 1 and 2.

    Raises:
        ConfigError: see :func:`learn_weights`.
    """
    require_objectives(theta, batches[0])
    freeze_unused(omega, require_task(omega, task_loss, *batches[1:]))
    mixture = ObjectiveWeights(names=tuple(theta.named)).to(next(theta.parameters()).device)
    shared, anchor = shared_parameters(omega, omega.model[0], theta.encoder)
    pretrain = Pretraining(
        module=theta,
        batches=batches[0],
        optimizer=make_optimizer(optimizers[0], theta),
        clip=clip,
        mixture=mixture,
    )
    finetune = Finetuning(
        module=omega,
        batches=batches[1],
        optimizer=make_optimizer(optimizers[1], omega),
        clip=clip,
        task_loss=of_pairs(task_loss),
        proximal=SquaredL2(gamma=gamma),
        shared=shared,
        anchor=anchor,
    )
    weights = WeightLevel(
        module=mixture,
        batches=batches[2],
        optimizer=make_optimizer(optimizers[2], mixture),
        finetuning=finetune,
    )
    return ThreeLevels(pretrain=pretrain, finetune=finetune, weights=weights)


def make_optimizer(factory: OptimizerFactory, module: nn.Module) -> Optimizer:
    """An optimizer over the trained parameters of a module.

    Raises:
        ConfigError: ``factory`` makes none.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = factory(parameters) if callable(factory) else factory
    mine = {id(p) for p in parameters}
    if not isinstance(optimizer, Optimizer) or mine != {
        id(p) for group in optimizer.param_groups for p in group["params"]
    }:
        raise ConfigError(
            "an optimizer is given as a function from parameters to an optimizer over them, such as "
            "functools.partial(torch.optim.SGD, lr=0.1): what is trained are copies of the modules"
        )
    return optimizer


def of_pairs(task_loss: PairLoss) -> PairLoss:
    """A loss of outputs and targets as one of outputs and a batch ``(inputs, targets)``."""
    return lambda outputs, pair: require_scalar(task_loss(outputs, pair[1]), "task_loss")
