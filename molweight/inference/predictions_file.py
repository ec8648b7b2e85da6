"""``predictions.csv``: validation and test samples with what was predicted and what is true."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from molweight.training.bootstrap import Array, Predictions
from molweight.training.setup import DataModule
from molweight.training.task import Predicted
from molweight.utils.files import MOST_TEXT, read_bytes, read_json, write_bytes
from molweight.utils.output_columns import LOGIT, PART, ROW, TRUE
from molweight.utils.spreadsheets import as_it_was, csv_bytes

FILE = "predictions.csv"


def save_predictions(path: Path, setup: DataModule, parts: dict[str, tuple[Tensor, Predicted]]) -> None:
    """Write validation and test rows with their predictions and true values.

    Columns: those of ``setup.describe``, ``part``, then for each target its prediction, ``<target>_true``,
    ``<target>_logit`` behind a probability, and what else the task has to say. Numbers have the digits that
    give them back. Text that a spreadsheet would run begins with an apostrophe.
    """
    frames = []
    for part, (positions, predicted) in parts.items():
        if not len(positions):  # without rows its columns have other types
            continue
        columns: dict[str, object] = {
            name: [values[i] for i in positions.tolist()] for name, values in setup.describe.items()
        }
        columns[PART] = part
        frames.append(pd.DataFrame(columns | setup.task.columns(predicted)))
    write_bytes(path, csv_bytes(pd.concat(frames)))


def read_table(path: Path) -> pd.DataFrame:
    """All of a run's ``predictions.csv``, its targets under their own names.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no table.
    """
    content = io.BytesIO(read_bytes(path, most=MOST_TEXT))
    return pd.read_csv(content, float_precision="round_trip").rename(columns=as_it_was)


def read_predictions(folder: Path) -> Predictions | None:
    """The test part of a run's ``predictions.csv``; None where there is none to compute from.

    In units of the targets' scales where the run's score is a mean of such errors.
    """
    try:
        table, scale = read_table(folder / FILE), read_json(folder / "report.json").get("scale_per_task")
        predictions = None if too_coarse(table) else part_of(table, "test")
        if predictions is None or scale is None:
            return predictions
        return predictions.normalised(scales(scale, target_columns(table)))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def part_of(table: pd.DataFrame, part: str) -> Predictions:
    """One part of the rows of ``predictions.csv``.

    Args:
        table: the whole.
        part: ``valid`` or ``test``.

    Raises:
        KeyError: a column is missing.
        ValueError: a number is none.
    """
    rows, targets = table[table[PART] == part], target_columns(table)
    logits = logit_columns(table)
    return Predictions(
        rows=rows[ROW].to_numpy(np.int64),
        predicted=rows[targets].to_numpy(np.float64),
        y_true=rows[[f"{name}{TRUE}" for name in targets]].to_numpy(np.float64),
        logits=rows[logits].to_numpy(np.float64) if logits else None,
    )


def too_coarse(table: pd.DataFrame) -> str | None:
    """A target that six digits, as earlier versions wrote them, say too little of to compute from it.

    They do where a step of the sixth digit is more than a hundredth of the spread of the true values.
    """
    for name in target_columns(table):
        y_true, predicted = (table[column].to_numpy(np.float64) for column in (f"{name}{TRUE}", name))
        known = y_true[~np.isnan(y_true)]
        if len(known) == 0 or not np.ptp(known):
            continue
        step = 10.0 ** (np.floor(np.log10(np.abs(known).max())) - 5)
        if step > 0.01 * known.std() and all(float(f"{value:.6g}") == value for value in predicted):
            return name
    return None


def scales(by_target: Mapping[str, float | None], targets: Sequence[str]) -> Array:
    """``scale_per_task`` of a report in the order of the targets, [t]; NaN where it is null.

    Raises:
        KeyError: it is of other targets.
    """
    return np.array([by_target[name] for name in targets], dtype=np.float64)


def target_columns(table: pd.DataFrame) -> list[str]:
    """Columns of predictions: those that have their truth beside them."""
    names = [str(name) for name in table.columns]
    return [name for name in names if f"{name}{TRUE}" in names]


def logit_columns(table: pd.DataFrame) -> list[str]:
    """Columns of the logits behind the predictions, in the order of the targets; empty without any.

    A regression, a forest and runs of earlier versions have none.
    """
    targets = target_columns(table)
    logits = [f"{name}{LOGIT}" for name in targets]
    return logits if set(logits) <= {*map(str, table.columns)} - set(targets) else []
