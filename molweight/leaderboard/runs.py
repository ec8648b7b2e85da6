"""The leaderboard: run what is missing, keep a row for every run, make the tables."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from molweight.config.modality import find_modality
from molweight.errors import ConfigError, unknown
from molweight.leaderboard.folders import add_folders
from molweight.leaderboard.page import save_page
from molweight.leaderboard.plan import Run, plan
from molweight.leaderboard.rows import (
    FILE,
    Row,
    check_comparable,
    failed_row,
    finished_row,
    key,
    read_rows,
    scored,
    write_rows,
)
from molweight.leaderboard.summary import summarise
from molweight.leaderboard.tables import markdown
from molweight.methods.run_directory import RunDirectory
from molweight.reporting.leaderboard_json import Summary
from molweight.reporting.plots import learned_figure, ranks_figure, save_picture
from molweight.runs.job import JobResult, is_finished
from molweight.runs.job_queue import Say, run_queue
from molweight.runs.launchers import PREFIX, Launcher, find_launcher
from molweight.utils.files import write_json, write_text
from molweight.utils.pages import for_notebooks

REFERENCE = "tapweight"
Rows = dict[tuple[str, str, int], Row | None]
"""By data set, method and seed; None for a run to come."""


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """All runs of a folder, and what they say together.

    Args:
        rows: of ``leaderboard.csv``.
        summary: of ``leaderboard.json``.
        page: ``leaderboard.html``.
        markdown: ``leaderboard.md``, the same as text.
        exit_code: 0 if every run of this call is ok, else the highest exit code of those that failed.
    """

    rows: list[Row]
    summary: Summary
    page: Path
    markdown: Path
    exit_code: int = 0

    def _repr_html_(self) -> str:
        """The tables, for notebooks."""
        return for_notebooks(self.markdown.read_text(encoding="utf-8"))


def leaderboard(
    datasets: Sequence[str],
    *,
    methods: Sequence[str] = ("equal", "tapweight"),
    seeds: Sequence[int] = (0, 1, 2),
    options: Sequence[str] = (),
    out: str | Path = "results",
    jobs: int = 1,
    launcher: str | None = None,
    reference: str | None = None,
    resamples: int = 1000,
    modality: str = "molecules",
    progress: bool = False,
    announce: Say | None = None,
) -> Leaderboard:
    """Run every data set with every method and every seed, and rank the methods.

    A run that is finished is not run again, one that was interrupted or failed is continued. Rows that the
    folder holds already stay, so that data sets, methods and seeds can be added one call at a time. Results
    do not depend on ``jobs`` or ``launcher``, except for the rounding of sums: each process has its share of
    the cores, and another number of threads adds in another order.

    Args:
        datasets: names, or files.
        methods: of ``method=``.
        seeds: of ``seed=``.
        options: of every run, such as ``learn.steps=40``, or of the launcher: ``hydra.launcher.n_jobs=2``.
        out: folder of the runs and the tables.
        jobs: processes that run at the same time.
        launcher: instead of ``jobs``: ``joblib``, ``submitit_local`` or ``submitit_slurm``.
        reference: method that the others are compared with; None takes ``tapweight`` where there is one.
        resamples: of the test molecules, for the intervals.
        modality: ``molecules``, or ``text`` for tasks of GLUE.
        progress: show the bars of a run that runs in this process.
        announce: called with a line for each run that starts or ends, such as ``print``.

    Raises:
        ConfigError: before the first run: an option that is wrong, a folder with another run, or runs that
            must not be ranked together.
        DataError: a table cannot be read or written.
        Interrupted: by a signal; finished rows are kept, and the same call continues.
    """
    folder, say = Path(out), announce or (lambda line: None)
    check_counts(jobs, resamples)
    settings = [word for word in options if word.lstrip("+~").startswith(PREFIX)]
    options = [word for word in options if word not in settings]
    chosen = choose_launcher(launcher, jobs, settings)
    runs = plan(
        find_modality(modality), datasets, methods, seeds, options=options, out=folder, progress=progress
    )
    rows, waiting = collect(folder, runs)
    check_reference(reference, [*methods, *(row["method"] for row in present(rows))])
    check_comparable(present(rows), waiting)
    if len(waiting) < len(runs):
        say(f"{len(runs) - len(waiting)} of {len(runs)} runs were finished before")
    code = run_all(folder, rows, waiting, launcher=chosen, progress=progress, say=say)
    board = leaderboard_tables(folder, reference=reference, resamples=resamples)
    return replace(board, exit_code=code)


def choose_launcher(name: str | None, jobs: int, settings: Sequence[str]) -> Launcher | None:
    """The launcher that was asked for; ``jobs`` above 1 is one by itself.

    Raises:
        ConfigError: it is unknown or not installed, or an option does not fit.
    """
    if jobs > 1 and name is not None:
        raise ConfigError(f"jobs={jobs} and launcher={name} both run in parallel; choose one of them")
    launcher = find_launcher(name, settings, option="launcher=")
    if launcher is None and jobs > 1:
        return Launcher(name="joblib", option=f"jobs={jobs}", settings={"n_jobs": jobs})
    return launcher


def leaderboard_tables(
    out: str | Path = "results",
    *,
    runs: Sequence[str | Path] = (),
    reference: str | None = None,
    resamples: int = 1000,
) -> Leaderboard:
    """Make ``leaderboard.html``, ``.md`` and ``.json``, and their pictures, from a ``leaderboard.csv``.

    Args:
        out: folder of the tables.
        runs: folders of finished runs, or of sweeps, whose rows are added to ``leaderboard.csv`` first.
        reference, resamples: as for :func:`leaderboard`.

    Raises:
        ConfigError: there is no table, or it holds runs that must not be ranked together.
        DataError: a table cannot be read or written.
    """
    folder = Path(out)
    check_counts(1, resamples)
    rows = add_folders(read_rows(folder), [Path(run) for run in runs], folder)
    if not rows:
        raise ConfigError(f"{folder / FILE} holds no runs; make some with datasets=…, or choose another out=")
    check_reference(reference, [row["method"] for row in rows])
    check_comparable(rows)
    if runs:
        write_rows(folder, rows)
    with_scores = {row["method"] for row in scored(rows)}
    compared = reference or (REFERENCE if REFERENCE in with_scores else None)
    summary = summarise(rows, folder, reference=compared, resamples=resamples)
    write_json(folder / "leaderboard.json", summary)
    ranks, learned = summary["ranks"], summary["learned"]
    save_picture(None if ranks["skipped"] else ranks_figure(ranks), folder / "ranks.png")
    save_picture(None if learned is None else learned_figure(learned), folder / "weights.png")
    text, page = folder / "leaderboard.md", folder / "leaderboard.html"
    write_text(text, markdown(summary))
    save_page(summary, page)
    return Leaderboard(rows=rows, summary=summary, page=page, markdown=text)


def collect(folder: Path, runs: Sequence[Run]) -> tuple[Rows, list[Run]]:
    """Rows by key, those of earlier calls first and None for a run to come; and the runs to come.

    A run is finished if its folder says so, or, where the folder is gone, if its row in the table is of the
    same configuration: a table travels without its runs, and is continued where they are not.
    """
    earlier = {key(row): row for row in read_rows(folder)}
    asked = {run.key for run in runs}
    rows: Rows = {k: row for k, row in earlier.items() if k not in asked}
    waiting = []
    for run in runs:
        row = earlier.get(run.key, {})
        of_this_run = row.get("state") == "ok" and row["config_hash"] == run.config.hash
        if is_finished(run.config, "out="):
            rows[run.key] = finished_row(run)
        elif of_this_run and not run.config.run_dir.exists():
            rows[run.key] = row
        else:
            rows[run.key] = None
            waiting.append(run)
    return rows, waiting


def run_all(
    folder: Path,
    rows: Rows,
    waiting: Sequence[Run],
    *,
    launcher: Launcher | None,
    progress: bool,
    say: Say,
) -> int:
    """Run what is missing and write ``leaderboard.csv`` after each; the highest exit code."""
    codes = [0]

    def record(run: Run, result: JobResult) -> None:
        if result.state == "ok":
            shutil.rmtree(
                RunDirectory(run.config.run_dir).checkpoints, ignore_errors=True
            )  # up to a gigabyte
            rows[run.key] = finished_row(run)
        else:
            rows[run.key] = failed_row(run, result.error)
        codes.append(result.exit_code)
        write_rows(folder, present(rows))

    write_rows(folder, present(rows))
    run_queue(waiting, launcher=launcher, out=folder, record=record, say=say, progress=progress)
    return max(codes)


def present(rows: Rows) -> list[Row]:
    """The rows that are there, in order."""
    return [row for row in rows.values() if row is not None]


def check_counts(jobs: int, resamples: int) -> None:
    """Raise :class:`ConfigError` for numbers that are too small."""
    if jobs < 1:
        raise ConfigError(f"jobs must be at least 1, got {jobs}")
    if resamples < 100:
        raise ConfigError(f"resamples must be at least 100 for an interval of 95 %, got {resamples}")


def check_reference(reference: str | None, methods: Sequence[str]) -> None:
    """Raise :class:`ConfigError` if the reference was asked for and is not among the methods."""
    if reference is not None and reference not in methods:
        raise ConfigError(unknown("reference", reference, set(methods)))
