"""Rows of runs that no leaderboard has planned: those of a sweep, or folders given by hand."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from molweight.config.run_config import NOT_HASHED
from molweight.errors import ConfigError
from molweight.leaderboard.rows import Row, key, report_row
from molweight.methods.run_directory import RunDirectory
from molweight.runs.job import read_options, read_report


def add_folders(rows: Iterable[Row], folders: Sequence[Path], out: Path) -> list[Row]:
    """Rows of a table, and those of the finished runs in some folders.

    Args:
        rows: of the table; one whose run is among the folders is replaced.
        folders: of runs, or with runs anywhere inside.
        out: folder of the table.

    Raises:
        ConfigError: a folder holds no finished run, or two runs differ in nothing but their folders.
        DataError: a file cannot be read.
    """
    added = folder_rows([run for folder in folders for run in finished_runs(folder)], out)
    names = {row["run"] for row in added}
    together: dict[tuple[str, str, int], Row] = {}
    for row in [*(row for row in rows if row["run"] not in names), *added]:
        if (other := together.setdefault(key(row), row)) is not row:
            raise ConfigError(
                f"{other['run']} and {row['run']} are both {row['dataset']} {row['method']} seed "
                f"{row['seed']}; give one of them, or another out="
            )
    return list(together.values())


def finished_runs(folder: Path) -> list[Path]:
    """Folders of finished runs, in order: this one, or all inside.

    Raises:
        ConfigError: there is none.
        DataError: a status cannot be read.
    """
    runs = [report.parent for report in sorted(folder.rglob("report.json"))]
    finished = [run for run in runs if (RunDirectory(run).previous() or {}).get("state") == "ok"]
    if not finished:
        raise ConfigError(f"{folder} holds no finished run; give the folder of a sweep, or folders of runs")
    return finished


def folder_rows(runs: Sequence[Path], out: Path) -> list[Row]:
    """A row for each run; its method is named with the options in which it differs from others.

    Raises:
        DataError: a report cannot be read.
    """
    rows = []
    for run in dict.fromkeys(runs):
        report = read_report(run)
        identity = {"dataset": report.dataset, "method": report.method, "seed": report.seed}
        more = {"options": None, "config_hash": report.config_hash, "run": os.path.relpath(run, out)}
        rows.append({**identity, **more, **report_row(report)})
    options = {row["run"]: read_options(out / row["run"] / "config.yaml") for row in rows}
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["dataset"], row["method"]), []).append(row)
    for (_, method), group in groups.items():
        varying = varying_options(group, options)
        for row in group:
            words = [f"{name}={options[row['run']].get(name)}" for name in varying]
            row["method"] = " ".join([method, *words])
    return rows


def varying_options(rows: Sequence[Row], options: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Options that differ between runs of one data set and method; seeds differ anyway.

    Args:
        rows: of the runs.
        options: by the column ``run``.
    """
    names = dict.fromkeys(name for row in rows for name in options[row["run"]])
    varying = []
    for name in names:
        values = {(row["seed"], str(options[row["run"]].get(name))) for row in rows}
        follows_seed = name == "split.seed" and len(values) == len({seed for seed, _ in values})
        if name not in ("seed", *NOT_HASHED) and not follows_seed and len({text for _, text in values}) > 1:
            varying.append(name)
    return varying
