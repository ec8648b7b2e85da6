"""A task with one label out of several: a softmax, where :mod:`molweight.training.task` has yes or no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from molweight.errors import ConfigError, unknown
from molweight.tapweight.typing import Batch
from molweight.training.metrics import METRICS, Score, metrics_for, score
from molweight.training.task import CONSTANT, Predicted
from molweight.utils.output_columns import TRUE

KIND = "multiclass"


@dataclass(frozen=True, kw_only=True)
class LabelTask:
    """What the c outputs of a model mean: logits of the labels.

    Args:
        metric: of :data:`molweight.training.metrics.METRICS`, for labels.
        name: of the target.
        labels: c of them, c >= 2; a target is the place of its label, in {0, …, c - 1}.
    """

    kind: ClassVar[str] = KIND
    scale: ClassVar[None] = None
    metric: str
    name: str
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        fitting = metrics_for(KIND)
        if self.metric not in fitting:
            raise ConfigError(unknown("metric of a task with labels", self.metric, fitting))
        if len(set(self.labels)) < 2:
            raise ConfigError(f"a task needs two labels or more, got {list(self.labels)}")

    @property
    def names(self) -> tuple[str]:
        """Of the targets: the one."""
        return (self.name,)

    @property
    def outputs(self) -> int:
        """Of a model: one a label."""
        return len(self.labels)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Cross entropy, a scalar.

        Args:
            outputs: [b, c].
            batch: with ``targets`` [b, 1], places of the labels.
        """
        targets = batch["targets"]
        assert outputs.shape == (len(targets), len(self.labels)) and targets.shape[1:] == (1,)
        return functional.cross_entropy(outputs, targets[:, 0].long().to(outputs.device))

    def predict(self, outputs: Tensor) -> Tensor:
        """Probabilities of the labels, [b, c] float64."""
        return outputs.double().softmax(dim=1)

    def predicted(self, outputs: Tensor, targets: Tensor) -> Predicted:
        """What outputs [n, c] say, beside places of labels [n, 1]."""
        return Predicted(values=self.predict(outputs), y_true=targets)

    def score(self, predictions: Tensor, targets: Tensor) -> Score:
        """The metric of the most probable labels.

        Args:
            predictions: [n, c].
            targets: [n, 1].
        """
        return score(self.metric, predictions.argmax(dim=1, keepdim=True), targets, self.names)

    def constant(self, outputs: Tensor) -> bool:
        """Whether a model says the same of every sample."""
        return len(outputs) > 1 and bool((outputs.softmax(dim=1).std(dim=0, correction=0) < CONSTANT).all())

    def better(self, new: float, old: float) -> bool:
        """Whether ``new`` beats ``old``; anything beats NaN."""
        return METRICS[self.metric].better(new, old)

    def columns(self, predicted: Predicted) -> dict[str, np.ndarray]:
        """Columns of ``predictions.csv``: places of the predicted and of the true label, probabilities."""
        columns: dict[str, np.ndarray] = {
            self.name: predicted.values.argmax(dim=1).numpy(),
            f"{self.name}{TRUE}": predicted.y_true[:, 0].to(torch.int64).numpy(),
        }
        chances = zip(self.labels, predicted.values.T, strict=True)
        return columns | {f"probability of {label}": chance.numpy() for label, chance in chances}

    def calibration(self, predicted: Predicted) -> dict[str, list[float]]:
        """Nothing: probabilities of several labels are not calibrated."""
        return {}

    def metadata(self) -> dict[str, object]:
        """What ``model.json`` says about the outputs."""
        return {
            "task_type": self.kind,
            "metric": self.metric,
            "targets": list(self.names),
            "labels": list(self.labels),
        }
