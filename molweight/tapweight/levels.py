"""The three levels: what each trains, on which batches, with which loss and optimiser."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from molweight.distributed.batch_norm import average_statistics
from molweight.distributed.collectives import average_gradients, of_whole_batch
from molweight.errors import DivergedError
from molweight.tapweight.batches import inner, nest
from molweight.tapweight.functional import stateless_call
from molweight.tapweight.objective_weights import ObjectiveWeights
from molweight.tapweight.precision import Precision
from molweight.tapweight.proximal import Proximal
from molweight.tapweight.restoring import restore_optimizer, restore_schedule
from molweight.tapweight.typing import Batch, Batches, Params, StateDict, TaskLoss
from molweight.tapweight.vectors import axpy, dot


@dataclass(kw_only=True)
class TrainableModule(ABC):
    """Something that is trained: a module, its batches, its optimiser.

    Args:
        name: ``pretrain``, ``finetune`` or ``weights``; used in messages.
        module: holds the parameters that this level trains.
        batches: its stream of batches.
        optimizer: over the parameters of ``module``.
        scheduler: stepped after every update.
        clip: largest norm of the gradient (> 0), or None.
        precision: that its loss is computed in.
    """

    name: str
    module: nn.Module
    batches: Batches
    optimizer: Optimizer
    scheduler: LRScheduler | None = None
    clip: float | None = None
    precision: Precision = field(default_factory=Precision)

    @abstractmethod
    def compute_gradients(self, batch: Batch) -> None:
        """Put a gradient into every parameter."""

    @property
    def parameters(self) -> Params:
        """The trained parameters, in a fixed order."""
        return tuple(p for p in self.module.parameters() if p.requires_grad)

    def next_batch(self) -> Batch:
        """The next batch of its stream."""
        return self.batches.next()

    def optimizer_step(self) -> None:
        """Average the gradients over the processes, clip, update the parameters, advance the schedule.

        Raises:
            DivergedError: a gradient is not finite; nothing was updated. Not in float16, whose scaled
                gradients may overflow: that update is left out and the scale lowered.
        """
        gradients = average_gradients(self.parameters)
        average_statistics(self.module)
        self.precision.unscale(self.optimizer)
        norm = torch.nn.utils.get_total_norm(gradients)
        if not self.precision.scales:
            require_finite(norm, f"the gradient of level '{self.name}'")
        if self.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.clip, norm)
        updated = self.precision.step(self.optimizer)
        if updated and self.scheduler is not None:
            self.scheduler.step()

    def state_dict(self) -> StateDict:
        """What its next step depends on: parameters, optimiser, schedule, position in the stream, scale."""
        return {
            "module": dict(self.module.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "batches": self.batches.state_dict(),
            "precision": self.precision.state_dict(),
        }

    def load_state_dict(self, state: StateDict) -> None:
        """Continue where :meth:`state_dict` was taken.

        Raises:
            ValueError: it was taken from another level.
        """
        self.module.load_state_dict(state["module"])
        restore_optimizer(self.optimizer, state["optimizer"])
        if self.scheduler is not None:
            restore_schedule(self.scheduler, state["scheduler"])
        self.batches.load_state_dict(state["batches"])
        self.precision.load_state_dict(state["precision"])

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def train_step(self, compute_gradients: Callable[[Batch], None] | None = None) -> Batch:
        """One step: the next batch, its gradients, an update. Every level is trained by this.

        Args:
            compute_gradients: instead of the level's own :meth:`compute_gradients`.

        Returns:
            The batch, for derivatives that are taken on it later.
        """
        batch = self.next_batch()
        (compute_gradients or self.compute_gradients)(batch)
        self.optimizer_step()
        self.zero_grad()
        return batch


@dataclass(kw_only=True)
class Level(TrainableModule):
    """One optimisation problem of the three: what is trained has a scalar loss."""

    value: float = float("nan")  # the last loss

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """The scalar that this level minimises, scaled where the precision asks for it."""

    def compute_gradients(self, batch: Batch) -> None:
        """The gradient of the loss."""
        torch.autograd.backward(self.loss(batch), inputs=self.parameters)

    def checked(self, loss: Tensor) -> Tensor:
        """The same loss, once it is known to be finite.

        Raises:
            DivergedError: before any update was made with it.
        """
        self.value = loss.item()
        return require_finite(loss, f"the loss of level '{self.name}'")


@dataclass(kw_only=True)
class Pretraining(Level):
    """Level 1: ``theta* = argmin sum_k lambda_k L_k(theta)``.

    ``module(batch)`` returns the loss vector [k].
    """

    name: str = "pretrain"
    mixture: ObjectiveWeights
    losses: Tensor = field(default_factory=lambda: torch.zeros(0))  # the last loss vector, [k]

    def loss(self, batch: Batch) -> Tensor:
        """The weighted sum of the objectives."""
        losses = self.precision(self.module, batch)
        self.losses = losses.detach()
        require_finite_losses(self.mixture.named(self.objective_losses(self.losses)))
        return self.precision.scaled(self.checked(self.total(losses)))

    def total(self, losses: Tensor) -> Tensor:
        """The scalar that is minimised, of the module's losses."""
        total: Tensor = self.mixture(losses)
        return total

    def objective_losses(self, losses: Tensor) -> Tensor:
        """Those of the module's losses that the mixture weighs, [k]."""
        return losses


