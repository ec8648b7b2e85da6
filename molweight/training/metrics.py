"""Metrics for each target, and their mean over the targets where they are defined.

:data:`METRICS` is the only list of them: selection, reports, leaderboards, the bootstrap and the options of
data sets read it. scikit-learn and SciPy are imported when a value is computed.

Letters: n samples, b resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]
Compute = Callable[[Array, Array], float]
"""``(labels [n], predictions [n]) -> value``; of one label out of several, their indices."""
Resampled = Callable[[Array, Array, Array], Array]
"""``(labels [n], predictions [n], how often each sample was drawn [b, n]) -> values [b]``"""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric of one target.

    Args:
        kind: of the task it fits: ``classification``, ``regression`` or ``multiclass``.
        label: for people.
        compute: its value, of one sample or more.
        higher_is_better: whether a larger value is better.
        parts: metrics whose mean it is, by label; empty where it is one by itself.
        has_units: whether its values are in the target's units, so that those of two targets have no mean.
        needs_both_classes: whether it is undefined where all labels are the same.
        resampled: the same for many resamples at once; None computes one after the other.
    """

    kind: str
    label: str
    compute: Compute
    higher_is_better: bool = True
    parts: Mapping[str, Compute] = field(default_factory=dict)
    has_units: bool = False
    needs_both_classes: bool = False
    resampled: Resampled | None = None

    def __call__(self, y_true: Array, predicted: Array) -> float:
        """The value, or NaN where it is undefined.

        >>> METRICS["roc_auc"](np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
        0.75
        >>> METRICS["roc_auc"](np.array([1, 1]), np.array([0.1, 0.4]))
        nan
        """
        if len(y_true) == 0 or (self.needs_both_classes and len(np.unique(y_true)) != 2):
            return math.nan
        return self.compute(y_true, predicted)

    def over_resamples(self, y_true: Array, predicted: Array, counts: Array) -> Array:
        """The values [b] under counts [b, n], NaN where undefined."""
        if self.resampled is not None:
            return self.resampled(y_true, predicted, counts)
        drawn = (np.repeat(np.arange(len(y_true)), count) for count in counts.astype(np.int64))
        return np.array([self(y_true[indices], predicted[indices]) for indices in drawn])

    def better(self, new: float, old: float) -> bool:
        """Whether ``new`` beats ``old``; anything beats NaN."""
        if math.isnan(new) or math.isnan(old):
            return not math.isnan(new)
        return new > old if self.higher_is_better else new < old


def from_sklearn(name: str, **options: float) -> Compute:
    """A function of ``sklearn.metrics``."""

    def compute(y_true: Array, predicted: Array) -> float:
        from sklearn import metrics

        return float(getattr(metrics, name)(y_true, predicted, **options))

    return compute


def correlation(name: str) -> Compute:
    """A correlation of ``scipy.stats``; 0 where one side is constant: it says nothing about the other.

    >>> correlation("spearmanr")(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0]))
    1.0
    """

    def compute(y_true: Array, predicted: Array) -> float:
        from scipy import stats

        if min(len(np.unique(y_true)), len(np.unique(predicted))) < 2:
            return 0.0
        return float(getattr(stats, name)(y_true, predicted).statistic)

    return compute


def mean_of(kind: str, label: str, **parts: Compute) -> Metric:
    """The mean of several metrics, as GLUE's are."""

    def compute(y_true: Array, predicted: Array) -> float:
        return float(np.mean([part(y_true, predicted) for part in parts.values()]))

    return Metric(kind=kind, label=label, compute=compute, parts=parts)


def resampled_rmse(y_true: Array, predicted: Array, counts: Array) -> Array:
    """Root mean squared error [b]."""
    return np.sqrt(ratio(counts @ np.square(predicted - y_true), counts.sum(axis=1)))


def resampled_mae(y_true: Array, predicted: Array, counts: Array) -> Array:
    """Mean absolute error [b]."""
    return ratio(counts @ np.abs(predicted - y_true), counts.sum(axis=1))


def resampled_roc_auc(y_true: Array, predicted: Array, counts: Array) -> Array:
    """Area under the ROC curve [b]: the chance that a positive is ranked above a negative, ties one half."""
    positive, negative = _by_score(y_true, predicted, counts)
    below = np.cumsum(negative, axis=1) - negative
    wins = (positive * (below + negative / 2)).sum(axis=1)
    return ratio(wins, positive.sum(axis=1) * negative.sum(axis=1))


