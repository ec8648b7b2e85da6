"""How far a test score depends on which molecules were tested: the bootstrap over test molecules.

Letters: b resamples, n test molecules, t targets, r runs. A resample is the number of times that every
molecule was drawn, so a metric is computed from counts [b, n] for all resamples at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from molweight.training.metrics import METRICS, ratio

Array = NDArray[np.float64]

CELLS = 2_000_000  # counts held at a time: 16 MB of float64, and a few times that in a metric
COVERAGE = 0.95


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """A run's test molecules.

    Args:
        rows: [n] int64, names of the molecules: equal numbers are the same molecule in all runs.
        predicted: [n, t].
        y_true: [n, t], NaN where missing.
        logits: [n, t] of probabilities; None where they are not known, or there are none.
    """

    rows: np.ndarray
    predicted: Array
    y_true: Array
    logits: Array | None = None

    @property
    def ranked(self) -> Array:
        """What a metric takes, [n, t]: logits, which rank samples whose probability is 1, or predictions."""
        return self.predicted if self.logits is None else self.logits

    def normalised(self, scale: Array) -> Predictions:
        """The same in units of scales [t], where errors of all targets have a mean; NaN drops a target."""
        return replace(self, predicted=self.predicted / scale, y_true=self.y_true / scale)


def bootstrap(metric: str, runs: Sequence[Predictions], *, resamples: int, seed: int = 0) -> Array:
    """The test metric of every run in every resample of molecules, [r, b].

    Molecules are drawn with replacement out of all that any run was tested on, and every run sees the same
    draws: differences between runs are paired. Chosen because the metrics are no means, so that no formula
    gives their error. Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 6 and 13.

    Args:
        metric: key of :data:`molweight.training.metrics.METRICS`.
        runs: of one data set.
        resamples: b.
        seed: of the draws.

    Returns:
        NaN where the metric is not defined, such as an ROC-AUC of one class; everywhere with a single
        molecule, whose resamples are all alike.
    """
    everyone = np.unique(np.concatenate([run.rows for run in runs]))
    if len(everyone) < 2:
        return np.full((len(runs), resamples), math.nan)
    positions = [np.searchsorted(everyone, run.rows) for run in runs]
    chunks = [
        [
            resampled(metric, run.y_true, run.ranked, counts[:, position])
            for run, position in zip(runs, positions, strict=True)
        ]
        for counts in draws(len(everyone), resamples, seed)
    ]
    return np.concatenate([np.stack(chunk) for chunk in chunks], axis=1)


def draws(n: int, resamples: int, seed: int) -> Iterator[Array]:
    """Counts [b, n] of molecules in resamples of n, a chunk of resamples at a time."""
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, size := max(1, CELLS // n)):
        count = min(size, resamples - start)
        yield generator.multinomial(n, np.full(n, 1 / n), size=count).astype(np.float64)


def resampled(metric: str, y_true: Array, predicted: Array, counts: Array) -> Array:
    """The metric [b] under counts [b, n]: the mean over the targets where it is defined, as in a run.

    Args:
        metric: key of METRICS.
        y_true: [n, t], NaN where missing.
        predicted: [n, t].
        counts: [b, n].
    """
    values_of = METRICS[metric].over_resamples
    total, defined = np.zeros(len(counts)), np.zeros(len(counts))
    for true, guess in zip(y_true.T, predicted.T, strict=True):
        known = ~np.isnan(true)
        if known.any():
            values = values_of(true[known], guess[known], counts[:, known])
            total += np.nan_to_num(values)
            defined += ~np.isnan(values)
    return ratio(total, defined)


def interval(values: Array, coverage: float = COVERAGE) -> tuple[float, float]:
    """The percentile interval of bootstrap values [b]; undefined ones are dropped, NaN without any.

    >>> interval(np.arange(101.0))
    (2.500000000000002, 97.5)
    """
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - coverage) / 2, (1 + coverage) / 2])
    return float(low), float(high)


def mean_over_runs(values: Array) -> Array:
    """Mean [b] over the runs of values [r, b] where they are defined; NaN where none is."""
    return ratio(np.nan_to_num(values).sum(axis=0), (~np.isnan(values)).sum(axis=0).astype(np.float64))