@dataclass(kw_only=True)
class Finetuning(Level):
    """Level 2: ``omega* = argmin L(omega; train) + gamma || omega_backbone - theta_backbone ||^2``.

    ``module(batch)`` returns outputs [b, t].

    Args:
        task_loss: of the outputs.
        proximal: the term that ties the two backbones.
        shared: positions in ``parameters`` of the backbone's parameters.
        anchor: the matching parameters of level 1.
    """

    name: str = "finetune"
    task_loss: TaskLoss
    proximal: Proximal
    shared: tuple[int, ...]
    anchor: Params

    def loss(self, batch: Batch) -> Tensor:
        """The task's loss and the proximal term."""
        outputs = self.precision(self.module, batch)
        return self.precision.scaled(self.checked(self.total(outputs, batch, self.parameters)))

    def total(self, outputs: Tensor, batch: Batch, parameters: Params) -> Tensor:
        """The level's loss of given outputs and parameters."""
        omega = tuple(parameters[i] for i in self.shared)
        theta = tuple(p.detach() for p in self.anchor)
        return of_whole_batch(self.task_loss)(outputs, batch) + self.proximal(omega, theta)


class Validated(Protocol):
    """What level 3 validates: a model of the task, and how its outputs are judged."""

    @property
    def module(self) -> nn.Module:
        """Outputs [b, t] of a batch."""

    @property
    def task_loss(self) -> TaskLoss:
        """Of the outputs."""

    @property
    def parameters(self) -> Params:
        """Those of the module."""


@dataclass(frozen=True)
class SharedTask:
    """A :class:`Validated` model that has no level of its own."""

    module: nn.Module
    task_loss: TaskLoss

    @property
    def parameters(self) -> Params:
        """Those of the module."""
        return tuple(p for p in self.module.parameters() if p.requires_grad)


@dataclass(kw_only=True)
class WeightLevel(Level):
    """Level 3: the validation loss of the finetuned model, minimised over the mixture's logits.

    Args:
        accumulate: validation batches that one update averages over, > 0; memory stays that of one.
    """

    name: str = "weights"
    finetuning: Validated
    accumulate: int = 1

    def next_batch(self) -> Batch:
        """The next ``accumulate`` batches, nested by their number: of any shapes, so not one tensor."""
        if self.accumulate == 1:
            return super().next_batch()
        return nest({str(i): self.batches.next() for i in range(self.accumulate)})

    def loss(self, batch: Batch) -> Tensor:
        """The validation loss of omega; its BatchNorm statistics and the random state stay as they are."""
        if self.accumulate == 1:
            return self.checked(self.task(batch))
        parameters = self.finetuning.parameters
        total = torch.zeros((), device=parameters[0].device)
        slope = tuple(torch.zeros_like(p) for p in parameters)
        for number in batch:
            loss = self.task(inner(batch, number)) / self.accumulate
            total = total + loss.detach()
            slope = axpy(1.0, torch.autograd.grad(loss, parameters), slope)
        # The same value and the same gradient, without the graphs of all batches at once.
        return self.checked(total + dot(slope, axpy(-1.0, tuple(p.detach() for p in parameters), parameters)))

    def task(self, batch: Batch) -> Tensor:
        """The task's loss of one batch."""
        outputs = stateless_call(self.finetuning.module, batch)
        return of_whole_batch(self.finetuning.task_loss)(outputs, batch)


@dataclass(frozen=True, kw_only=True)
class ThreeLevels:
    """The chained problem: pretrain, finetune, weights."""

    pretrain: Pretraining
    finetune: Finetuning
    weights: WeightLevel

    @property
    def mixture(self) -> ObjectiveWeights:
        """The weights of the objectives."""
        return self.pretrain.mixture


HINT = "lower that level's learning rate or its clip, or check the labels for extreme values"


def require_finite(value: Tensor, what: str) -> Tensor:
    """The value itself when all of it is finite.

    Raises:
        DivergedError: naming what is not finite.
    """
    if not bool(torch.isfinite(value).all()):
        raise DivergedError(f"{what} is not finite ({value.detach().tolist()}); {HINT}")
    return value


def require_finite_losses(losses: dict[str, float]) -> None:
    """Raise :class:`DivergedError` for the first objective whose loss is not finite."""
    for name, value in losses.items():
        if not math.isfinite(value):
            raise DivergedError(f"objective '{name}' has the loss {value}; {HINT}")


def shared_parameters(
    upper: nn.Module, upper_backbone: nn.Module, lower_backbone: nn.Module
) -> tuple[tuple[int, ...], Params]:
    """Where the backbone of ``upper`` sits among its parameters, and the matching lower parameters.

    Args:
        upper: level 2's module.
        upper_backbone: the part of it that is a copy of ``lower_backbone``.
        lower_backbone: level 1's backbone.

    Returns:
        Positions in ``upper``'s trainable parameters, and the lower parameters in that order.
    """
    positions = {id(p): i for i, p in enumerate(p for p in upper.parameters() if p.requires_grad)}
    lower = dict(lower_backbone.named_parameters())
    names = [name for name, p in upper_backbone.named_parameters() if p.requires_grad]
    mine = dict(upper_backbone.named_parameters())
    assert all(mine[name].shape == lower[name].shape for name in names), "the two backbones differ"
    return tuple(positions[id(mine[name])] for name in names), tuple(lower[name] for name in names)
