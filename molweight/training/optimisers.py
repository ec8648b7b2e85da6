"""Optimisers and learning-rate schedules by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from molweight.errors import ConfigError, unknown

OPTIMISERS = ("adamw", "adam", "sgd")
SCHEDULES = ("constant", "cosine", "linear", "step")


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """An optimiser, its schedule and its clipping.

    Args:
        name: ``adamw``, ``adam`` or ``sgd``.
        lr: largest learning rate, > 0.
        head_lr: learning rate of the parameters outside the backbone, which start at random beside a
            pretrained one, > 0; None: ``lr``.
        momentum: momentum of SGD, [0, 1); the others keep their own.
        weight_decay: weight decay, >= 0.
        warmup: fraction of the steps in which the rate rises linearly from 0, [0, 1).
        schedule: ``constant``; ``cosine`` or ``linear`` to zero; ``step``: times 0.9 every 100 steps, as
            published on all three levels.
        clip: largest gradient norm; larger gradients are scaled down to it. None: no limit.

    >>> recipe = OptimiserConfig(name="adamw", lr=1e-3, warmup=0.1, schedule="cosine")
    >>> [round(recipe.factor(100)(step), 3) for step in (0, 9, 55, 100)]
    [0.1, 1.0, 0.5, 0.0]
    """

    name: str
    lr: float
    head_lr: float | None = None
    momentum: float = 0.9
    weight_decay: float = 0.0
    warmup: float = 0.0
    schedule: str = "constant"
    clip: float | None = None

    def __post_init__(self) -> None:
        if self.name not in OPTIMISERS:
            raise ConfigError(unknown("optimiser", self.name, OPTIMISERS))
        if self.schedule not in SCHEDULES:
            raise ConfigError(unknown("schedule", self.schedule, SCHEDULES))
        fractions = 0 <= self.warmup < 1 and 0 <= self.momentum < 1
        if not (self.lr > 0 and self.weight_decay >= 0 and fractions):
            raise ConfigError(
                "an optimiser needs lr > 0, weight_decay >= 0, 0 <= warmup < 1 and 0 <= momentum < 1, got "
                f"lr={self.lr}, weight_decay={self.weight_decay}, warmup={self.warmup}, "
                f"momentum={self.momentum}"
            )
        if self.head_lr is not None and not self.head_lr > 0:
            raise ConfigError(f"head_lr must be > 0 or null, got {self.head_lr}")
        if self.clip is not None and not self.clip > 0:
            raise ConfigError(f"clip must be > 0 or null, got {self.clip}")

    def build(
        self, parameters: Iterable[nn.Parameter], *, steps: int, backbone: nn.Module | None = None
    ) -> tuple[Optimizer, LambdaLR]:
        """The optimiser over parameters, and its schedule over a number of steps.

        Args:
            parameters: those that need no gradient are left out.
            steps: of the schedule.
            backbone: whose parameters ``lr`` is meant for, where ``head_lr`` is set.

        Raises:
            ConfigError: ``head_lr`` is set and there is no backbone beside which heads could stand.
        """
        groups = self.groups([p for p in parameters if p.requires_grad], backbone)
        optimizer: Optimizer
        if self.name == "sgd":
            optimizer = torch.optim.SGD(
                groups, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay
            )
        elif self.name == "adam":
            optimizer = torch.optim.Adam(groups, lr=self.lr, weight_decay=self.weight_decay)
        else:
            optimizer = torch.optim.AdamW(groups, lr=self.lr, weight_decay=self.weight_decay)
        return optimizer, LambdaLR(optimizer, self.factor(steps))

    def groups(self, parameters: list[nn.Parameter], backbone: nn.Module | None) -> list[dict[str, object]]:
        """Parameters by learning rate."""
        if self.head_lr is None:
            return [{"params": parameters}]
        if backbone is None:
            raise ConfigError("head_lr is set where no backbone is trained: set lr alone")
        inside = {id(p) for p in backbone.parameters()}
        return [
            {"params": [p for p in parameters if id(p) in inside]},
            {"params": [p for p in parameters if id(p) not in inside], "lr": self.head_lr},
        ]

    def factor(self, steps: int) -> Callable[[int], float]:
        """The multiplier of ``lr`` at each step, in [0, 1]."""
        warm = round(self.warmup * steps)

        def at(step: int) -> float:
            if step < warm:
                return (step + 1) / warm
            done = min((step - warm) / max(steps - warm, 1), 1.0)
            if self.schedule == "cosine":
                return 0.5 * (1 + math.cos(math.pi * done))
            if self.schedule == "linear":
                return 1 - done
            if self.schedule == "step":
                return float(0.9 ** (step // 100))  # TapWeight, reweight.py: StepLR(100, 0.9)
            return 1.0

        return at
