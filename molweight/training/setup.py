"""What a modality hands to the experiment: models, objectives, data and the task, wired but not trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from molweight.tapweight.typing import Batch
from molweight.training.draws import Draws
from molweight.training.finetune import Evaluation
from molweight.training.held_out import HeldOut
from molweight.training.label_task import LabelTask
from molweight.training.streams import Fetch
from molweight.training.task import Predicted, Task
from molweight.training.workers import DeviceTransfer

Predictor = Callable[[Tensor, Iterator[Batch]], Predicted]
"""``(positions [n], their batches) -> what a model says of them``"""

Baseline = Callable[[Tensor, int], Predictor]
"""``(positions of the training samples [n], seed) -> a predictor``, without a network"""


@dataclass(frozen=True, kw_only=True)
class Subset:
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
class EvalLoaders:
    """Passes over labelled samples, in order, without augmentation.

    Args:
        fetch: builds a batch from positions.
        transfer: brings it to the device.
        batch: samples at a time, without gradients.
    """

    fetch: Fetch
    transfer: DeviceTransfer
    batch: int

    def over(self, positions: Tensor) -> Evaluation:
        """A fresh pass over some positions [n], whenever it is called."""

        def batches() -> Iterator[Batch]:
            for chunk in torch.split(positions, self.batch):
                plain = self.fetch(chunk, Draws("evaluation", samples=chunk))
                yield self.transfer.to_device(self.transfer.prepare(plain))

        return batches

    def part(self, positions: Tensor) -> Subset:
        """A part of the data set."""
        return Subset(positions=positions, evaluation=self.over(positions))

    def held_out(self, positions: Tensor) -> HeldOut:
        """The part that is locked until the end."""
        return HeldOut(self.over(positions), positions)


def nothing(positions: Tensor, draws: Draws) -> Batch:
    """Batches for level 1 of a run that pretrains nothing."""
    raise AssertionError("nothing is pretrained")


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
        transfer: brings fetched batches to the device.
        train, meta, valid: the parts; ``meta`` is empty under protocol ``paper``.
        test: the locked part.
        describe: identifies samples in ``predictions.csv``: column name to one value a sample.
        facts: what the report says about the data.
        summary: one line on what was prepared.
        export: ``(run directory)``: writes what other programs need to use ``backbone.safetensors``.
        baselines: those without a network, by the name of their method.
        model_card: what ``model.json`` needs to use the weights again, besides the task.
    """

    objectives: tuple[str, ...]
    pretraining: Any  # an nn.Module with a ``backbone``; Python's types have no intersection
    make_model: Callable[[nn.Module, int], Any]
    task: Task | LabelTask
    unlabelled: Tensor
    fetch_unlabelled: Fetch
    fetch_labelled: Fetch
    fetch_plain: Fetch
    transfer: DeviceTransfer
    train: Subset
    meta: Subset
    valid: Subset
    test: HeldOut
    describe: dict[str, Sequence[Any]]
    facts: dict[str, Any]
    summary: str = ""
    export: Callable[[Path], None] = lambda path: None
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    model_card: dict[str, Any] = field(default_factory=dict)


class SetupConfig(Protocol):
    """All choices of a modality that turn its samples into a setup."""

    @property
    def name(self) -> str:
        """Of the data set."""

    @property
    def split_kind(self) -> str:
        """How it is divided."""

    @property
    def objectives(self) -> Sequence[Any]:
        """Those to pretrain with, each with its ``name``, in the order of the loss vector."""

    def check_sources(self, labelled: Any, unlabelled: Any) -> None:
        """Refuse samples handed over where the configuration names some already.

        Raises:
            ConfigError: naming the way out.
        """

    def prepare(
        self, *, run_dir: Path, device: torch.device, labelled: Any, unlabelled: Any, progress: bool
    ) -> Setup:
        """Read, split and wire.

        Args:
            run_dir: where files about the data go.
            device: of models and batches.
            labelled: samples to read instead of the data set's file, or None.
            unlabelled: samples to read instead of the corpus, or None.
            progress: show bars.
        """
