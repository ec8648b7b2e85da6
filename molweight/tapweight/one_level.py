"""Level 1 alone: continued pretraining with weights that come from elsewhere than a third level."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from molweight.tapweight.balancing import Balance
from molweight.tapweight.levels import TrainableModule, require_finite_losses
from molweight.tapweight.solver import StepRecord, Trainer
from molweight.tapweight.typing import Batch, Params


class Balanced(nn.Module):
    """A model and what weighs its losses, as one module: both are trained and saved together."""

    def __init__(self, model: nn.Module, balance: Balance) -> None:
        super().__init__()
        self.model, self.balance = model, balance

    def forward(self, batch: Batch) -> Tensor:
        """The loss vector, [k]."""
        losses: Tensor = self.model(batch)
        return losses


@dataclass(kw_only=True)
class BalancedPretraining(TrainableModule):
    """Level 1 under a :class:`Balance`. ``module`` is a :class:`Balanced`.

    Args:
        names: of the objectives, [k].
        shared: the backbone's parameters.
    """

    name: str = "pretrain"
    names: tuple[str, ...]
    shared: Params
    losses: Tensor = field(default_factory=lambda: torch.zeros(0))  # the last loss vector, [k]
    weights: Tensor = field(default_factory=lambda: torch.zeros(0))  # that it was given, [k]

    def compute_gradients(self, batch: Batch) -> None:
        """As the balance says.

        Raises:
            DivergedError: a loss is not finite.
        """
        assert isinstance(self.module, Balanced)
        losses = self.precision(self.module, batch)
        self.losses = losses.detach()
        require_finite_losses(dict(zip(self.names, self.losses.tolist(), strict=True)))
        scaled = self.precision.scaled(losses)
        self.weights = self.module.balance.backward(scaled, self.parameters, self.shared).detach()


class OneLevel(Trainer):
    """Continued pretraining.

    Args:
        level: trained in place.
        every: its steps in one outer step, as many as a method with a third level would take.
    """

    def __init__(self, level: BalancedPretraining, *, every: int) -> None:
        super().__init__(level)
        self.level, self.every = level, every
        self.weights = torch.zeros(len(level.names))  # their mean over an outer step, [k]

    def advance(self) -> None:
        """``every`` level-1 steps."""
        self.weights.zero_()
        for _ in range(self.every):
            self.level.train_step()
            self.weights += self.level.weights.cpu() / self.every

    def record(self, *, seconds: float) -> StepRecord:
        """The mean of the weights, and the last losses."""
        return StepRecord(
            step=self.count + 1,
            weights=dict(zip(self.level.names, self.weights.tolist(), strict=True)),
            losses=dict(zip(self.level.names, self.level.losses.tolist(), strict=True)),
            seconds=seconds,
        )
