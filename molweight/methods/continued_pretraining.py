"""Methods without a third level: continued pretraining under weights, or a rule, that never read the task."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from molweight.methods.base import Learned, Method, RunConfig
from molweight.methods.pretraining_cache import cached_pretraining
from molweight.methods.run_directory import RunDirectory
from molweight.methods.steps import images_seen, lower_precision, make_stream, run_steps, trained
from molweight.tapweight.balancing import Balance
from molweight.tapweight.one_level import Balanced, BalancedPretraining, OneLevel
from molweight.training.setup import DataModule
from molweight.training.workers import Workers, choose_workers


class ContinuedPretraining(Method):
    """Continued pretraining under a balance of its own."""

    @abstractmethod
    def balance(self, names: Sequence[str]) -> Balance:
        """How level 1 weighs the losses of the objectives ``names``, [k]."""

    def pretrain(
        self, setup: DataModule, config: RunConfig, directory: RunDirectory, *, progress: bool
    ) -> Learned:
        """With as many steps as a method with a third level takes, it sees the same batches."""
        balance = self.balance(setup.objectives)
        steps = config.learn.steps
        return continue_pretraining(setup, config, directory, balance, steps=steps, progress=progress)


def continue_pretraining(
    setup: DataModule,
    config: RunConfig,
    directory: RunDirectory,
    balance: Balance,
    *,
    steps: int,
    progress: bool,
) -> Learned:
    """Pretrain the backbone of ``setup.pretraining`` under a balance, or continue doing so.

    What another run has left in the cache is loaded from there.

    Args:
        setup: its backbone is trained in place.
        config: of the run.
        directory: of records and checkpoints.
        balance: of the losses.
        steps: outer ones.
        progress: show a bar.
    """
    cached = cached_pretraining(setup, config, balance, steps=steps)
    loaded = cached is not None and cached.load(setup.pretraining.backbone, directory)
    if not loaded:
        if cached is not None:
            cached.reserve()
        train(setup, config, directory, balance, steps=steps, progress=progress)
        if cached is not None:
            cached.save(setup.pretraining.backbone, directory)
    records = directory.records()
    return Learned(
        weights={
            name: float(np.mean([record["weights"][name] for record in records])) for name in setup.objectives
        },
        engine=OneLevel.engine,
        images=images_seen(setup, config, steps),
        seconds_reused=sum(record["seconds"] for record in records) if loaded else 0.0,
    )


def train(
    setup: DataModule,
    config: RunConfig,
    directory: RunDirectory,
    balance: Balance,
    *,
    steps: int,
    progress: bool,
) -> None:
    """Bring level 1 to a number of outer steps."""
    every, backbone = config.learn.unroll.every, setup.pretraining.backbone
    with Workers(choose_workers(config.workers, setup.transfer.device)) as workers:
        level = BalancedPretraining(
            **trained(
                Balanced(setup.pretraining, balance.to(setup.transfer.device)),
                config.learn.pretrain,
                steps=steps * every,
                backbone=backbone,
                precision=lower_precision(setup, config),
            ),
            batches=make_stream(setup, config, workers, "pretrain"),
            names=setup.objectives,
            shared=tuple(p for p in backbone.parameters() if p.requires_grad),
        )
        trainer = OneLevel(level, every=every)
        run_steps(trainer, config, directory, steps=steps, what="pretrain", progress=progress)
