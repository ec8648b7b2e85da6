"""What the learning stages share: streams of batches, stepping, records, checkpoints."""

from __future__ import annotations

from typing import Any, Literal

from torch import nn
from tqdm import tqdm

from molweight.distributed.collectives import is_main_process
from molweight.distributed.launch import barrier, require_same, stop_together
from molweight.errors import DataError
from molweight.methods.base import RunConfig
from molweight.methods.run_directory import RunDirectory
from molweight.tapweight.precision import Precision
from molweight.tapweight.solver import StepRecord, Trainer
from molweight.training.checkpoint import load_checkpoint, save_checkpoint
from molweight.training.optimisers import OptimiserConfig
from molweight.training.setup import DataModule
from molweight.training.streams import Stream
from molweight.training.workers import Workers

LevelName = Literal["pretrain", "finetune", "weights"]


def run_steps(
    trainer: Trainer, config: RunConfig, directory: RunDirectory, *, steps: int, what: str, progress: bool
) -> None:
    """Bring a trainer to a number of outer steps; every step is recorded.

    Every outer step is a line of ``steps.jsonl``; a checkpoint is written every
    ``learn.checkpoint_every`` steps, at the end, and when a signal asks to stop; once for a step.

    Args:
        trainer: continued from the directory's newest checkpoint.
        config: says how often to save.
        directory: of the run.
        steps: outer ones.
        what: shown beside the bar.
        progress: show a bar.
    """

    device = trainer.device
    saved = -1  # the step of the newest checkpoint of this process

    def save() -> None:
        nonlocal saved
        if saved == trainer.count:
            return
        require_same_models(trainer)
        state = trainer.state_dict()
        if is_main_process():
            directory.sync_records()
            save_checkpoint(directory.checkpoints, trainer.count, state)
        saved = trainer.count

    resume(trainer, directory)
    require_same_models(trainer)
    silent = None if progress else True  # None: shown on a terminal only
    with tqdm(total=steps, initial=trainer.count, desc=what, unit="step", disable=silent) as bar:
        while trainer.count < steps:
            record = trainer.step()
            directory.append_record(record.as_dict())
            bar.set_postfix_str(in_short(record))
            bar.update()
            if trainer.count % config.learn.checkpoint_every == 0 or trainer.count == steps:
                save()
            stop_together(save, device=device)
    barrier(device)  # the records are whole


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


def make_stream(
    setup: DataModule,
    config: RunConfig,
    workers: Workers | None,
    level: LevelName,
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
        transfer=setup.transfer,
    )


def trained(
    module: nn.Module,
    optimiser: OptimiserConfig,
    *,
    steps: int,
    backbone: nn.Module | None = None,
    precision: Precision | None = None,
) -> dict[str, Any]:
    """The fields of a level that say what it trains and how, for a number of its steps.

    Args:
        module: trained.
        optimiser: of its parameters.
        steps: of the learning rate's schedule.
        backbone: the part of the module that ``head_lr`` is not for.
        precision: of its losses; None is float32.
    """
    optimizer, scheduler = optimiser.build(module.parameters(), steps=steps, backbone=backbone)
    return {
        "module": module,
        "optimizer": optimizer,
        "scheduler": scheduler,
        "clip": optimiser.clip,
        "precision": precision or Precision(),
    }


def lower_precision(setup: DataModule, config: RunConfig) -> Precision:
    """What a lower level computes its losses in; each has a scale of its own."""
    return Precision(config.precision, setup.transfer.device.type)


def images_seen(setup: DataModule, config: RunConfig, count: int) -> int:
    """Pretraining samples in a number of outer steps."""
    batch = min(config.learn.batch_size.pretrain, len(setup.unlabelled))
    return config.learn.unroll.every * batch * count


def require_same_models(trainer: Trainer) -> None:
    """Insist that all processes are where this one is, with the same models."""
    for level in trainer.trained:
        require_same(level.module, f"the model of level '{level.name}' after {trainer.count} outer steps")


def resume(trainer: Trainer, directory: RunDirectory) -> None:
    """Load the newest whole checkpoint, if any, and cut ``steps.jsonl`` back to it.

    Raises:
        DataError: it is whole, but of other models: somebody has put it there.
    """
    checkpoint = load_checkpoint(directory.checkpoints)
    if checkpoint is not None:
        step, state = checkpoint
        try:
            trainer.load_state_dict(state)
            if trainer.count != step:
                raise ValueError("it counts other steps")
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise DataError(
                f"the checkpoint of step {step} in {directory.checkpoints} is none of this run "
                f"({type(error).__name__}); delete the folder to start over"
            ) from error
    barrier(trainer.device)  # before they are cut
    directory.keep_records(trainer.count)
