"""The same three levels driven by Betty 0.2 (leopard-ai/betty), with our products.

Betty calls, for every leaf step: ``get_batch``, ``training_step``, ``backward``, ``optimizer_step``; after
enough of them it steps the problem above. For a problem with lower ones it walks the path of levels
and multiplies by best-response Jacobians looked up by name in ``jvp_fn_mapping``
(betty/hypergradient/__init__.py); one entry of ours stands there and asks the problem it is called on.
"""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from torch import Tensor

from molweight.tapweight.levels import Level
from molweight.tapweight.solver import Solver
from molweight.tapweight.typing import Batch

PRODUCT = "molweight"  # our name in Betty's table of products


def find_betty() -> str | None:
    """The version of an importable Betty 0.2, or None. PyPI's ``betty`` is an unrelated package."""
    try:
        version = importlib.metadata.version("betty-ml")
    except importlib.metadata.PackageNotFoundError:
        return None
    return version if version.startswith("0.2.") else None


class BettySolver(Solver):
    """A solver whose loop is Betty's engine; gives bit for bit what the native loop gives."""

    engine = "betty"

    @cached_property
    def _engine(self) -> Any:
        """Betty's engine over the levels."""
        return _make_engine(self)

    def advance(self) -> None:
        """As many leaf steps as one update of the weights needs; without one, the native loop."""
        if not self.learns:
            return super().advance()
        self._engine.train()
        for _ in range(self.unroll.every):
            self._engine.global_step += 1
            self._engine.train_step()


def _make_engine(solver: BettySolver) -> Any:
    """Betty's engine over one problem for each level, with its own machinery switched off."""
    from betty.configs import Config, EngineConfig
    from betty.engine import Engine
    from betty.hypergradient import jvp_fn_mapping
    from betty.problems import ImplicitProblem

    class LevelProblem(ImplicitProblem):  # type: ignore[misc]
        """A level of ours as a problem of Betty's; every decision stays with the level."""

        def __init__(self, level: Level, unroll_steps: int) -> None:
            keep = level is solver.levels.weights  # its graph is walked twice
            config = Config(type=PRODUCT, first_order=True, retain_graph=keep, unroll_steps=unroll_steps)
            super().__init__(name=level.name, config=config, module=level.module, optimizer=level.optimizer)
            self.level = level
            self.solver = solver

        def get_batch(self) -> Batch:
            return self.level.next_batch()

        def training_step(self, batch: Batch) -> Tensor:
            return self.level.loss(batch)

        def trainable_parameters(self) -> list[Tensor]:
            if self.level is solver.levels.weights:
                return [solver.levels.mixture.logits]
            return list(self.level.parameters)

        def optimizer_step(self, *args: object, **kwargs: object) -> None:
            self.level.optimizer_step()

        def patch_module(self) -> None:
            """The module stays where it is."""

        def patch_optimizer(self) -> None:
            """The optimiser stays what it is: Betty 0.2 would rebuild it and lose its groups."""

        def patch_scheduler(self) -> None:
            """The level steps its own schedule."""

    jvp_fn_mapping[PRODUCT] = _product
    levels, unroll = solver.levels, solver.unroll
    pretrain = LevelProblem(levels.pretrain, unroll.pretrain)
    finetune = LevelProblem(levels.finetune, unroll.finetune)
    weights = LevelProblem(levels.weights, 1)
    dependencies = {"u2l": {weights: [pretrain]}, "l2u": {pretrain: [finetune], finetune: [weights]}}
    logger = logging.getLogger("betty")  # its engine announces itself on the root handler
    previous, logger.disabled = logger.disabled, True
    try:
        return Engine(
            problems=[pretrain, finetune, weights],
            config=EngineConfig(strategy="cpu", logger_type="none"),
            dependencies=dependencies,
        )
    finally:
        logger.disabled = previous


def _product(vector: Sequence[Tensor], curr: Any, prev: Any, sync: bool) -> tuple[Tensor, ...] | None:
    """Betty's signature: carry ``vector`` from problem ``curr`` to ``prev``; the last hop sets gradients.

    Betty keeps the last batch of a problem as ``cur_batch``.
    """
    solver: BettySolver = curr.solver
    if not sync:
        return solver.hypergradient.vjp_level2(solver.levels, curr.cur_batch, tuple(vector))
    gradient = solver.hypergradient.vjp_level1(solver.levels.pretrain, curr.cur_batch, tuple(vector))
    prev.set_grads(prev.trainable_parameters(), [solver.average_hypergradient(gradient)])
    return None
