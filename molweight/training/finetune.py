"""Finetuning with early stopping: one careful recipe for backbones that were pretrained."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from molweight.distributed.batch_norm import average_statistics
from molweight.distributed.collectives import average_gradients, of_leader, of_whole_batch
from molweight.errors import ConfigError, DivergedError
from molweight.tapweight.typing import Batch, Batches
from molweight.training.label_task import LabelTask
from molweight.training.metrics import score_label
from molweight.training.optimisers import OptimiserConfig
from molweight.training.task import Task

logger = logging.getLogger(__name__)

Evaluation = Callable[[], Iterator[Batch]]
"""A fresh pass over a part, in order, without augmentation."""

HINT = "lower finetune.optimiser.lr"


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """How the adapted backbone becomes the final model.

    Args:
        epochs: largest number of epochs.
        batch_size: training samples in a batch.
        patience: epochs without a better validation score before stopping.
        optimiser: with its warm-up and clipping. AdamW with warm-up: plain SGD hardly beats the mean
            after cluster pretraining.
    """

    epochs: int
    batch_size: int
    patience: int
    optimiser: OptimiserConfig

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.patience) < 1:
            raise ConfigError("finetune.epochs, batch_size and patience must be >= 1")


@dataclass(kw_only=True)
class Finetuned:
    """What finetuning found; the module holds the best epoch's weights.

    ``history`` has one entry an epoch: ``epoch``, ``train_loss``, ``valid_loss``, ``valid``.
    """

    valid: float = math.nan
    best_epoch: int = 0
    selected_by: str = "metric"
    constant: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)


def finetune(
    module: nn.Module,
    task: Task | LabelTask,
    train: Batches,
    valid: Evaluation,
    recipe: FinetuneConfig,
    *,
    steps_per_epoch: int,
    progress: bool = False,
    between: Callable[[], None] = lambda: None,
) -> Finetuned:
    """Train ``module`` on the task and leave it with the weights of its best validation epoch.

    Selection is by the metric; where validation labels do not define it (one class only), by the
    validation loss, with a warning.

    Args:
        module: ``module(batch) -> [b, t]``; changed in place.
        task: loss and metric.
        train: endless training batches.
        valid: passes over the validation part.
        recipe: epochs, optimiser, patience.
        steps_per_epoch: updates between two validations.
        progress: show a bar.
        between: called before every step, and may raise.

    Raises:
        DivergedError: a loss or an output is not finite.
    """
    optimizer, scheduler = recipe.optimiser.build(
        module.parameters(),
        steps=recipe.epochs * steps_per_epoch,
        backbone=getattr(module, "backbone", None),
    )
    result, best, best_loss, waited = Finetuned(), None, math.inf, 0
    label = score_label(task.metric, normalised=task.scale is not None)
    bar = tqdm(range(1, recipe.epochs + 1), desc="finetune", unit="epoch", disable=None if progress else True)
    for epoch in bar:
        train_loss = 0.0
        module.train()
        for _ in range(steps_per_epoch):
            between()
            train_loss += (
                update(module, task, train.next(), optimizer, recipe.optimiser.clip) / steps_per_epoch
            )
            scheduler.step()
        outputs, valid_loss, value = validate(module, task, valid())
        if math.isnan(value):
            result.selected_by = "loss"
        by_loss = result.selected_by == "loss"
        improved = valid_loss < best_loss if by_loss else task.better(value, result.valid)
        result.history.append(
            {"epoch": epoch, "train_loss": train_loss, "valid_loss": valid_loss, "valid": value}
        )
        if improved:
            result.valid, result.best_epoch, best_loss, waited = value, epoch, valid_loss, 0
            result.constant = task.constant(outputs)
            best = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        else:
            waited += 1
        bar.set_postfix_str(f"train loss {train_loss:.3f}, valid {label} {value:.3f}")
        if waited >= recipe.patience:
            break
    bar.close()
    if best is not None:
        module.load_state_dict(best)
    warn(result, task)
    return result


def update(
    module: nn.Module,
    task: Task | LabelTask,
    batch: Batch,
    optimizer: torch.optim.Optimizer,
    clip: float | None,
) -> float:
    """One step on one batch; the loss before it.

    Raises:
        DivergedError: before the update, if the loss is not finite.
    """
    loss = of_whole_batch(task.loss)(module(batch), batch)
    value = loss.item()
    if not math.isfinite(value):
        raise DivergedError(f"the finetuning loss is {value}; {HINT}")
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    average_gradients(module.parameters())
    average_statistics(module)
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(module.parameters(), clip)
    optimizer.step()
    return value


def validate(
    module: nn.Module, task: Task | LabelTask, batches: Iterator[Batch]
) -> tuple[Tensor, float, float]:
    """Outputs [n, t], their loss and the metric, which may be NaN; the same in all processes.

    Raises:
        DivergedError: an output is not finite: the last update overflowed.
    """
    outputs, targets = evaluate(module, batches)
    outputs = of_leader(outputs, next(module.parameters()).device)
    if not outputs.isfinite().all():
        raise DivergedError(f"the model's outputs are not finite; {HINT}")
    loss = task.loss(outputs, {"targets": targets}).item()
    return outputs, loss, task.score(task.predicted(outputs, targets).ranked, targets).value


@torch.no_grad()
def evaluate(module: nn.Module, batches: Iterator[Batch]) -> tuple[Tensor, Tensor]:
    """Outputs and labels, [n, t] each, in evaluation mode."""
    module.eval()
    outputs, targets = [], []
    for batch in batches:
        outputs.append(module(batch).float().cpu())
        targets.append(batch["targets"].cpu())
    return torch.cat(outputs), torch.cat(targets)


def warn(result: Finetuned, task: Task | LabelTask) -> None:
    """Say what a reader of the score should know."""
    if result.constant:
        logger.warning(
            "the model predicts the same value for every validation sample: it learned nothing; "
            "raise finetune.optimiser.lr or finetune.epochs"
        )
    if result.selected_by == "loss":
        logger.warning(
            "%s is undefined on the validation part (one class only): the model was selected by its "
            "validation loss; another split may serve better",
            task.metric,
        )
