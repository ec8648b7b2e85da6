"""The downstream task: its loss under missing labels, its predictions in the user's units.

Labels are float64 until they are standardised, and so is whatever leaves the network: a spread of 0.01 around
-40478.9 has no digits left in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from molweight.errors import ConfigError, unknown
from molweight.tapweight.typing import Batch
from molweight.training.calibration import fit_temperatures
from molweight.training.metrics import METRICS, Score, metrics_for, score
from molweight.utils.output_columns import LOGIT, TRUE

Kind = Literal["classification", "regression"]
CONSTANT = 1e-3  # spread of predictions, in standard deviations of the labels (or in probability)
KINDS = ("classification", "regression")


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What a model says of n samples, beside what is true.

    Args:
        values: probabilities, or values in the user's units, [n, t] float64; of c labels, [n, c].
        y_true: labels, [n, t] float64, NaN where missing.
        logits: of the probabilities of yes/no targets, [n, t] float64; None where there are none.
    """

    values: Tensor
    y_true: Tensor
    logits: Tensor | None = None

    @property
    def ranked(self) -> Tensor:
        """What a metric takes, [n, t]: logits, which rank samples whose probability is 1, or the values."""
        return self.values if self.logits is None else self.logits

    def __getitem__(self, rows: slice) -> Predicted:
        """Some of the samples."""
        logits = None if self.logits is None else self.logits[rows]
        return Predicted(values=self.values[rows], y_true=self.y_true[rows], logits=logits)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the t outputs of a model mean.

    Args:
        kind: independent yes/no targets (t logits), or numbers (t standardised values).
        metric: of :data:`molweight.training.metrics.METRICS`.
        names: of the targets, t of them.
        mean: of the training labels, [t] float64; zero for classification.
        std: of the training labels, [t] float64, > 0; one for classification.
        scale: by which errors of several targets are divided before their mean, [t] float64: ``std``, NaN
            where training labels have no spread; None where the mean is that of the metric itself.
    """

    kind: Kind
    metric: str
    names: tuple[str, ...]
    mean: Tensor
    std: Tensor
    scale: Tensor | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(unknown("task type", self.kind, KINDS))
        if self.metric not in METRICS:
            raise ConfigError(unknown("metric", self.metric, METRICS))
        if METRICS[self.metric].kind != self.kind:
            fitting = ", ".join(metrics_for(self.kind))
            raise ConfigError(
                f"metric {self.metric!r} is for {METRICS[self.metric].kind}; "
                f"a {self.kind} task can use {fitting}"
            )

    @classmethod
    def fit(
        cls,
        *,
        kind: Kind,
        metric: str | None,
        names: tuple[str, ...],
        train: Tensor,
        units: str | None = None,
    ) -> Task:
        """The task with the mean and spread of its training labels.

        RMSE and MAE of several targets have a mean in ``units`` if those are the units of all; else each is
        divided by the spread of its target first, so that no target decides alone which epoch is the best.

        Args:
            kind: type of the targets.
            metric: None takes the usual one of the kind.
            names: of the targets.
            train: labels of the training part, [n, t], NaN where missing.
            units: that all targets have; None if they have none, or different ones.
        """
        mean = torch.zeros(train.shape[1], dtype=torch.float64)
        std, scale = torch.ones_like(mean), torch.full_like(mean, torch.nan)
        if kind == "regression":
            for j, column in enumerate(train.T):
                known = column[~column.isnan()].double()
                if len(known):
                    mean[j] = known.mean()
                # The spread of equal labels may be a rounding error, that of tiny ones may be 0.
                if len(known) > 1 and known.min() < known.max() and known.std() > 0:
                    std[j] = scale[j] = known.std()
        metric = metric or next(iter(metrics_for(kind)), "")
        mixed = len(names) > 1 and units is None and metric in METRICS and METRICS[metric].has_units
        return cls(kind=kind, metric=metric, names=names, mean=mean, std=std, scale=scale if mixed else None)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean over the known labels of cross entropy, or of squared standardised error.

        Args:
            outputs: [b, t].
            batch: with ``targets`` [b, t] float64, in the user's units, NaN where missing; on any device.

        Returns:
            A scalar; zero when no label of the batch is known.
        """
        targets = batch["targets"]
        assert outputs.shape == targets.shape, f"outputs {outputs.shape}, targets {targets.shape}"
        known = ~targets.isnan()
        wide = torch.promote_types(outputs.dtype, torch.float32)
        filled = torch.where(known, self.standardised(targets), 0.0).to(outputs.device, wide)
        known = known.to(outputs.device)
        if self.kind == "classification":
            each = functional.binary_cross_entropy_with_logits(outputs, filled, reduction="none")
        else:
            each = (outputs - filled).square()
        return torch.where(known, each, 0.0).sum() / known.sum().clamp(min=1)

    def standardised(self, targets: Tensor) -> Tensor:
        """Labels [b, t] in units of the training part's spread, float64."""
        return (targets - self.mean.to(targets.device)) / self.std.to(targets.device)

    def predict(self, outputs: Tensor) -> Tensor:
        """Probabilities in [0, 1], or values in the user's units, [b, t] float64."""
        if self.kind == "classification":
            return outputs.double().sigmoid()
        return outputs.double() * self.std.to(outputs.device) + self.mean.to(outputs.device)

    def predicted(self, outputs: Tensor, targets: Tensor) -> Predicted:
        """What outputs [n, t] say, beside labels [n, t]."""
        logits = outputs.double() if self.kind == "classification" else None
        return Predicted(values=self.predict(outputs), y_true=targets, logits=logits)

    def score(self, predictions: Tensor, targets: Tensor) -> Score:
        """The metric of predictions [n, t] against labels [n, t] with NaN where missing.

        Args:
            predictions: values in the user's units, or what ranks samples: logits, as two probabilities of 1
                may have had different ones.
            targets: labels.
        """
        return score(self.metric, predictions, targets, self.names, self.scale)

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
        return METRICS[self.metric].better(new, old)

    def columns(self, predicted: Predicted) -> dict[str, np.ndarray]:
        """Columns of ``predictions.csv``: for each target its prediction, its true value and any logit."""
        columns = {}
        for j, name in enumerate(self.names):
            columns[name] = predicted.values[:, j].numpy()
            columns[f"{name}{TRUE}"] = predicted.y_true[:, j].numpy()
            if predicted.logits is not None:
                columns[f"{name}{LOGIT}"] = predicted.logits[:, j].numpy()
        return columns

    def calibration(self, predicted: Predicted) -> dict[str, list[float]]:
        """What ``model.json`` says about how far probabilities can be believed: ``temperature``, [t].

        Args:
            predicted: the validation part.
        """
        if predicted.logits is None:
            return {}
        return {"temperature": fit_temperatures(predicted.logits, predicted.y_true)}

    def metadata(self) -> dict[str, object]:
        """What ``model.json`` says about the outputs."""
        return {
            "task_type": self.kind,
            "metric": self.metric,
            "targets": list(self.names),
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
        }
