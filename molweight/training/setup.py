"""What a modality hands to the experiment: models, objectives, data and the task, wired but not trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from molweight.training.finetune import Evaluation
from molweight.training.held_out import HeldOut
from molweight.training.streams import Fetch
from molweight.training.task import Task
from molweight.training.workers import Handover


@dataclass(frozen=True, kw_only=True)
class Part:
    """Labelled samples of one part.

    Args:
        positions: of its samples in the data set, [n].
        evaluation: a fresh pass over them, in order, without augmentation.
    """

    positions: Tensor
    evaluation: Evaluation

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Everything an experiment needs; nothing in it says whether samples are pictures or sentences.

    Args:
        objectives: their names, in the order of the loss vector.
        pretraining: level 1's model with its ``backbone``, on the device.
        make_model: a task model around a *copy* of a backbone, with a new head, on the device.
        task: of the labelled samples.
        unlabelled: positions of the corpus, [n].
        fetch_unlabelled: batches for level 1.
        fetch_labelled: augmented batches for training on the task.
        fetch_plain: the same samples without augmentation.
        handover: brings fetched batches to the device.
        train, meta, valid: the parts; ``meta`` is empty under protocol ``paper``.
        test: the locked part.
        describe: identifies samples in ``predictions.csv``: column name to one value a sample.
        facts: what the report says about the data.
        model_card: what ``model.json`` needs to use the weights again, besides the task.
    """

    objectives: tuple[str, ...]
    pretraining: Any  # an nn.Module with a ``backbone``; Python's types have no intersection
    make_model: Callable[[nn.Module, int], Any]
    task: Task
    unlabelled: Tensor
    fetch_unlabelled: Fetch
    fetch_labelled: Fetch
    fetch_plain: Fetch
    handover: Handover
    train: Part
    meta: Part
    valid: Part
    test: HeldOut
    describe: dict[str, Sequence[Any]]
    facts: dict[str, Any]
    model_card: dict[str, Any] = field(default_factory=dict)
