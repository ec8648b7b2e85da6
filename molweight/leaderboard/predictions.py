"""``predictions.npz``: the test predictions of all runs, so that a table has its intervals without the runs.

The table, this file and the pictures are what travels: runs themselves hold models, and are large. An entry
counts for the run of the same configuration only.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from molweight.errors import DataError
from molweight.inference.predictions_file import read_predictions
from molweight.leaderboard.rows import Row
from molweight.training.bootstrap import Array, Predictions
from molweight.utils.files import write_bytes

FILE = "predictions.npz"
ENTRIES = {
    "rows": ("rows", np.int64),
    "predicted": ("predicted", np.float64),
    "truth": ("y_true", np.float64),
    "logits": ("logits", np.float64),
}
"""What the file calls the arrays of a run, to their name and type here; all intervals come from these."""


def known_predictions(rows: Sequence[Row], out: Path) -> dict[str, Predictions]:
    """Test predictions by the column ``run``; of runs that are gone, from ``predictions.npz``.

    Args:
        rows: of runs with a score.
        out: folder that the column ``run`` is relative to.

    Raises:
        DataError: ``predictions.npz`` cannot be read or written.
    """
    path = out / FILE
    saved = load_predictions(path)
    known = {}
    for row in rows:
        here, name = read_predictions(out / row["run"]), entry_name(row)
        if here is not None:
            known[name] = here
        elif name in saved:
            known[name] = saved[name]
    if known and not same(known, saved):
        save_predictions(path, known)
    return {row["run"]: known[entry_name(row)] for row in rows if entry_name(row) in known}


def entry_name(row: Row) -> str:
    """The run and its configuration."""
    return f"{row['run']}/{row['config_hash']}"


def load_predictions(path: Path) -> dict[str, Predictions]:
    """By run and configuration; empty where there is no such file.

    Raises:
        DataError: it cannot be read.
    """
    if not path.exists():
        return {}
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        names = dict.fromkeys(name.rpartition("/")[0] for name in arrays)
        return {
            name: Predictions(
                rows=arrays[f"{name}/rows"],
                predicted=arrays[f"{name}/predicted"].astype(np.float64),
                y_true=arrays[f"{name}/truth"],
                logits=arrays.get(f"{name}/logits"),
            )
            for name in names
        }
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read ({error}); delete it, and intervals come from the runs that are here"
        ) from error


def save_predictions(path: Path, known: Mapping[str, Predictions]) -> None:
    """Replace the file in one step.

    Raises:
        DataError: it cannot be written.
    """
    content = io.BytesIO()
    arrays = {
        f"{name}/{entry}": getattr(predictions, field).astype(dtype)
        for name, predictions in known.items()
        for entry, (field, dtype) in ENTRIES.items()
        if getattr(predictions, field) is not None
    }
    np.savez_compressed(content, **arrays)
    write_bytes(path, content.getvalue())


def same(a: Mapping[str, Predictions], b: Mapping[str, Predictions]) -> bool:
    """Whether both hold the same arrays of the same runs."""
    return a.keys() == b.keys() and all(
        alike(getattr(a[name], field), getattr(b[name], field)) for name in a for field, _ in ENTRIES.values()
    )


def alike(a: Array | None, b: Array | None) -> bool:
    """Whether both arrays are the same, or neither is there."""
    return a is b if a is None or b is None else np.array_equal(a, b, equal_nan=True)
