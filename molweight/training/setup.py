"""The data module of a run: what a modality hands to the experiment, wired but not trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from molweight.tapweight.typing import Batch
from molweight.training.draws import Draws
from molweight.training.finetune import Evaluation
from molweight.training.held_out import HeldOut
from molweight.training.label_task import LabelTask
from molweight.training.models import PretrainingModel, TaskModel
from molweight.training.task import Predicted, Task
from molweight.training.workers import DeviceTransfer

Predictor = Callable[[Tensor, Iterator[Batch]], Predicted]
"""``(positions [n], their batches) -> what a model says of them``"""

Facts = dict[str, Any]
"""What ``report.json`` says about the data, as JSON holds it."""

Samples = Any
"""What a modality reads instead of its own files, such as a data frame or a list of texts; None: nothing."""

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


class DataModule(ABC):
    """Data, task and models of a run; nothing here says whether samples are pictures or sentences.

    A subclass reads and splits its samples, then hands over what is common to all.

    Args:
        pretraining: level 1's model, on the device.
        task: of the labelled samples.
        unlabelled: positions of the corpus, [n].
        parts: positions of ``train``, ``meta``, ``valid`` and ``test``, [n] each; ``meta`` is empty under
            protocol ``paper``, and ``test`` is locked until the end.
        transfer: brings fetched batches to the device.
        evaluation_batch: samples at a time, without gradients.
    """

    def __init__(
        self,
        *,
        pretraining: PretrainingModel,
        task: Task | LabelTask,
        unlabelled: Tensor,
        parts: Mapping[str, Tensor],
        transfer: DeviceTransfer,
        evaluation_batch: int,
    ) -> None:
        self.pretraining, self.task, self.transfer = pretraining, task, transfer
        self.unlabelled, self.evaluation_batch = unlabelled, evaluation_batch
        self.train, self.meta, self.valid = (self.subset(parts[name]) for name in ("train", "meta", "valid"))
        self.test = HeldOut(partial(self.evaluation_batches, parts["test"]), parts["test"])

    @property
    def objectives(self) -> tuple[str, ...]:
        """Their names, in the order of the loss vector."""
        return self.pretraining.objectives.names

    def subset(self, positions: Tensor) -> Subset:
        """The labelled samples at some positions [n]."""
        return Subset(positions=positions, evaluation=partial(self.evaluation_batches, positions))

    def evaluation_batches(self, positions: Tensor) -> Iterator[Batch]:
        """The labelled samples at some positions [n], in order, without augmentation, on the device."""
        for chunk in torch.split(positions, self.evaluation_batch):
            batch = self.fetch_plain(chunk, Draws("evaluation", samples=chunk))
            yield self.transfer.to_device(self.transfer.prepare(batch))

    @abstractmethod
    def fetch_unlabelled(self, positions: Tensor, draws: Draws) -> Batch:
        """Samples of the corpus for level 1."""

    @abstractmethod
    def fetch_plain(self, positions: Tensor, draws: Draws) -> Batch:
        """Labelled samples without augmentation."""

    def fetch_labelled(self, positions: Tensor, draws: Draws) -> Batch:
        """Labelled samples for training on the task, augmented where the modality does that."""
        return self.fetch_plain(positions, draws)

    @abstractmethod
    def make_model(self, backbone: nn.Module, seed: int) -> TaskModel:
        """A task model around a *copy* of a backbone, with a new head, on the device."""

    @property
    @abstractmethod
    def describe(self) -> Mapping[str, Sequence[object]]:
        """What identifies samples in ``predictions.csv``: column name to one value a sample."""

    @property
    @abstractmethod
    def facts(self) -> Facts:
        """What the report says about the data."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """One line on what was prepared."""

    @property
    @abstractmethod
    def model_metadata(self) -> dict[str, object]:
        """What ``model.json`` needs to use the weights again, besides the task."""

    @property
    def baselines(self) -> Mapping[str, Baseline]:
        """Baselines without a network, by the name of their method."""
        return {}

    def export(self, run_dir: Path) -> None:  # noqa: B027
        """Write what other programs need to use ``backbone.safetensors``."""


class Named(Protocol):
    """An objective, as far as a method chooses by it."""

    @property
    def name(self) -> str:
        """What users call it."""


class SetupConfig(Protocol):
    """All choices of a modality that turn its samples into a data module."""

    @property
    def name(self) -> str:
        """Of the data set."""

    @property
    def split_kind(self) -> str:
        """How it is divided."""

    @property
    def objectives(self) -> Sequence[Named]:
        """Those to pretrain with, each with its ``name``, in the order of the loss vector."""

    def check_sources(self, labelled: Samples, unlabelled: Samples) -> None:
        """Refuse samples handed over where the configuration names some already.

        Raises:
            ConfigError: naming the way out.
        """

    def prepare(
        self, *, run_dir: Path, device: torch.device, labelled: Samples, unlabelled: Samples, progress: bool
    ) -> DataModule:
        """Read, split and wire.

        Args:
            run_dir: where files about the data go.
            device: of models and batches.
            labelled: samples to read instead of the data set's file, or None.
            unlabelled: samples to read instead of the corpus, or None.
            progress: show bars.
        """
