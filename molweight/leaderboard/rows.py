"""``leaderboard.csv``: one row for each run, and whether two of them may be ranked together."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from molweight.errors import ConfigError, DataError
from molweight.leaderboard.plan import Run
from molweight.reporting.report import Report
from molweight.runs.job import read_report
from molweight.training.metrics import METRICS
from molweight.utils.files import finite, write_text
from molweight.utils.terminal import printable

T = TypeVar("T")
Row = dict[str, Any]
"""Column to value; None where there is nothing to say."""

COLUMNS = (
    *("dataset", "method", "seed", "state", "metric", "valid", "test"),
    *(
        "split",
        "split_seed",
        "split_hash",
        "n_train",
        "n_test",
        "protocol",
        "seconds",
        "images",
        "parameters",
    ),
    *("data_sha256", "corpus", "weights", "versions", "options", "config_hash", "command", "run", "error"),
    "score",
)
NEW = ("score",)
"""Columns that tables of earlier versions do not have."""
WHOLE = ("seed", "split_seed", "n_train", "n_test", "images", "parameters")
REAL = ("valid", "test", "seconds")
SAME = ("metric", "score", "protocol", "data_sha256", "split")
"""What all runs of a data set must share."""
FILE = "leaderboard.csv"
SENTENCE = 50  # characters that are shown whole; what is longer is a hash


def finished_row(run: Run) -> Row:
    """The row of a run from its ``report.json``.

    Raises:
        DataError: the report cannot be read.
    """
    return {**_identity(run), **report_row(read_report(run.config.run_dir))}


def report_row(run_report: Report) -> Row:
    """What a ``report.json`` says about a run; keys that a method does not report stay empty."""
    report = finite(run_report.to_json())
    split, sizes = report.get("split") or {}, (report.get("split") or {}).get("sizes") or {}
    copied = (
        "metric",
        "valid",
        "test",
        "protocol",
        "seconds",
        "images",
        "parameters",
        "data_sha256",
        "command",
    )
    return {
        "state": "ok",
        **{key: report.get(key) for key in copied},
        "split": split.get("kind"),
        "split_seed": split.get("seed"),
        "split_hash": split.get("hash"),
        "score": report.get("score") or plain_score(report.get("metric")),
        "n_train": sizes["train"] + sizes.get("meta", 0) if "train" in sizes else None,
        "n_test": sizes.get("test"),
        "corpus": (report.get("corpus") or {}).get("name"),
        "weights": json.dumps(report.get("weights") or {}),
        "versions": json.dumps(report.get("versions") or {}),
        "error": None,
    }


def plain_score(metric: str | None) -> str | None:
    """What earlier versions scored by: the metric, or its mean over targets in whatever units they had."""
    return METRICS[metric].label if metric in METRICS else None


def failed_row(run: Run, sentence: str) -> Row:
    """The row of a run that has no result, with the reason."""
    return {
        **dict.fromkeys(COLUMNS),
        **_identity(run),
        "state": "failed",
        "command": run.command,
        "error": printable(sentence),
    }


def _identity(run: Run) -> Row:
    return {
        "dataset": run.dataset,
        "method": run.method,
        "seed": run.seed,
        "options": json.dumps(run.options),
        "config_hash": run.config.hash,
        "run": run.folder,
    }


def key(row: Row) -> tuple[str, str, int]:
    """What makes a row one run: data set, method and seed."""
    return row["dataset"], row["method"], row["seed"]


def write_rows(out: Path, rows: Iterable[Row]) -> None:
    """Replace ``leaderboard.csv`` in one step.

    Raises:
        DataError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(out / FILE, text.getvalue())


def read_rows(out: Path) -> list[Row]:
    """The rows of ``leaderboard.csv``; none where there is no such file.

    Raises:
        DataError: it cannot be read, or lacks a column.
    """
    path = out / FILE
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (*(reader.fieldnames or ()), *NEW)]
            if missing:
                raise DataError(f"{path} has no column {missing[0]!r}; choose another out=")
            return [_typed(row) for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read ({error}); choose another out=") from error


def _typed(row: dict[str, str]) -> Row:
    typed: Row = {name: row.get(name) or None for name in COLUMNS}
    typed["score"] = typed["score"] or plain_score(typed["metric"])
    typed |= {name: int(row[name]) for name in WHOLE if row[name]}
    typed |= {name: float(row[name]) for name in REAL if row[name]}
    return typed


def scored(rows: Iterable[Row]) -> list[Row]:
    """The rows of runs that finished with a test score."""
    return [row for row in rows if row["state"] == "ok" and row["test"] is not None]


def check_comparable(rows: Sequence[Row], coming: Sequence[Run] = ()) -> None:
    """Refuse runs of one data set that were not judged alike.

    Metric, protocol, data and kind of split are the same everywhere. The split itself is the same for all
    methods of a seed, and for all seeds unless ``split.seed`` follows the seed; under ``protocol=strict``
    the part ``meta`` follows it too.

    Args:
        rows: of runs that have ended; only those that are ok are compared.
        coming: runs that have not, by what their configuration already says.

    Raises:
        ConfigError: naming two such runs and what differs.
    """
    finished = [row for row in rows if row["state"] == "ok"]
    for name in SAME:
        _refuse(finished, name, ())
    _refuse(finished, "split_hash", ("seed",))
    _refuse([row for row in finished if row["protocol"] != "strict"], "split_hash", ("split_seed",))
    _refuse([row for row in finished if row["protocol"] == "strict"], "split_hash", ("split_seed", "seed"))
    known = [_known(run) for run in coming]
    for name in ("protocol", "split"):
        _refuse([*finished, *known], name, ())


def _known(run: Run) -> Row:
    """What the configuration of a run says about its row."""
    config = run.config
    return {**_identity(run), "protocol": config.protocol, "split": config.samples.split_kind}


def _refuse(rows: Iterable[Row], column: str, within: tuple[str, ...]) -> None:
    """Raise if rows of one data set that agree on ``within`` do not agree on a column."""
    first: dict[tuple[object, ...], Row] = {}
    for row in rows:
        other = first.setdefault((row["dataset"], *(row[name] for name in within)), row)
        if other[column] != row[column]:
            raise ConfigError(
                f"{other['run']} and {row['run']} cannot be ranked together: their {column} differs "
                f"({_short(other[column])} and {_short(row[column])}); give each kind its own out=, or "
                "delete the folders and the rows of one"
            )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= SENTENCE else text[:12]


def column(rows: Sequence[Row], name: str) -> NDArray[np.float64]:
    """The values of a column that are there."""
    return np.array([row[name] for row in rows if row[name] is not None], dtype=np.float64)


def unique(values: Iterable[T]) -> list[T]:
    """Values in the order in which they first appear, each once."""
    return list(dict.fromkeys(values))
