"""The downstream task: its loss under missing labels, its predictions in the user's units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from molweight.errors import ConfigError, unknown
from molweight.tapweight.typing import Batch
from molweight.training.calibration import fit_temperatures
from molweight.training.metrics import METRICS, Score, score

Kind = Literal["classification", "regression"]
CONSTANT = 1e-3  # spread of predictions, in standard deviations of the labels (or in probability)
DEFAULT_METRIC: dict[str, str] = {"classification": "roc_auc", "regression": "rmse"}


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the t outputs of a model mean.

    Args:
        kind: independent yes/no targets (t logits), or numbers (t standardised values).
        metric: of :data:`molweight.training.metrics.METRICS`.
        names: of the targets, t of them.
        mean: of the training labels, [t]; zero for classification.
        std: of the training labels, [t], > 0; one for classification.
    """

    kind: Kind
    metric: str
    names: tuple[str, ...]
    mean: Tensor
    std: Tensor

    def __post_init__(self) -> None:
        if self.kind not in DEFAULT_METRIC:
            raise ConfigError(unknown("task type", self.kind, DEFAULT_METRIC))
        if self.metric not in METRICS:
            raise ConfigError(unknown("metric", self.metric, METRICS))
        if METRICS[self.metric].kind != self.kind:
            fitting = ", ".join(m for m in METRICS if METRICS[m].kind == self.kind)
            raise ConfigError(
                f"metric {self.metric!r} is for {METRICS[self.metric].kind}; "
                f"a {self.kind} task can use {fitting}"
            )

    @classmethod
    def fit(cls, *, kind: Kind, metric: str | None, names: tuple[str, ...], train: Tensor) -> Task:
        """The task with the mean and spread of its training labels.

        Args:
            kind: type of the targets.
            metric: None takes the usual one of the kind.
            names: of the targets.
            train: labels of the training part, [n, t], NaN where missing.
        """
        mean, std = torch.zeros(train.shape[1]), torch.ones(train.shape[1])
        if kind == "regression":
            for j, column in enumerate(train.T):
                known = column[~column.isnan()].double()
                if len(known):
                    mean[j] = known.mean()
                if len(known) > 1 and known.std() > 0:
                    std[j] = known.std()
        return cls(kind=kind, metric=metric or DEFAULT_METRIC.get(kind, ""), names=names, mean=mean, std=std)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean over the known labels of cross entropy, or of squared standardised error.

        Args:
            outputs: [b, t].
            batch: with ``targets`` [b, t], in the user's units, NaN where missing.

        Returns:
            A scalar; zero when no label of the batch is known.
        """
        targets = batch["targets"]
        assert outputs.shape == targets.shape, f"outputs {outputs.shape}, targets {targets.shape}"
        known = ~targets.isnan()
        filled = torch.where(known, self.standardised(targets), 0.0)
        if self.kind == "classification":
            each = functional.binary_cross_entropy_with_logits(outputs, filled, reduction="none")
        else:
            each = (outputs - filled).square()
        return torch.where(known, each, 0.0).sum() / known.sum().clamp(min=1)

    def standardised(self, targets: Tensor) -> Tensor:
        """Labels [b, t] in units of the training part's spread."""
        return (targets - self.mean.to(targets)) / self.std.to(targets)

    def predict(self, outputs: Tensor) -> Tensor:
        """Probabilities in [0, 1], or values in the user's units, [b, t]."""
        if self.kind == "classification":
            return outputs.sigmoid()
        return outputs * self.std.to(outputs) + self.mean.to(outputs)

    def score(self, predictions: Tensor, targets: Tensor) -> Score:
        """The metric of predictions [n, t] against labels [n, t] with NaN where missing."""
        return score(self.metric, predictions, targets, self.names)

    @property
    def outputs(self) -> int:
        """Of a model: one a target."""
        return len(self.names)

    def constant(self, outputs: Tensor) -> bool:
        """Whether a model says the same of every sample, for every target."""
        predictions = outputs.sigmoid() if self.kind == "classification" else outputs
        return len(outputs) > 1 and bool((predictions.std(dim=0, correction=0) < CONSTANT).all())

    def better(self, new: float, old: float) -> bool:
        """Whether ``new`` beats ``old``; anything beats NaN."""
        return better(self.metric, new, old)

    def columns(self, predictions: Tensor, targets: Tensor) -> dict[str, Any]:
        """Columns of ``predictions.csv``: for each target its prediction and its true value."""
        found = {}
        for j, name in enumerate(self.names):
            found[name], found[f"{name}_true"] = predictions[:, j].numpy(), targets[:, j].numpy()
        return found

    def calibration(self, predictions: Tensor, targets: Tensor) -> dict[str, Any]:
        """What ``model.json`` says about how far probabilities can be believed: ``temperature``, [t].

        Args:
            predictions: of the validation part, [n, t].
            targets: its labels, [n, t].
        """
        if self.kind != "classification":
            return {}
        return {"temperature": fit_temperatures(predictions, targets)}

    def card(self) -> dict[str, Any]:
        """What ``model.json`` says about the outputs."""
        return {
            "task_type": self.kind,
            "metric": self.metric,
            "targets": list(self.names),
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
        }


def better(metric: str, new: float, old: float) -> bool:
    """Whether a metric's value beats another; anything beats NaN."""
    if new != new:
        return False
    return old != old or (new > old if METRICS[metric].higher_is_better else new < old)
