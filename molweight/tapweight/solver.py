"""A loop over the levels: one weight update and the lower-level steps that precede it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from molweight.errors import ConfigError
from molweight.tapweight.averaging import Averaging, AveragingConfig
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.levels import ThreeLevels, TrainableModule
from molweight.tapweight.random_states import random_states, set_random_states
from molweight.tapweight.restoring import require_layout, restore_optimizer, restore_schedule


@dataclass(frozen=True, kw_only=True)
class Unroll:
    """How many steps of the lower levels go into one of the level above (published: 1 and 1).

    Args:
        every: level-1 steps for each update of the weights, a multiple of ``pretrain``.
        pretrain: level-1 steps for each level-2 step, > 0.
    """

    every: int = 1
    pretrain: int = 1

    def __post_init__(self) -> None:
        if self.pretrain < 1 or self.every < 1 or self.every % self.pretrain:
            raise ConfigError(
                "unroll needs pretrain >= 1 and every a multiple of it, got "
                f"every={self.every} and pretrain={self.pretrain}"
            )

    @property
    def finetune(self) -> int:
        """Level-2 steps for each update of the weights."""
        return self.every // self.pretrain


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """What one outer step did; a line of ``steps.jsonl``.

    ``hypergradient`` is that of the logits, divided by ``2 gamma``; ``weights`` are those after the
    update, ``losses`` those of the last level-1 batch, before it. ``snr`` is the signal-to-noise ratio
    of the averaged hypergradient that the update used, None where nothing is averaged. What a method does
    without is None, or empty; so is what belongs to level 3 while the weights wait.
    """

    step: int
    weights: dict[str, float]
    losses: dict[str, float]
    hypergradient: dict[str, float]
    snr: float | None
    finetune_loss: float | None
    validation_loss: float | None
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The record as plain containers."""
        return asdict(self)


class Trainer(ABC):
    """Something that is trained step by step and can be continued from any of them."""

    engine: ClassVar[str] = "native"
    count: int = 0  # outer steps done

    @property
    @abstractmethod
    def trained(self) -> tuple[TrainableModule, ...]:
        """All that is trained."""

    @property
    def device(self) -> torch.device:
        """Where it is trained."""
        return self.trained[0].parameters[0].device

    @abstractmethod
    def step(self) -> StepRecord:
        """One outer step.

        Raises:
            DivergedError: a loss or a gradient was not finite; the update it belongs to was not made.
        """

    def state_dict(self) -> dict[str, Any]:
        """Everything the next step depends on: models, optimisers, schedules, streams, random state."""
        return {
            "count": self.count,
            "random": random_states(self.device),
            "levels": {
                level.name: {
                    "module": dict(level.module.state_dict()),
                    "optimizer": level.optimizer.state_dict(),
                    "scheduler": None if level.scheduler is None else level.scheduler.state_dict(),
                    "batches": level.batches.state_dict(),
                    "precision": level.precision.state_dict(),
                }
                for level in self.trained
            },
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken, between two outer steps.

        Raises:
            ValueError: it was taken from something else.
        """
        require_layout(state, self.state_dict())
        self.count = state["count"]
        for level in self.trained:
            saved = state["levels"][level.name]
            level.module.load_state_dict(saved["module"])
            restore_optimizer(level.optimizer, saved["optimizer"])
            if level.scheduler is not None:
                restore_schedule(level.scheduler, saved["scheduler"])
            level.batches.load_state_dict(saved["batches"])
            level.precision.load_state_dict(saved["precision"])
        set_random_states(state["random"], self.device)


class Solver(Trainer):
    """Runs three levels; every engine does the same arithmetic in the same order.

    Args:
        levels: the chained problem; advanced in place.
        hypergradient: how level 3's gradient is computed.
        unroll: the number of lower-level steps.
        averaging: of the hypergradients; None uses each as it comes.
        burn_in: outer steps at the start in which the weights wait for the heads of levels 1 and 2.
        learn: False holds the weights where they are: the same steps without level 3.
    """

    def __init__(
        self,
        levels: ThreeLevels,
        hypergradient: Hypergradient,
        *,
        unroll: Unroll | None = None,
        averaging: AveragingConfig | None = None,
        burn_in: int = 0,
        learn: bool = True,
    ) -> None:
        self.levels = levels
        self.hypergradient = hypergradient
        self.unroll = unroll or Unroll()
        self.averaging = Averaging(len(levels.mixture.names), averaging)
        self.burn_in, self.learn = burn_in, learn
        self.gradient = torch.zeros_like(levels.mixture.logits)  # the last hypergradient, [k]

    @abstractmethod
    def advance(self) -> None:
        """The lower-level steps and one update of the weights."""

    def run_lower_levels(self) -> None:
        """``unroll.finetune`` times ``unroll.pretrain`` level-1 steps and one level-2 step."""
        for _ in range(self.unroll.finetune):
            for _ in range(self.unroll.pretrain):
                self.levels.pretrain.train_step()
            self.levels.finetune.train_step()

    def average_hypergradient(self, gradient: Tensor) -> Tensor:
        """The direction [k] that the weights follow once this hypergradient [k] is taken in."""
        self.gradient = gradient.detach().clone()
        return self.averaging.add(self.gradient)

    def step(self) -> StepRecord:
        """The lower-level steps and, after the burn-in, one update of the weights."""
        start = time.perf_counter()
        for level in (self.levels.pretrain, self.levels.finetune):
            level.module.train()
        learns = self.learn and self.count >= self.burn_in
        if learns:
            self.advance()
        else:
            self.run_lower_levels()
        self.count += 1
        mixture = self.levels.mixture
        return StepRecord(
            step=self.count,
            weights=mixture.named(mixture.weights()),
            losses=mixture.named(self.levels.pretrain.losses),
            hypergradient=mixture.named(self.gradient) if learns else {},
            snr=self.averaging.snr if learns else None,
            finetune_loss=self.levels.finetune.value,
            validation_loss=self.levels.weights.value if learns else None,
            seconds=time.perf_counter() - start,
        )

    def state_dict(self) -> dict[str, Any]:
        """As :meth:`Trainer.state_dict`, with the average of the hypergradients."""
        return super().state_dict() | {"averaging": self.averaging.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As :meth:`Trainer.load_state_dict`."""
        super().load_state_dict(state)
        self.averaging.load_state_dict(state["averaging"])

    @property
    def trained(self) -> tuple[TrainableModule, ...]:
        """Pretraining, finetuning and weights."""
        return (self.levels.pretrain, self.levels.finetune, self.levels.weights)


class NativeSolver(Solver):
    """The loop, written out."""

    def advance(self) -> None:
        """The lower levels, then level 3."""
        self.run_lower_levels()
        self.reweight()

    def reweight(self) -> None:
        """One update of the mixture's logits."""
        level = self.levels.weights
        loss = level.loss(level.next_batch())
        self.levels.mixture.logits.grad = self.average_hypergradient(self.hypergradient(self.levels, loss))
        level.optimizer_step()
        level.zero_grad()
