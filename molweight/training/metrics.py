"""Metrics for each target, and their mean over the targets where they are defined."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import metrics as sk
from torch import Tensor

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric of one target.

    Args:
        kind: of the task it fits.
        higher_is_better: whether a larger value is better.
        label: for people.
        compute: ``(truth [n], prediction [n]) -> value``.
    """

    kind: str
    higher_is_better: bool
    label: str
    compute: Callable[[Array, Array], float]


def roc_auc(truth: Array, prediction: Array) -> float:
    """Area under the ROC curve; NaN when only one class is present."""
    return float(sk.roc_auc_score(truth, prediction)) if len(np.unique(truth)) == 2 else math.nan


def average_precision(truth: Array, prediction: Array) -> float:
    """Average precision; NaN when only one class is present."""
    return float(sk.average_precision_score(truth, prediction)) if len(np.unique(truth)) == 2 else math.nan


METRICS: dict[str, Metric] = {
    "roc_auc": Metric(kind="classification", higher_is_better=True, label="ROC-AUC", compute=roc_auc),
    "average_precision": Metric(
        kind="classification", higher_is_better=True, label="average precision", compute=average_precision
    ),
    "rmse": Metric(
        kind="regression",
        higher_is_better=False,
        label="RMSE",
        compute=lambda t, p: float(sk.root_mean_squared_error(t, p)),
    ),
    "mae": Metric(
        kind="regression",
        higher_is_better=False,
        label="MAE",
        compute=lambda t, p: float(sk.mean_absolute_error(t, p)),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Score:
    """A metric over several targets.

    Args:
        metric: its name.
        value: mean over the targets where it is defined; NaN when there is none.
        per_task: by target; NaN where undefined (one class only, or no label).
    """

    metric: str
    value: float
    per_task: dict[str, float]

    @property
    def undefined(self) -> tuple[str, ...]:
        """Targets for which the metric does not exist."""
        return tuple(name for name, value in self.per_task.items() if math.isnan(value))


def score(metric: str, predictions: Tensor, targets: Tensor, names: Sequence[str]) -> Score:
    """The metric of every target over its known labels, and their mean.

    Args:
        metric: key of :data:`METRICS`.
        predictions: [n, t], probabilities or values in the user's units.
        targets: [n, t], NaN where missing.
        names: of the targets.
    """
    compute = METRICS[metric].compute
    per_task = {}
    for name, truth, predicted in zip(names, _columns(targets), _columns(predictions), strict=True):
        known = ~np.isnan(truth)
        per_task[name] = compute(truth[known], predicted[known]) if known.any() else math.nan
    defined = [value for value in per_task.values() if not math.isnan(value)]
    return Score(metric=metric, value=float(np.mean(defined)) if defined else math.nan, per_task=per_task)


def _columns(values: Tensor) -> Array:
    columns: Array = values.detach().cpu().double().numpy().T
    return columns
