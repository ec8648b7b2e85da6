"""What conformal intervals from the validation part are worth on the test part."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from molweight.inference.predictions_file import part_of, too_coarse
from molweight.reporting.run_files import RunFiles
from molweight.training.conformal import class_sets, covered, intervals

CONFIDENCE = 0.9


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Of one target, or of several on average.

    Args:
        share: of the test samples that are covered; NaN without labels.
        size: mean width of the intervals, infinite where the validation part is too small for them; or number
            of classes in the sets.
    """

    share: float
    size: float

    @property
    def bounded(self) -> bool:
        """Whether the intervals have a width."""
        return math.isfinite(self.size)


def coverage(run: RunFiles) -> dict[str, Coverage]:
    """Coverage by target; empty for tasks with several labels."""
    known = run.report.task_type in ("classification", "regression") and not run.labels
    if not known or too_coarse(run.predictions):
        return {}
    valid, test = part_of(run.predictions, "valid"), part_of(run.predictions, "test")
    if not len(valid.rows) or not len(test.rows):
        return {}
    classification = run.report.task_type == "classification"
    method = class_sets if classification else intervals
    by_target = {}
    for j, name in enumerate(run.targets):
        ends = method(valid.predicted[:, j], valid.y_true[:, j], test.predicted[:, j], CONFIDENCE)
        share, size = covered(test.y_true[:, j], ends, classification=classification)
        by_target[name] = Coverage(share=share, size=size)
    return by_target


def average(by_target: Mapping[str, Coverage]) -> Coverage | None:
    """Over the targets with labels; None where there is none."""
    shares = np.array([each.share for each in by_target.values()])
    sizes = np.array([each.size for each in by_target.values()])
    if not np.isfinite(shares).any():
        return None
    return Coverage(share=float(np.nanmean(shares)), size=float(np.nanmean(sizes)))
