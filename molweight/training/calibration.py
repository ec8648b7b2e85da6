"""Do probabilities mean what they say, and temperature scaling: one number a target that makes them.

Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks (ICML 2017), equation 9, for
independent yes/no targets: the logit is divided by T > 0, which changes no ranking.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from torch import Tensor

Array = NDArray[np.float64]

SATURATED = 1e-7  # distance from 0 and 1 at which a float32 probability, as in old files, hides its logit
RANGE = 10.0  # T lies within [1 / RANGE, RANGE]: a part without a single mistake would make it 0


def fit_temperatures(logits: Tensor, targets: Tensor) -> list[float]:
    """The temperature of every target with the least cross entropy on validation samples, [t].

    Args:
        logits: [n, t].
        targets: [n, t], 0 or 1, NaN where missing.

    Returns:
        1 for a target without samples of both classes.
    """
    columns = zip(logits.double().numpy().T, targets.double().numpy().T, strict=True)
    return [fit_one(outputs, labels) for outputs, labels in columns]


def fit_one(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of one target, from logits [n] and labels [n]."""
    known = ~np.isnan(labels)
    logits, labels = logits[known], labels[known]
    if len(set(labels.tolist())) < 2:
        return 1.0

    def cross_entropy(log_temperature: float) -> float:  # one minimum: it is convex in 1 / T
        scaled = logits / math.exp(log_temperature)
        return float(np.mean(np.logaddexp(0.0, scaled) - labels * scaled))

    limit = math.log(RANGE)
    best = minimize_scalar(cross_entropy, bounds=(-limit, limit), method="bounded", options={"xatol": 1e-6})
    return math.exp(best.x)


def scaled(probability: Array, temperature: float) -> Array:
    """Probabilities [n] whose logits were divided by a temperature, where the logits are not known.

    >>> scaled(np.array([0.5, 0.9]), 2.0).round(3).tolist()
    [0.5, 0.75]
    """
    rescaled: Array = expit(logit(np.clip(probability, SATURATED, 1 - SATURATED)) / temperature)
    return rescaled


def reliability(y_true: Array, probability: Array, bins: int = 10) -> list[tuple[float, float, int]]:
    """Mean probability, share of positives and count of every bin that is not empty."""
    bin_of = np.minimum((probability * bins).astype(int), bins - 1)
    return [
        (float(probability[in_bin].mean()), float(y_true[in_bin].mean()), int(in_bin.sum()))
        for in_bin in (bin_of == index for index in range(bins))
        if in_bin.any()
    ]


def calibration_error(y_true: Array, probability: Array, bins: int = 10) -> float:
    """Expected calibration error: the mean distance of share and probability, weighted by the bins' counts.

    Guo et al., On Calibration of Modern Neural Networks (ICML 2017), equation 3.

    >>> round(calibration_error(np.array([0.0, 1.0, 1.0, 1.0]), np.array([0.8, 0.8, 0.8, 0.8])), 3)
    0.05
    """
    curve = reliability(y_true, probability, bins)
    return sum(count * abs(mean - share) for mean, share, count in curve) / max(len(y_true), 1)
