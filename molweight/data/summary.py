"""What is in a data set: how its labels are distributed and how its molecules fall into scaffold sets.

Letters in shapes: n usable molecules, t targets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from molweight.data.datasets import MoleculeDataset
from molweight.data.results import ScaffoldSets
from molweight.data.splits.scaffold import scaffold

NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class ClassBalance:
    """Labels of one target of a classification."""

    name: str
    positives: int
    negatives: int
    missing: int

    @property
    def labelled(self) -> int:
        """Molecules with a label."""
        return self.positives + self.negatives

    @property
    def positive(self) -> float:
        """Share of the labels that are 1; NaN where there is no label."""
        return self.positives / self.labelled if self.labelled else NAN

    @property
    def extremity(self) -> float:
        """Larger for a target that is harder to learn: minus the molecules of the rarer class, <= 0."""
        return -min(self.positives, self.negatives)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Labels of one target of a regression, in its units; NaN where there is no label at all."""

    name: str
    labelled: int
    missing: int
    mean: float
    std: float
    """Divided by the number of labels, so that it is the RMSE of predicting the mean."""
    min: float
    max: float

    @property
    def extremity(self) -> float:
        """Distance of the farthest label from the mean, in standard deviations; 0 if all are equal."""
        return max(self.max - self.mean, self.mean - self.min) / self.std if self.std > 0 else 0.0


Labels = Sequence[ClassBalance | Spread]  # of one data set, all of the same kind


def label_summary(data: MoleculeDataset) -> Labels:
    """The distribution of every target [t] over the usable molecules, in the order of the data set."""
    describe = class_balance if data.task_type == "classification" else spread
    return [describe(name, labels) for name, labels in zip(data.target_names, data.targets.T, strict=True)]


def class_balance(
    name: str,
    labels: np.ndarray,  # [n] in {0, 1, NaN}
) -> ClassBalance:
    """How many labels are 1, 0 and missing."""
    positives, missing = int((labels == 1).sum()), int(np.isnan(labels).sum())
    return ClassBalance(
        name=name, positives=positives, negatives=len(labels) - positives - missing, missing=missing
    )


def spread(
    name: str,
    labels: np.ndarray,  # [n] float64, NaN = missing
) -> Spread:
    """Mean, standard deviation and range of the labels that are there."""
    known = labels[~np.isnan(labels)]
    if len(known) == 0:
        return Spread(name=name, labelled=0, missing=len(labels), mean=NAN, std=NAN, min=NAN, max=NAN)
    return Spread(
        name=name,
        labelled=len(known),
        missing=len(labels) - len(known),
        mean=float(known.mean()),
        std=float(known.std()) if np.ptp(known) else 0.0,  # free of rounding
        min=float(known.min()),
        max=float(known.max()),
    )


def scaffold_sets(
    smiles: Sequence[str],  # [n] canonical, n > 0
) -> ScaffoldSets:
    """Group molecules by their scaffold, chirality kept; a repeated molecule counts every time.

    A progress bar appears on a terminal only.
    """
    sizes: Counter[str] = Counter()
    repeats = Counter(smiles)
    for molecule in tqdm(repeats, desc="scaffolds", unit="mol", disable=None, leave=False):
        sizes[scaffold(molecule, chirality=True)] += repeats[molecule]
    ((largest, molecules),) = sizes.most_common(1)
    return ScaffoldSets(sets=len(sizes), largest=molecules, largest_scaffold=largest, acyclic=sizes[""])
