"""How far predictions can be relied on: conformal intervals, and nearness to the training molecules.

Both come from files of the runs' folders, ``predictions.csv`` and ``training.smi``.

Letters: b rows of a batch, n validation molecules, t targets, m models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from molweight.data.fingerprints import Neighbours
from molweight.data.smiles import InvalidSmilesError, canonical
from molweight.errors import ConfigError, DataError, option
from molweight.inference.model import TrainedModel
from molweight.inference.predictions_file import part_of, read_table, target_columns, too_coarse
from molweight.training.bootstrap import Predictions
from molweight.training.conformal import check_confidence, class_sets, intervals
from molweight.utils.files import read_text
from molweight.utils.output_columns import CLASSES, ENDS


@dataclass(frozen=True, kw_only=True)
class Conformal:
    """Intervals or sets around the predictions of one model, or the mean of several.

    Args:
        predicted: by the models together, of the validation molecules, [n, t]; probabilities as the network
            says them.
        y_true: theirs, [n, t], NaN where missing.
        names: of the targets.
        classification: sets of classes instead of intervals.
        confidence: share of molecules that shall be covered.
    """

    predicted: np.ndarray
    y_true: np.ndarray
    names: Sequence[str]
    classification: bool
    confidence: float

    @classmethod
    def of(cls, models: Sequence[TrainedModel], confidence: float) -> Conformal:
        """Calibrated on the validation part that the models' runs share.

        Raises:
            ConfigError: the confidence is no share, more than the validation part can promise, or the models
                have different validation parts.
            DataError: a run has no predictions of its validation part.
        """
        check_confidence(confidence)
        first, *others = parts = [validation_part(model) for model in models]
        for model, other in zip(models[1:], others, strict=True):
            alike = np.array_equal(other.rows, first.rows)
            if not alike or not np.array_equal(other.y_true, first.y_true, equal_nan=True):
                raise ConfigError(
                    f"{models[0].path} and {model.path} were validated on different molecules: intervals of "
                    "several models together need runs with one split"
                )
        conformal = cls(
            predicted=np.mean([part.predicted for part in parts], axis=0),
            y_true=first.y_true,
            names=models[0].task.names,
            classification=models[0].task.kind == "classification",
            confidence=confidence,
        )
        conformal.check()
        return conformal

    @property
    def endings(self) -> tuple[str, str]:
        """What the names of the two columns of a target end with."""
        return CLASSES if self.classification else ENDS

    def numbers(self, predicted: np.ndarray) -> np.ndarray:
        """Ends of intervals, or 1 where a class is in the set, [b, t, 2], around predictions [b, t]."""
        method = class_sets if self.classification else intervals
        by_target = [
            method(self.predicted[:, j], self.y_true[:, j], predicted[:, j], self.confidence)
            for j in range(len(self.names))
        ]
        return np.stack(by_target, axis=1)

    def check(self) -> None:
        """Refuse intervals without ends.

        Raises:
            ConfigError: naming the target with the fewest validation labels.
        """
        if self.classification:
            return
        ends = self.numbers(np.zeros((1, len(self.names))))
        if not np.isfinite(ends).all():
            counts = (~np.isnan(self.y_true)).sum(0)
            fewest, name = int(counts.min()), self.names[int(counts.argmin())]
            raise ConfigError(
                f"a confidence of {self.confidence:g} needs more than the {fewest} validation labels of "
                f"{name!r}: they can promise {fewest / (fewest + 1):.2g} at most"
            )


def validation_part(model: TrainedModel) -> Predictions:
    """What a run's model said of its validation molecules, sorted by their rows.

    Raises:
        DataError: naming the file.
    """
    path = model.path / "predictions.csv"
    try:
        table = read_table(path)
        if target_columns(table) != list(model.task.names):
            raise ValueError(f"its targets are not {', '.join(model.task.names)}")
        if name := too_coarse(table):
            raise ValueError(
                f"its six digits are too few for {name!r}; run again into another {option('run_dir')}"
            )
        part = part_of(table, "valid")
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"intervals need {path}, which cannot be read: {error}") from error
    order = np.argsort(part.rows, kind="stable")
    return Predictions(rows=part.rows[order], predicted=part.predicted[order], y_true=part.y_true[order])


def training_neighbours(models: Sequence[TrainedModel]) -> Neighbours:
    """The training molecules of all models.

    Raises:
        DataError: a run has no ``training.smi``, or it holds something else.
    """
    smiles: dict[str, None] = {}
    for model in models:
        smiles |= dict.fromkeys(training_molecules(model.path / "training.smi"))
    return Neighbours(list(smiles))


def training_molecules(path: Path) -> list[str]:
    """The molecules of a run's ``training.smi``, canonical.

    Raises:
        DataError: naming the line.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"the similarity to training molecules needs {path}, which cannot be read ({reason}); runs of "
            "earlier versions have none",
            hint=f"run again into another {option('run_dir')}",
        ) from error
    molecules = []
    for number, line in enumerate(lines, 1):
        try:
            molecules.append(canonical(line.partition(" ")[0]))
        except InvalidSmilesError as error:
            raise DataError(f"{path}, line {number}: no molecule ({error})") from error
    if not molecules:
        raise DataError(f"{path} is empty: expected a molecule on each line")
    return molecules
