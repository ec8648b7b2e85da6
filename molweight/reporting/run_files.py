"""What a finished run has left in its folder, read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from molweight.errors import DataError
from molweight.inference.predictions_file import logit_columns, part_of, read_table, scales, target_columns
from molweight.methods.run_directory import Step
from molweight.reporting.report import Report
from molweight.reporting.typed_json import decode
from molweight.training.bootstrap import Predictions
from molweight.training.task import KINDS
from molweight.utils.files import read_json, read_text
from molweight.utils.output_columns import PART, ROW, TRUE

LABEL_COLUMN = "probability of "
"""What begins the columns of a task with several labels."""


@dataclass(frozen=True, kw_only=True)
class ModelTemperatures:
    """Of ``model.json``, the temperature of every target's probabilities; None where there are none."""

    temperature: Sequence[float] | None = None


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """What a finished run has left, as far as the page shows it.

    Args:
        report: of ``report.json``.
        records: of ``steps.jsonl``; empty where nothing was pretrained.
        predictions: of ``predictions.csv``.
        temperatures: of ``model.json``; None without a network and for regressions.
        config: the text of ``config.yaml``.
        excluded: rows of ``excluded.csv``.
    """

    report: Report
    records: Sequence[Step]
    predictions: pd.DataFrame
    temperatures: Sequence[float] | None
    config: str
    excluded: Sequence[Mapping[str, str]]

    @property
    def targets(self) -> list[str]:
        """Columns of predictions."""
        return target_columns(self.predictions)

    @property
    def test(self) -> pd.DataFrame:
        """Predictions of the test part."""
        return self.predictions[self.predictions[PART] == "test"]

    def part(self, name: str) -> Predictions:
        """``valid`` or ``test``, in units of the targets' scales where the score is a mean of such errors."""
        predictions, scale = part_of(self.predictions, name), self.report.scale_per_task
        return predictions if scale is None else predictions.normalised(scales(scale, self.targets))

    @property
    def labels(self) -> list[str]:
        """Names of the labels of a task with several; else none."""
        if self.report.task_type in KINDS:  # a target may have such a name
            return []
        names = [str(name) for name in self.predictions.columns]
        return [name.removeprefix(LABEL_COLUMN) for name in names if name.startswith(LABEL_COLUMN)]

    @property
    def inputs(self) -> list[str]:
        """Columns that say what a sample is: a SMILES, or sentences."""
        others = {ROW, PART, *self.targets, *(f"{name}{TRUE}" for name in self.targets)}
        others |= {*logit_columns(self.predictions), *(f"{LABEL_COLUMN}{name}" for name in self.labels)}
        return [str(name) for name in self.predictions.columns if str(name) not in others]

    def column(self, name: str) -> NDArray[np.float64]:
        """Numbers of the test part, [n]."""
        return self.test[name].to_numpy(np.float64)

    def ranked(self, name: str) -> NDArray[np.float64]:
        """What ranks the test part, [n]: a target's logits where they are known, else its predictions."""
        logits = dict(zip(self.targets, logit_columns(self.predictions), strict=False))
        return self.column(logits.get(name, name))


def read_run(folder: Path) -> RunFiles:
    """The files of a finished run.

    Raises:
        DataError: naming the file.
    """
    if not (folder / "report.json").is_file():
        raise DataError(f"{folder} holds no finished run: there is no report.json in it")
    path = folder / "report.json"
    try:
        content = read_json(path)
        path = folder / "steps.jsonl"
        lines = read_text(path).splitlines() if path.exists() else []
        records = [json.loads(line) for line in lines]
        path = folder / "predictions.csv"
        predictions = read_table(path)
        path = folder / "model.json"
        model = decode(ModelTemperatures, read_json(path) if path.exists() else {})
        path = folder / "config.yaml"
        config = read_text(path)
        path = folder / "excluded.csv"
        excluded = pd.read_csv(path, keep_default_na=False, dtype=str) if path.exists() else pd.DataFrame()
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error})") from error
    try:
        report = Report.from_json(content)
    except DataError as error:
        raise DataError(
            f"{folder} does not hold the report of this version: {error}; run again into another run_dir="
        ) from error
    return RunFiles(
        report=report,
        records=records,
        predictions=predictions,
        temperatures=model.temperature,
        config=config,
        excluded=[
            {str(name): str(value) for name, value in row.items()} for row in excluded.to_dict("records")
        ],
    )
