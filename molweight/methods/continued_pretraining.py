"""The learning stage of methods without a third level: continued pretraining."""

from __future__ import annotations

from typing import Any

import numpy as np

from molweight.methods.configs import RunConfig
from molweight.methods.pretraining_cache import kept_pretraining
from molweight.methods.run_directory import RunDirectory
from molweight.methods.steps import Learned, images_seen, lower_precision, make_stream, run_steps, trained
from molweight.tapweight.balancing import Balance
from molweight.tapweight.one_level import Balanced, BalancedPretraining, OneLevel
from molweight.training.setup import Setup
from molweight.training.workers import Workers, choose_workers


def continue_pretraining(
    setup: Setup, config: RunConfig, directory: RunDirectory, balance: Balance, *, steps: int, progress: bool
) -> Learned:
    """Pretrain the backbone of ``setup.pretraining`` under a balance, or continue doing so.

    What another run has kept in the cache is taken from there.

    Args:
        setup: its backbone is trained in place.
        config: of the run.
        directory: of records and checkpoints.
        balance: of the losses.
        steps: outer ones; with as many as a method with a third level takes, it sees the same batches.
        progress: show a bar.
    """
    kept = kept_pretraining(setup, config, balance, steps=steps)
    taken = kept is not None and kept.take(setup.pretraining.backbone, directory)
    if not taken:
        if kept is not None:
            kept.reserve()
        train(setup, config, directory, balance, steps=steps, progress=progress)
        if kept is not None:
            kept.keep(setup.pretraining.backbone, directory)
    records = directory.records()
    return Learned(
        weights=mean_weights(records, setup.objectives),
        separation={},
        engine=OneLevel.engine,
        images=images_seen(setup, config, steps),
        seconds_reused=sum(record["seconds"] for record in records) if taken else 0.0,
    )


def train(
    setup: Setup, config: RunConfig, directory: RunDirectory, balance: Balance, *, steps: int, progress: bool
) -> None:
    """Bring the backbone to a number of outer steps."""
    recipe = config.learn
    with Workers(choose_workers(config.workers, setup.transfer.device)) as workers:
        trainer = OneLevel(
            level_one(setup, config, balance, steps=steps * recipe.unroll.every, workers=workers),
            every=recipe.unroll.every,
        )
        run_steps(trainer, config, directory, steps=steps, what="pretrain", progress=progress)


def level_one(
    setup: Setup, config: RunConfig, balance: Balance, *, steps: int, workers: Workers | None
) -> BalancedPretraining:
    """Level 1 under a balance, for a number of its steps."""
    module = Balanced(setup.pretraining, balance.to(setup.transfer.device))
    return BalancedPretraining(
        **trained(
            module,
            config.learn.pretrain,
            steps=steps,
            backbone=setup.pretraining.backbone,
            precision=lower_precision(setup, config),
        ),
        batches=make_stream(setup, config, workers, "pretrain"),
        names=setup.objectives,
        shared=tuple(p for p in setup.pretraining.backbone.parameters() if p.requires_grad),
    )


def mean_weights(records: list[dict[str, Any]], names: tuple[str, ...]) -> dict[str, float]:
    """The weights that the objectives had on average."""
    return {name: float(np.mean([record["weights"][name] for record in records])) for name in names}
