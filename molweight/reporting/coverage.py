"""What conformal intervals from the validation part are worth on the test part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from molweight.inference.predictions_file import part_of, too_coarse
from molweight.reporting.run_files import RunFiles
from molweight.training.conformal import class_sets, covered, intervals

CONFIDENCE = 0.9


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Of one target.

    Args:
        share: of the test samples that are covered; NaN without labels.
        size: mean width of the intervals, or number of classes in the sets.
    """

    share: float
    size: float


def coverage(run: RunFiles) -> dict[str, Coverage]:
    """Coverage by target; empty for tasks with several labels."""
    known = run.report["task_type"] in ("classification", "regression") and not run.labels
    if not known or too_coarse(run.predictions):
        return {}
    valid, test = part_of(run.predictions, "valid"), part_of(run.predictions, "test")
    if not len(valid.rows) or not len(test.rows):
        return {}
    classification = run.report["task_type"] == "classification"
    method = class_sets if classification else intervals
    found = {}
    for j, name in enumerate(run.targets):
        ends = method(valid.predicted[:, j], valid.y_true[:, j], test.predicted[:, j], CONFIDENCE)
        share, size = covered(test.y_true[:, j], ends, classification=classification)
        found[name] = Coverage(share=share, size=size)
    return found


def coverage_line(found: dict[str, Coverage], *, classification: bool, units: str) -> str:
    """A sentence for people; empty without coverage."""
    shares = np.array([one.share for one in found.values()])
    sizes = np.array([one.size for one in found.values()])
    if not np.isfinite(shares).any():
        return ""
    share, mean = f"{np.nanmean(shares):.0%}", " on average over targets" if len(found) > 1 else ""
    if classification:
        return (
            f"Conformal sets that should hold the class of {CONFIDENCE:.0%} of the samples hold that of "
            f"{share} of the test part{mean}, with {np.nanmean(sizes):.2f} of the two classes in a set."
        )
    if not np.isfinite(sizes).all():
        return f"The validation part is too small for conformal intervals that hold {CONFIDENCE:.0%}."
    width = f", {np.mean(sizes):.3g}{f' {units}' if units else ''} wide" if len(found) == 1 else ""
    return (
        f"Conformal intervals that should hold {CONFIDENCE:.0%} of the values hold {share} of those of the "
        f"test part{mean}{width}."
    )
