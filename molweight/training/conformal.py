"""Split-conformal prediction: how wide an interval must be, or which classes a set must hold, to cover the
share of new samples that was asked for; from predictions of samples that were not trained on.

Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World (2005), chapter 4. The promise holds where
new samples are drawn like the others: not behind a scaffold split, where only a test part can say how far it
is kept.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from molweight.errors import ConfigError

ROUNDING = 1e-9  # (1 - 0.9) * 10 is not quite 1
Array = NDArray[np.float64]


def intervals(predicted: Array, y_true: Array, new: Array, confidence: float) -> Array:
    """Intervals around predictions of numbers, all of one width.

    Args:
        predicted: of the calibration samples, [n].
        y_true: of theirs, [n], NaN where missing.
        new: predictions, [b].
        confidence: share of new samples whose truth shall lie inside, (0, 1).

    Returns:
        Lower and upper ends, [b, 2]; infinite where n is too small for the confidence.
    """
    errors = np.sort(np.abs(y_true - predicted)[~np.isnan(y_true)])
    rank = math.ceil(confidence * (len(errors) + 1) - ROUNDING)  # of the error that is half the width, from 1
    half = errors[rank - 1] if rank <= len(errors) else np.inf
    return np.stack([new - half, new + half], axis=1)


def class_sets(predicted: Array, y_true: Array, new: Array, confidence: float) -> Array:
    """Which of the classes 0 and 1 a sample may have.

    Each class is calibrated on its own samples, so that the rare one is covered as well as the frequent one.

    Args:
        predicted: probabilities of class 1 of the calibration samples, [n].
        y_true: 0 or 1, [n], NaN where missing.
        new: probabilities of class 1, [b].
        confidence: share of new samples of each class whose class shall be in the set, (0, 1).

    Returns:
        1 where the class is in the set, else 0, [b, 2]; both where n is too small for the confidence.
    """
    in_set = np.ones((len(new), 2))
    for label in (0, 1):
        of_class = y_true == label
        scores = np.sort(nonconformity(predicted[of_class], label))
        as_strange = len(scores) - np.searchsorted(scores, nonconformity(new, label), side="left")
        in_set[:, label] = as_strange + 1 + ROUNDING >= (1 - confidence) * (len(scores) + 1)  # the p value
    return in_set


def nonconformity(probability: Array, label: int) -> Array:
    """How little a sample looks like one of a class: one less the class's probability."""
    return probability if label == 0 else 1 - probability


def covered(y_true: Array, predicted_sets: Array, *, classification: bool) -> tuple[float, float]:
    """How often the truth lay inside, and how much was inside.

    Args:
        y_true: [n], NaN where missing.
        predicted_sets: of :func:`intervals` or :func:`class_sets`, [n, 2].
        classification: which of the two.

    Returns:
        The share of samples that are covered, and the mean width of the intervals or number of classes in the
        sets; NaN without a sample whose truth is known.

    >>> covered(np.array([1.0, 2.0]), np.array([[0.0, 3.0], [2.5, 3.5]]), classification=False)
    (0.5, 2.0)
    """
    known = ~np.isnan(y_true)
    y_true, predicted_sets = y_true[known], predicted_sets[known]
    if not len(y_true):
        return np.nan, np.nan
    if classification:
        inside = predicted_sets[np.arange(len(y_true)), y_true.astype(int)] > 0
        return float(inside.mean()), float(predicted_sets.sum(1).mean())
    inside = (predicted_sets[:, 0] <= y_true) & (y_true <= predicted_sets[:, 1])
    return float(inside.mean()), float((predicted_sets[:, 1] - predicted_sets[:, 0]).mean())


def check_confidence(confidence: float) -> None:
    """Refuse what is no share.

    Raises:
        ConfigError: not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ConfigError(f"the confidence must lie between 0 and 1, such as 0.9, got {confidence}")
