"""The same three levels as a user of Betty 0.2 would write them: stock problems, stock ``darts``.

Nothing of molweight's hypergradient is used. It is what the published code runs, and so the baseline of
`benchmarks/step_cost.py`; a test uses its finite differences as a witness for ours.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

from molweight.tapweight.levels import Level, ThreeLevels
from molweight.tapweight.solver import Unroll
from molweight.tapweight.typing import Batch


def stock_engine(levels: ThreeLevels, *, unroll: Unroll | None = None, radius: float = 0.01) -> Any:
    """Betty's engine over the levels' modules, batches and optimisers, with ``darts`` throughout.

    Advance it with :func:`advance`. The gradient of the logits is that of the loss itself, not divided by
    ``2 gamma``.

    Args:
        levels: advanced in place.
        unroll: steps of the lower levels; None: one each.
        radius: ``darts_alpha``, Betty's default.
    """
    from betty.configs import Config, EngineConfig
    from betty.engine import Engine
    from betty.problems import ImplicitProblem

    unroll = unroll or Unroll()

    class Problem(ImplicitProblem):  # type: ignore[misc]
        """Draws its level's batches; clips and steps as the level does."""

        def __init__(self, level: Level, steps: int) -> None:
            keep = level is levels.weights
            config = Config(
                type="darts", darts_alpha=radius, first_order=True, retain_graph=keep, unroll_steps=steps
            )
            super().__init__(name=level.name, config=config, module=level.module, optimizer=level.optimizer)
            self.level = level

        def get_batch(self) -> Batch:
            return self.level.next_batch()

        def trainable_parameters(self) -> list[Tensor]:
            return list(self.level.parameters)

        def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
            self.level.optimizer_step()

        def patch_optimizer(self) -> None:
            """Kept: Betty 0.2 would rebuild it."""

        def training_step(self, batch: Batch) -> Tensor:
            level = self.level
            if level is levels.pretrain:
                losses = level.module(batch)
                return torch.softmax(levels.mixture.logits, 0).to(losses.dtype) @ losses
            if level is levels.finetune:
                omega = tuple(level.parameters[i] for i in levels.finetune.shared)
                outputs = levels.finetune.task_loss(level.module(batch), batch)
                return outputs + levels.finetune.proximal(omega, levels.finetune.anchor)
            return levels.finetune.task_loss(levels.finetune.module(batch), batch)

    pretrain = Problem(levels.pretrain, unroll.pretrain)
    finetune = Problem(levels.finetune, unroll.finetune)
    weights = Problem(levels.weights, 1)
    logger = logging.getLogger("betty")
    previous, logger.disabled = logger.disabled, True
    try:
        return Engine(
            problems=[pretrain, finetune, weights],
            config=EngineConfig(strategy="cpu", logger_type="none"),
            dependencies={
                "u2l": {weights: [pretrain]},
                "l2u": {pretrain: [finetune], finetune: [weights]},
            },
        )
    finally:
        logger.disabled = previous


def advance(engine: Any, unroll: Unroll | None = None) -> None:
    """As many level-1 steps as one update of the weights needs."""
    engine.train()
    for _ in range((unroll or Unroll()).every):
        engine.global_step += 1
        engine.train_step()