def resampled_average_precision(y_true: Array, predicted: Array, counts: Array) -> Array:
    """Average precision [b]: precision at every distinct score, weighted by the positives there."""
    positive, negative = (part[:, ::-1] for part in _by_score(y_true, predicted, counts))
    true_positive, seen = np.cumsum(positive, axis=1), np.cumsum(positive + negative, axis=1)
    precision = np.divide(true_positive, seen, out=np.zeros_like(true_positive), where=seen > 0)
    value = ratio((positive * precision).sum(axis=1), positive.sum(axis=1))
    return np.where(negative.sum(axis=1) > 0, value, math.nan)


def _by_score(y_true: Array, predicted: Array, counts: Array) -> tuple[Array, Array]:
    """Positives and negatives at every distinct score, ascending, each [b, distinct]."""
    order = np.argsort(predicted, kind="stable")
    ordered = predicted[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    drawn, positive = counts[:, order], y_true[order] == 1
    return (
        np.add.reduceat(drawn * positive, starts, axis=1),
        np.add.reduceat(drawn * ~positive, starts, axis=1),
    )


def ratio(above: Array, below: Array) -> Array:
    """``above / below``, NaN where ``below`` is not positive."""
    result = np.full(len(above), math.nan)
    np.divide(above, below, out=result, where=below > 0)
    return result


METRICS: dict[str, Metric] = {  # the first one of a kind is its default
    "roc_auc": Metric(
        kind="classification",
        label="ROC-AUC",
        compute=from_sklearn("roc_auc_score"),
        needs_both_classes=True,
        resampled=resampled_roc_auc,
    ),
    "average_precision": Metric(
        kind="classification",
        label="average precision",
        compute=from_sklearn("average_precision_score"),
        needs_both_classes=True,
        resampled=resampled_average_precision,
    ),
    "rmse": Metric(
        kind="regression",
        label="RMSE",
        compute=from_sklearn("root_mean_squared_error"),
        higher_is_better=False,
        has_units=True,
        resampled=resampled_rmse,
    ),
    "mae": Metric(
        kind="regression",
        label="MAE",
        compute=from_sklearn("mean_absolute_error"),
        higher_is_better=False,
        has_units=True,
        resampled=resampled_mae,
    ),
    # GLUE's (Wang et al. 2019, table 1): where a task has two, their mean counts.
    "accuracy": Metric(kind="multiclass", label="accuracy", compute=from_sklearn("accuracy_score")),
    "f1_accuracy": mean_of(  # F1 of the second of two labels
        "multiclass",
        "mean of F1 and accuracy",
        F1=from_sklearn("f1_score", zero_division=0.0),
        accuracy=from_sklearn("accuracy_score"),
    ),
    "matthews": Metric(
        kind="multiclass",
        label="Matthews correlation",
        compute=from_sklearn("matthews_corrcoef"),  # 0 where one side is constant
    ),
    "pearson_spearman": mean_of(
        "regression",
        "mean of Pearson and Spearman correlation",
        Pearson=correlation("pearsonr"),
        Spearman=correlation("spearmanr"),
    ),
}


def metrics_for(kind: str) -> list[str]:
    """Names of the metrics of a kind of task, the default first.

    >>> metrics_for("classification")
    ['roc_auc', 'average_precision']
    """
    return [name for name, metric in METRICS.items() if metric.kind == kind]


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
    per_task: dict[str, float] = {}
    for name, y_true, predicted in zip(names, _columns(targets), _columns(predictions), strict=True):
        known = ~np.isnan(y_true)
        parts = chosen.parts if len(names) == 1 and chosen.parts else {name: chosen}
        for part, compute in parts.items():
            per_task[part] = compute(y_true[known], predicted[known]) if known.any() else math.nan
    scales = [1.0] * len(per_task) if scale is None else scale.tolist()
    normalised = [value / unit for value, unit in zip(per_task.values(), scales, strict=True)]
    defined = [value for value in normalised if not math.isnan(value)]
    return Score(metric=metric, value=float(np.mean(defined)) if defined else math.nan, per_task=per_task)


def _columns(values: Tensor) -> Array:
    columns: Array = values.detach().cpu().double().numpy().T
    return columns
