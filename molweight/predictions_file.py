"""``predictions.csv``: validation and test samples with what was predicted and what is true."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from molweight.files import MOST_TEXT, read_bytes, write_text
from molweight.spreadsheets import as_it_was, no_formula
from molweight.training.bootstrap import Predictions
from molweight.training.setup import Setup


def save_predictions(path: Path, setup: Setup, parts: dict[str, tuple[Tensor, Tensor, Tensor]]) -> None:
    """Write validation and test rows with their predictions and true values.

    Columns: those of ``setup.describe``, ``part``, then for each target its prediction and ``<target>_true``,
    and what else the task has to say. Text that a spreadsheet would run begins with an apostrophe.
    """
    frames = []
    for part, (positions, predicted, truth) in parts.items():
        columns: dict[str, Any] = {
            name: [safe(values[i]) for i in positions.tolist()] for name, values in setup.describe.items()
        }
        columns["part"] = part
        frames.append(pd.DataFrame(columns | setup.task.columns(predicted, truth)))
    table = pd.concat(frames).rename(columns=no_formula)
    write_text(path, table.to_csv(index=False, float_format="%.6g"))


def safe(value: Any) -> Any:
    """A cell that no spreadsheet runs."""
    return no_formula(value) if isinstance(value, str) else value


def read_table(path: Path) -> pd.DataFrame:
    """All of a run's ``predictions.csv``, its targets under their own names.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no table.
    """
    content = io.BytesIO(read_bytes(path, most=MOST_TEXT))
    return pd.read_csv(content, float_precision="round_trip").rename(columns=as_it_was)


def read_predictions(path: Path) -> Predictions | None:
    """The test part of a run's ``predictions.csv``; None where there is none that can be read."""
    try:
        return part_of(read_table(path), "test")
    except (OSError, ValueError, KeyError):
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
    own, targets = table[table["part"] == part], target_columns(table)
    return Predictions(
        rows=own["row"].to_numpy(np.int64),
        predicted=own[targets].to_numpy(np.float32).astype(np.float64),
        truth=own[[f"{name}_true" for name in targets]].to_numpy(np.float64),
    )


def target_columns(table: pd.DataFrame) -> list[str]:
    """Columns of predictions: those that have their truth beside them."""
    names = [str(name) for name in table.columns]
    return [name for name in names if f"{name}_true" in names]
