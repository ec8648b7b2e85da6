"""A loop over the levels: one weight update and the lower-level steps that precede it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from molweight.errors import ConfigError
from molweight.tapweight.averaging import Averaging, AveragingConfig
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.levels import Pretraining, ThreeLevels, TrainableModule, WeightLevel
from molweight.tapweight.random_states import random_states, set_random_states
from molweight.tapweight.restoring import require_layout
from molweight.tapweight.typing import Batch, LevelBatches, StateDict


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
    hypergradient: dict[str, float] = field(default_factory=dict)
    snr: float | None = None
    finetune_loss: float | None = None
    validation_loss: float | None = None
    seconds: float

    def as_dict(self) -> dict[str, object]:
        """The record as plain containers."""
        return asdict(self)


class Trainer(ABC):
    """Something that is trained step by step and can be continued from any of them.

    A subclass says what a step does (:meth:`advance`) and what is recorded of it (:meth:`record`).

    Args:
        trained: all that is trained.
    """

    engine: ClassVar[str] = "native"

    def __init__(self, *trained: TrainableModule) -> None:
        self.trained = trained
        self.count = 0  # outer steps done

    @property
    def device(self) -> torch.device:
        """Where it is trained."""
        return self.trained[0].parameters[0].device

    def step(self) -> StepRecord:
        """One outer step.

        Raises:
            DivergedError: a loss or a gradient was not finite; the update it belongs to was not made.
        """
        start = time.perf_counter()
        for level in self.trained:
            level.module.train()
        self.advance()
        record = self.record(seconds=time.perf_counter() - start)
        self.count += 1
        return record

    @abstractmethod
    def advance(self) -> None:
        """The steps of the levels that make up an outer step."""

    @abstractmethod
    def record(self, *, seconds: float) -> StepRecord:
        """What outer step ``count + 1``, which :meth:`advance` has just made, did."""

    def state_dict(self) -> StateDict:
        """Everything the next step depends on: models, optimisers, schedules, streams, random state."""
        return {
            "count": self.count,
            "random": random_states(self.device),
            "levels": {level.name: level.state_dict() for level in self.trained},
        }

    def load_state_dict(self, state: StateDict) -> None:
        """Continue where :meth:`state_dict` was taken, between two outer steps.

        Raises:
            ValueError: it was taken from something else.
        """
        require_layout(state, self.state_dict())
        self.count = state["count"]
        for level in self.trained:
            level.load_state_dict(state["levels"][level.name])
        set_random_states(state["random"], self.device)


class WeightLearner(Trainer):
    """Lower levels, and the weights of the objectives, which follow the hypergradient.

    A subclass runs its lower levels and computes the hypergradient on the batches that they used.

    Args:
        lower: the levels below the weights; the first one trains the objectives.
        weights: the level above them.
        hypergradient: how the gradient of the weights is computed.
        averaging: of the hypergradients; None uses each as it comes.
        burn_in: outer steps at the start in which the weights wait for the heads of the lower levels.
        learn: False holds the weights where they are: the same steps without level 3.
    """

    def __init__(
        self,
        lower: tuple[Pretraining, *tuple[TrainableModule, ...]],
        weights: WeightLevel,
        hypergradient: Hypergradient,
        *,
        averaging: AveragingConfig | None,
        burn_in: int,
        learn: bool = True,
    ) -> None:
        super().__init__(*lower, weights)
        self.pretrain, self.weights, self.hypergradient = lower[0], weights, hypergradient
        self.averaging = Averaging(len(self.pretrain.mixture.names), averaging)
        self.burn_in, self.learn = burn_in, learn
        self.gradient = torch.zeros_like(self.pretrain.mixture.logits)  # the last hypergradient, [k]

    @property
    def learns(self) -> bool:
        """Whether this outer step updates the weights: they do not wait, and are not held."""
        return self.learn and self.count >= self.burn_in

    @property
    @abstractmethod
    def finetune_loss(self) -> float:
        """The task's loss at the last lower-level step."""

    @abstractmethod
    def run_lower_levels(self) -> LevelBatches:
        """The lower-level steps that precede an update of the weights; the last batch of every level."""

    @abstractmethod
    def compute_hypergradient(self, batches: LevelBatches, loss: Tensor) -> Tensor:
        """The gradient [k] of the validation loss with respect to the logits."""

    def advance(self) -> None:
        """The lower levels and, after the burn-in, one update of the weights."""
        batches = self.run_lower_levels()
        if self.learns:
            self.update_weights(batches)

    def update_weights(self, batches: LevelBatches) -> None:
        """One update of the mixture's logits.

        Args:
            batches: the last ones of the lower levels.
        """

        def compute_gradients(batch: Batch) -> None:
            gradient = self.compute_hypergradient(batches, self.weights.loss(batch))
            self.pretrain.mixture.logits.grad = self.average_hypergradient(gradient)

        self.weights.train_step(compute_gradients)

    def average_hypergradient(self, gradient: Tensor) -> Tensor:
        """The direction [k] that the weights follow once this hypergradient [k] is taken in."""
        self.gradient = gradient.detach().clone()
        return self.averaging.add(self.gradient)

    def record(self, *, seconds: float) -> StepRecord:
        """The weights, the losses and, where the weights were updated, the hypergradient."""
        pretrain, mixture, learns = self.pretrain, self.pretrain.mixture, self.learns
        return StepRecord(
            step=self.count + 1,
            weights=mixture.named(mixture.weights()),
            losses=mixture.named(pretrain.objective_losses(pretrain.losses)),
            hypergradient=mixture.named(self.gradient) if learns else {},
            snr=self.averaging.snr if learns else None,
            finetune_loss=self.finetune_loss,
            validation_loss=self.weights.value if learns else None,
            seconds=seconds,
        )

    def state_dict(self) -> StateDict:
        """As :meth:`Trainer.state_dict`, with the average of the hypergradients."""
        return super().state_dict() | {"averaging": self.averaging.state_dict()}

    def load_state_dict(self, state: StateDict) -> None:
        """As :meth:`Trainer.load_state_dict`."""
        super().load_state_dict(state)
        self.averaging.load_state_dict(state["averaging"])


class Solver(WeightLearner):
    """Runs three levels; every engine does the same arithmetic in the same order. This is ``native``.

    Args:
        levels: the chained problem; advanced in place.
        hypergradient: how level 3's gradient is computed.
        unroll: the number of lower-level steps.
        averaging: see :class:`WeightLearner`, as for the others.
        burn_in: outer steps in which the weights wait.
        learn: False leaves level 3 out.
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
        lower = (levels.pretrain, levels.finetune)
        super().__init__(
            lower, levels.weights, hypergradient, averaging=averaging, burn_in=burn_in, learn=learn
        )
        self.levels, self.unroll = levels, unroll or Unroll()

    def run_lower_levels(self) -> LevelBatches:
        """``unroll.finetune`` times ``unroll.pretrain`` level-1 steps and one level-2 step."""
        levels, batches = self.levels, {}
        for _ in range(self.unroll.finetune):
            for _ in range(self.unroll.pretrain):
                batches["pretrain"] = levels.pretrain.train_step()
            batches["finetune"] = levels.finetune.train_step()
        return batches

    def compute_hypergradient(self, batches: LevelBatches, loss: Tensor) -> Tensor:
        """Through both lower levels."""
        return self.hypergradient(self.levels, batches, loss)

    @property
    def finetune_loss(self) -> float:
        """Level 2's last loss, with the proximal term."""
        return self.levels.finetune.value
