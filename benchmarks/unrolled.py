"""The exact hypergradient of a small problem: autograd through every step of both lower levels.

Level 1 takes 50 steps of SGD or Adam, level 2 another 50, all recorded in float64, so that the derivative of
the validation loss with respect to the logits is exact for this training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchmarks.small_problem import Setting, task_loss
from molweight.tapweight.functional import trainable
from molweight.tapweight.levels import (
    Level,
    ThreeLevels,
)
from molweight.tapweight.typing import Batch

TINY = 1e-30  # keeps the root of Adam's second moment differentiable at zero


@dataclass(kw_only=True)
class Trajectory:
    """One level's parameters and its optimiser's state, as functions of what they came from."""

    values: list[Tensor]
    first: list[Tensor]  # momentum
    second: list[Tensor]  # Adam's second moment
    count: int

    @classmethod
    def of(cls, level: Level) -> Trajectory:
        """Where the level stands."""
        state = [level.optimizer.state.get(p, {}) for p in level.parameters]

        def saved(parameter: Tensor, entry: Any, *keys: str) -> Tensor:
            found = [entry[key] for key in keys if entry.get(key) is not None]
            return found[0].clone() if found else torch.zeros_like(parameter)

        pairs = list(zip(level.parameters, state, strict=True))
        return cls(
            values=[p.detach().clone().requires_grad_() for p in level.parameters],
            first=[saved(p, s, "momentum_buffer", "exp_avg") for p, s in pairs],
            second=[saved(p, s, "exp_avg_sq") for p, s in pairs],
            count=int(state[0].get("step", 0)),
        )

    def advance(self, loss: Any, setting: Setting) -> None:
        """One recorded step; torch.optim's SGD, or its Adam (Kingma and Ba 2015, algorithm 1)."""
        gradients = torch.autograd.grad(loss(self.values), self.values, create_graph=True)
        self.count += 1
        if setting.optimiser == "sgd":
            self.first = [setting.momentum * m + g for m, g in zip(self.first, gradients, strict=True)]
            self.values = [v - setting.rate * m for v, m in zip(self.values, self.first, strict=True)]
            return
        a, b = 0.9, 0.999
        self.first = [a * m + (1 - a) * g for m, g in zip(self.first, gradients, strict=True)]
        self.second = [b * s + (1 - b) * g * g for s, g in zip(self.second, gradients, strict=True)]
        rise, spread = 1 - a**self.count, 1 - b**self.count
        self.values = [
            v - setting.rate * (m / rise) / ((s / spread + TINY).sqrt() + 1e-8)
            for v, m, s in zip(self.values, self.first, self.second, strict=True)
        ]

    def settle(self, level: Level, setting: Setting) -> None:
        """Put the level, and its optimiser, where the trajectory ends."""
        with torch.no_grad():
            for p, v, m, s in zip(level.parameters, self.values, self.first, self.second, strict=True):
                p.copy_(v)
                if setting.optimiser == "adam":
                    level.optimizer.state[p] = {
                        "step": torch.tensor(float(self.count)),
                        "exp_avg": m.detach().clone(),
                        "exp_avg_sq": s.detach().clone(),
                    }


def train(levels: ThreeLevels, setting: Setting, logits: Tensor) -> tuple[Tensor, Trajectory, Trajectory]:
    """Both lower levels from their start, as a differentiable function of the logits.

    Returns:
        The validation loss, and the trajectories of theta and omega at their ends.
    """
    lower, upper = levels.pretrain, levels.finetune
    unlabelled, labelled, valid = lower.next_batch(), upper.next_batch(), levels.weights.batches.next()
    weights = torch.softmax(logits, 0)
    theta, omega = Trajectory.of(lower), Trajectory.of(upper)
    for _ in range(setting.steps):
        theta.advance(lambda v: weights @ call(lower.module, v, unlabelled), setting)
    by_id = {id(p): v for p, v in zip(lower.parameters, theta.values, strict=True)}
    anchor = tuple(by_id[id(p)] for p in upper.anchor)

    def level_two(values: list[Tensor]) -> Tensor:
        tie = upper.proximal(tuple(values[i] for i in upper.shared), anchor)
        return task_loss(call(upper.module, values, labelled), labelled) + tie

    for _ in range(setting.steps):
        omega.advance(level_two, setting)
    return task_loss(call(upper.module, omega.values, valid), valid), theta, omega


def call(module: nn.Module, values: list[Tensor], batch: Batch) -> Tensor:
    """The module at given parameters, on copies of its buffers."""
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    output: Tensor = functional_call(
        module, buffers | dict(zip(trainable(module), values, strict=True)), (batch,)
    )
    return output


def truth(levels: ThreeLevels, setting: Setting) -> Tensor:
    """The exact hypergradient [k]; leaves both lower levels at the end of their training."""
    logits = levels.mixture.logits.detach().clone().requires_grad_()
    loss, theta, omega = train(levels, setting, logits)
    (gradient,) = torch.autograd.grad(loss, logits)
    theta.settle(levels.pretrain, setting)
    omega.settle(levels.finetune, setting)
    return gradient
