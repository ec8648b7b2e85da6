"""Metrics for each target, and their mean over the targets where they are defined."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats
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
        compute: ``(truth [n], prediction [n]) -> value``; of labels, their places.
        parts: metrics whose mean it is, by label; empty where it is one by itself.
        has_units: whether its values are in the target's units, so that those of two targets have no mean.
    """

    kind: str
    higher_is_better: bool
    label: str
    compute: Callable[[Array, Array], float]
    parts: Mapping[str, Callable[[Array, Array], float]] = field(default_factory=dict)
    has_units: bool = False


def roc_auc(y_true: Array, prediction: Array) -> float:
    """Area under the ROC curve; NaN when only one class is present.

    >>> roc_auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    >>> roc_auc(np.array([1, 1]), np.array([0.1, 0.4]))
    nan
    """
    return float(sk.roc_auc_score(y_true, prediction)) if len(np.unique(y_true)) == 2 else math.nan


def average_precision(y_true: Array, prediction: Array) -> float:
    """Average precision; NaN when only one class is present."""
    return float(sk.average_precision_score(y_true, prediction)) if len(np.unique(y_true)) == 2 else math.nan


def accuracy(y_true: Array, prediction: Array) -> float:
    """Share of the labels that are right."""
    return float(sk.accuracy_score(y_true, prediction))


def f1(y_true: Array, prediction: Array) -> float:
    """F1 of the second of two labels; 0 where it is neither predicted nor true."""
    return float(sk.f1_score(y_true, prediction, zero_division=0.0))


def matthews(y_true: Array, prediction: Array) -> float:
    """Matthews' correlation; 0 where one side is constant."""
    return float(sk.matthews_corrcoef(y_true, prediction))


def pearson(y_true: Array, prediction: Array) -> float:
    """Pearson's correlation; 0 where one side is constant: it says nothing about the other."""
    if min(len(np.unique(y_true)), len(np.unique(prediction))) < 2:
        return 0.0
    return float(stats.pearsonr(y_true, prediction).statistic)


def spearman(y_true: Array, prediction: Array) -> float:
    """Spearman's rank correlation; 0 where one side is constant.

    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0]))
    1.0
    """
    if min(len(np.unique(y_true)), len(np.unique(prediction))) < 2:
        return 0.0
    return float(stats.spearmanr(y_true, prediction).statistic)


def mean_of(**parts: Callable[[Array, Array], float]) -> dict[str, Any]:
    """``compute`` and ``parts`` of a metric that is the mean of several, as GLUE's are."""

    def compute(y_true: Array, prediction: Array) -> float:
        return float(np.mean([part(y_true, prediction) for part in parts.values()]))

    return {"compute": compute, "parts": {name.replace("_", " "): part for name, part in parts.items()}}


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
        has_units=True,
    ),
    "mae": Metric(
        kind="regression",
        higher_is_better=False,
        label="MAE",
        compute=lambda t, p: float(sk.mean_absolute_error(t, p)),
        has_units=True,
    ),
    # GLUE's (Wang et al. 2019, table 1): where a task has two, their mean counts.
    "accuracy": Metric(kind="multiclass", higher_is_better=True, label="accuracy", compute=accuracy),
    "f1_accuracy": Metric(
        kind="multiclass",
        higher_is_better=True,
        label="mean of F1 and accuracy",
        **mean_of(F1=f1, accuracy=accuracy),
    ),
    "matthews": Metric(
        kind="multiclass", higher_is_better=True, label="Matthews correlation", compute=matthews
    ),
    "pearson_spearman": Metric(
        kind="regression",
        higher_is_better=True,
        label="mean of Pearson and Spearman correlation",
        **mean_of(Pearson=pearson, Spearman=spearman),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Score:
    """A metric over several targets.

    Args:
        metric: its name.
        value: mean over the targets where it is defined, of normalised values where targets have a scale; NaN
            when there is none.
        per_task: by target, in its units, or by part of the metric where there is one target and the metric
            has parts; NaN where undefined (one class only, or no label).
    """

    metric: str
    value: float
    per_task: dict[str, float]

    @property
    def undefined(self) -> tuple[str, ...]:
        """Targets for which the metric does not exist."""
        return tuple(name for name, value in self.per_task.items() if math.isnan(value))


def score_label(metric: str, *, normalised: bool) -> str:
    """What the score of a run is, for people."""
    return f"mean of normalised {METRICS[metric].label}" if normalised else METRICS[metric].label


def score(
    metric: str, predictions: Tensor, targets: Tensor, names: Sequence[str], scale: Tensor | None = None
) -> Score:
    """The metric of every target over its known labels, and their mean.

    Args:
        metric: key of :data:`METRICS`.
        predictions: [n, t], probabilities or values in the user's units.
        targets: [n, t], NaN where missing.
        names: of the targets.
        scale: of the targets, [t], by which values are divided before their mean; NaN leaves a target out.

    >>> import torch
    >>> predicted = torch.tensor([[1.0, 5.0], [2.0, 5.0]])
    >>> measured = torch.tensor([[1.5, 6.0], [2.0, math.nan]])  # one label is missing
    >>> score("mae", predicted, measured, ["logD", "pKa"])
    Score(metric='mae', value=0.625, per_task={'logD': 0.25, 'pKa': 1.0})
    """
    chosen = METRICS[metric]
    per_task = {}
    for name, y_true, predicted in zip(names, _columns(targets), _columns(predictions), strict=True):
        known = ~np.isnan(y_true)
        parts = chosen.parts if len(names) == 1 and chosen.parts else {name: chosen.compute}
        for part, compute in parts.items():
            per_task[part] = compute(y_true[known], predicted[known]) if known.any() else math.nan
    scales = [1.0] * len(per_task) if scale is None else scale.tolist()
    normalised = [value / one for value, one in zip(per_task.values(), scales, strict=True)]
    defined = [value for value in normalised if not math.isnan(value)]
    return Score(metric=metric, value=float(np.mean(defined)) if defined else math.nan, per_task=per_task)


def _columns(values: Tensor) -> Array:
    columns: Array = values.detach().cpu().double().numpy().T
    return columns
