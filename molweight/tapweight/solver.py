"""A loop over the levels: one weight update and the lower-level steps that precede it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch

from molweight.errors import ConfigError
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.levels import ThreeLevels


@dataclass(frozen=True, kw_only=True)
class Unroll:
    """How many steps of a lower level go into one of the level above (published: 1 and 1).

    Args:
        pretrain: level-1 steps for each level-2 step, > 0.
        finetune: level-2 steps for each update of the weights, > 0.
    """

    pretrain: int = 1
    finetune: int = 1

    def __post_init__(self) -> None:
        if self.pretrain < 1 or self.finetune < 1:
            raise ConfigError(f"unroll needs steps >= 1, got {self.pretrain} and {self.finetune}")


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """What one outer step did; a line of ``steps.jsonl``.

    ``hypergradient`` is that of the logits, divided by ``2 gamma``; ``weights`` are those after the
    update, ``losses`` those of the last level-1 batch, before it.
    """

    step: int
    weights: dict[str, float]
    losses: dict[str, float]
    hypergradient: dict[str, float]
    finetune_loss: float
    validation_loss: float
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The record as plain containers."""
        return asdict(self)


class Solver(ABC):
    """Runs the levels; every engine does the same arithmetic in the same order.

    Args:
        levels: the chained problem; advanced in place.
        hypergradient: how level 3's gradient is computed.
        unroll: the number of lower-level steps.
        learn: False holds the weights where they are: the same steps without level 3.
    """

    engine: ClassVar[str]

    def __init__(
        self,
        levels: ThreeLevels,
        hypergradient: Hypergradient,
        *,
        unroll: Unroll | None = None,
        learn: bool = True,
    ) -> None:
        self.levels = levels
        self.hypergradient = hypergradient
        self.unroll = unroll or Unroll()
        self.learn = learn
        self.count = 0
        self.gradient = torch.zeros_like(levels.mixture.logits)  # the last hypergradient, [k]

    @abstractmethod
    def advance(self) -> None:
        """The lower-level steps and one update of the weights."""

    def step(self) -> StepRecord:
        """One outer step.

        Raises:
            DivergedError: a loss or a gradient was not finite; the update it belongs to was not made.
        """
        start = time.perf_counter()
        for level in (self.levels.pretrain, self.levels.finetune):
            level.module.train()
        self.advance()
        self.count += 1
        mixture = self.levels.mixture
        return StepRecord(
            step=self.count,
            weights=mixture.named(mixture.weights()),
            losses=mixture.named(self.levels.pretrain.losses),
            hypergradient=mixture.named(self.gradient),
            finetune_loss=self.levels.finetune.value,
            validation_loss=self.levels.weights.value,
            seconds=time.perf_counter() - start,
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything the next step depends on: models, optimisers, schedules, streams, random state."""
        levels = (self.levels.pretrain, self.levels.finetune, self.levels.weights)
        return {
            "count": self.count,
            "random": torch.get_rng_state(),
            "levels": {
                level.name: {
                    "module": dict(level.module.state_dict()),
                    "optimizer": level.optimizer.state_dict(),
                    "scheduler": None if level.scheduler is None else level.scheduler.state_dict(),
                    "batches": level.batches.state_dict(),
                }
                for level in levels
            },
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken, between two outer steps."""
        self.count = state["count"]
        for level in (self.levels.pretrain, self.levels.finetune, self.levels.weights):
            saved = state["levels"][level.name]
            level.module.load_state_dict(saved["module"])
            level.optimizer.load_state_dict(saved["optimizer"])
            if level.scheduler is not None:
                level.scheduler.load_state_dict(saved["scheduler"])
            level.batches.load_state_dict(saved["batches"])
        torch.set_rng_state(state["random"])


class NativeSolver(Solver):
    """The loop, written out."""

    engine = "native"

    def advance(self) -> None:
        """``unroll.finetune`` times (``unroll.pretrain`` level-1 steps, one level-2 step), then level 3."""
        for _ in range(self.unroll.finetune):
            for _ in range(self.unroll.pretrain):
                self.levels.pretrain.descend()
            self.levels.finetune.descend()
        if self.learn:
            self.reweight()

    def reweight(self) -> None:
        """One update of the mixture's logits."""
        level = self.levels.weights
        loss = level.loss(level.draw())
        self.gradient = self.hypergradient(self.levels, loss)
        self.levels.mixture.logits.grad = self.gradient.clone()
        level.apply()
        level.zero_grad()
