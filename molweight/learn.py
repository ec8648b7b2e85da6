"""The learning stage: wire a setup into three levels and step them, saving as it goes."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import Any, Literal

import torch
from tqdm import tqdm

from molweight.config import RunConfig
from molweight.run_directory import RunDirectory
from molweight.separation import as_dict, separation
from molweight.signals import stop_if_asked
from molweight.tapweight.engines import make_solver
from molweight.tapweight.levels import Finetuning, Pretraining, ThreeLevels, Weighting, shared_parameters
from molweight.tapweight.mixture import Mixture
from molweight.tapweight.solver import Solver, StepRecord, Trainer
from molweight.training.checkpoint import load_checkpoint, save_checkpoint
from molweight.training.setup import Setup
from molweight.training.streams import Stream
from molweight.training.workers import Workers, choose_workers

LevelName = Literal["pretrain", "finetune", "weights"]
# TapWeight, reweight_cls.sh and reweight_reg.sh ``--lam``
PUBLISHED_GAMMA = {"classification": 1e-3, "regression": 1e-2}


@dataclass(frozen=True, kw_only=True)
class Learned:
    """The end of the learning stage.

    Args:
        weights: of the objectives; empty where nothing was pretrained.
        separation: whether each was pushed away from equal by more than noise.
        engine: that drove the levels, with its version.
        images: pretraining samples seen.
    """

    weights: dict[str, float]
    separation: dict[str, dict[str, Any]]
    engine: str
    images: int


def learn(setup: Setup, config: RunConfig, directory: RunDirectory, *, progress: bool) -> Learned:
    """Adapt the backbone of ``setup.pretraining`` and learn the weights on three levels, or go on doing so.

    Every outer step is a line of ``steps.jsonl``; a checkpoint is written every
    ``learn.checkpoint_every`` steps, at the end, and when a signal asks to stop.
    """
    with Workers(choose_workers(config.workers, setup.handover.device)) as workers:
        return _learn(setup, config, directory, workers, progress=progress)


def _learn(
    setup: Setup, config: RunConfig, directory: RunDirectory, workers: Workers, *, progress: bool
) -> Learned:
    recipe = config.learn
    levels = wire(setup, config, workers)
    solver = make_solver(
        config.solver,
        levels,
        config.hypergradient,
        unroll=recipe.unroll,
        averaging=recipe.averaging,
        learn=len(setup.objectives) > 1,
    )
    run_steps(solver, config, directory, steps=recipe.steps, what="learn weights", progress=progress)
    per_step = recipe.unroll.every * levels.pretrain.batches.batch_size  # type: ignore[attr-defined]
    return Learned(
        weights=levels.mixture.named(levels.mixture.weights()),
        separation=as_dict(separation(directory.records())),
        engine=engine_name(solver),
        images=per_step * solver.count,
    )


def run_steps(
    trainer: Trainer, config: RunConfig, directory: RunDirectory, *, steps: int, what: str, progress: bool
) -> None:
    """Bring a trainer to a number of outer steps; records and checkpoints as :func:`learn` says.

    Args:
        trainer: continued from the directory's newest checkpoint.
        config: says how often to save.
        directory: of the run.
        steps: outer ones.
        what: shown beside the bar.
        progress: show a bar.
    """

    def save() -> None:
        save_checkpoint(directory.checkpoints, trainer.count, trainer.state_dict())

    resume(trainer, directory)
    silent = None if progress else True  # None: shown on a terminal only
    with tqdm(total=steps, initial=trainer.count, desc=what, unit="step", disable=silent) as bar:
        while trainer.count < steps:
            record = trainer.step()
            directory.append_record(record.as_dict())
            bar.set_postfix_str(in_short(record))
            bar.update()
            if trainer.count % config.learn.checkpoint_every == 0 or trainer.count == steps:
                save()
            stop_if_asked(save)


def in_short(record: StepRecord) -> str:
    """A step for the progress bar."""
    top = max(record.weights, key=lambda name: record.weights[name])
    parts = [f"top {top} {record.weights[top]:.2f}"]
    if record.validation_loss is None:
        parts.insert(0, f"loss {sum(record.losses.values()):.3f}")
    else:
        parts.insert(0, f"validation loss {record.validation_loss:.3f}")
    if record.snr is not None:
        parts.append(f"signal/noise {record.snr:.1f}")
    return ", ".join(parts)


def wire(setup: Setup, config: RunConfig, workers: Workers | None = None) -> ThreeLevels:
    """The three levels over a setup's models and parts; workers prepare their batches ahead of use."""
    recipe, seed = config.learn, config.seed
    model = setup.make_model(setup.pretraining.backbone, seed)
    shared, anchor = shared_parameters(model, model.backbone, setup.pretraining.backbone)
    mixture = Mixture(names=setup.objectives, update=recipe.update).to(anchor[0].device)
    inner = recipe.steps * recipe.unroll.finetune

    def trained(module: torch.nn.Module, optimiser: Any, steps: int) -> dict[str, Any]:
        optimizer, scheduler = optimiser.build(module.parameters(), steps=steps)
        return {"module": module, "optimizer": optimizer, "scheduler": scheduler, "clip": optimiser.clip}

    pretrain = Pretraining(
        **trained(setup.pretraining, recipe.pretrain, inner * recipe.unroll.pretrain),
        batches=make_stream(setup, config, workers, "pretrain"),
        mixture=mixture,
    )
    finetune = Finetuning(
        **trained(model, recipe.finetune, inner),
        batches=make_stream(setup, config, workers, "finetune"),
        task_loss=setup.task.loss,
        proximal=recipe.proximal.build(PUBLISHED_GAMMA[setup.task.kind]),
        shared=shared,
        anchor=anchor,
    )
    weights = Weighting(
        **trained(mixture, recipe.weights, recipe.steps),
        batches=make_stream(setup, config, workers, "weights"),
        finetuning=finetune,
        accumulate=recipe.accumulate,
    )
    return ThreeLevels(pretrain=pretrain, finetune=finetune, weights=weights)


def make_stream(
    setup: Setup,
    config: RunConfig,
    workers: Workers | None,
    level: Literal["pretrain", "finetune", "weights"],
) -> Stream:
    """The batches of a level; level 3 reads validation, or the part ``meta`` under ``strict``."""
    upper = setup.meta if config.protocol == "strict" else setup.valid
    fetch, positions = {
        "pretrain": (setup.fetch_unlabelled, setup.unlabelled),
        "finetune": (setup.fetch_labelled, setup.train.positions),
        "weights": (setup.fetch_plain, upper.positions),
    }[level]
    return Stream(
        fetch,
        positions,
        batch_size=getattr(config.learn.batch_size, level),
        seed=config.seed,
        name=level,
        workers=workers,
        handover=setup.handover,
    )


def resume(trainer: Trainer, directory: RunDirectory) -> None:
    """Load the newest whole checkpoint, if any, and cut ``steps.jsonl`` back to it."""
    found = load_checkpoint(directory.checkpoints)
    if found is not None:
        trainer.load_state_dict(found[1])
    directory.keep_records(trainer.count)


def engine_name(solver: Solver) -> str:
    """The engine and its version."""
    if solver.engine == "betty":
        return f"betty {importlib.metadata.version('betty-ml')}"
    return solver.engine
