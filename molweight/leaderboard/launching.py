"""Runs through a launcher of Hydra.

The launcher works in a process of its own, so that its logging, its options and its workers stay apart from
the caller. What it returns is not looked at, since launchers hide failures: each job says how it ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from molweight.composition import quoted
from molweight.errors import ConfigError
from molweight.files import write_json
from molweight.leaderboard.execution import Begin, Outcome, Record
from molweight.leaderboard.job import BEGAN, ENDED, ERROR, JOBS, POLL, STOP
from molweight.leaderboard.launchers import Launcher, threads
from molweight.leaderboard.plan import Run
from molweight.leaderboard.rows import failed_row
from molweight.signals import Interrupted, interruptible, stop_if_asked

GRACE = 60  # seconds for a step to end and be saved, where nothing tells whether the job still lives


@dataclass(kw_only=True)
class Jobs:
    """What the jobs of one launcher have left in their folder so far.

    Args:
        runs: job ``i`` is run ``i``.
        folder: shared with the jobs.
        begin: called when a run starts.
        record: called when a run has a row.
    """

    runs: Sequence[Run]
    folder: Path
    begin: Begin
    record: Record
    began: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    noted: set[int] = field(default_factory=set)  # those with a row

    @property
    def under_way(self) -> set[int]:
        """Jobs that began and have not ended."""
        return self.began - self.ended

    def look(self) -> None:
        """Report what began and what ended since the last look."""
        for number in range(len(self.runs)):
            if number not in self.began and (self.folder / str(number) / BEGAN).exists():
                self.began.add(number)
                self.begin(self.runs[number])
        for number in sorted(self.under_way):
            if (path := self.folder / str(number) / ENDED).exists():
                self.ended.add(number)
                found = json.loads(path.read_text(encoding="utf-8"))
                row = found["row"]
                if row is None:
                    if (self.folder / STOP).exists():
                        continue  # as it was asked to
                    row = failed_row(self.runs[number], found["error"])
                self.note(number, Outcome(row=row, exit_code=found["exit_code"]))

    def note(self, number: int, outcome: Outcome) -> None:
        """Record how a job ended."""
        self.noted.add(number)
        self.record(self.runs[number], outcome)

    def stop(self) -> None:
        """Ask all that have not ended to save and stop, or not to begin."""
        (self.folder / STOP).touch()


def launch(runs: Sequence[Run], launcher: Launcher, *, out: Path, begin: Begin, record: Record) -> None:
    """Run all through a launcher, and record each as soon as it ends.

    Args:
        runs: of one leaderboard.
        launcher: from :func:`find_launcher`.
        out: folder of the leaderboard; the launcher works in ``launcher/`` in it.
        begin: called when a run starts.
        record: called when a run has ended, in any order.

    Raises:
        ConfigError: the launcher does not work.
        Interrupted: by a signal; what had finished is recorded, the rest can be continued.
    """
    left = list(runs)
    with interruptible():
        while left:
            left = _sweep(left, launcher, out, begin, record)


def _sweep(runs: list[Run], launcher: Launcher, out: Path, begin: Begin, record: Record) -> list[Run]:
    """Run in a launcher of its own; the runs that are left if it gave up, as some do when one job dies."""
    folder = (out / "launcher" / datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")).resolve()
    jobs = Jobs(runs=runs, folder=folder, begin=begin, record=record)
    process = _start(launcher, jobs, out)
    try:
        while process.poll() is None:
            stop_if_asked()
            jobs.look()
            time.sleep(POLL)
        jobs.look()
        if len(jobs.ended) == len(runs):
            return []
        jobs.stop()
        deadline = time.monotonic() + GRACE
        while jobs.under_way and time.monotonic() < deadline:
            stop_if_asked()
            time.sleep(POLL)
            jobs.look()
    except Interrupted:
        jobs.stop()
        jobs.look()
        while jobs.under_way and process.poll() is None:
            time.sleep(POLL)
            jobs.look()
        raise
    finally:
        if len(jobs.ended) < len(runs):
            jobs.stop()  # also those that a cluster still has in its queue
            _end(process)
        assert process.stdin is not None
        process.stdin.close()
    for number in sorted(jobs.under_way):
        sentence = (
            "its job ended without a word, perhaps for lack of memory or time; its logs are in launcher/"
            f"{folder.name}; the same command continues this run"
        )
        jobs.note(number, Outcome(row=failed_row(runs[number], sentence), exit_code=1))
    if not jobs.noted:
        raise ConfigError(f"launcher={launcher.name} did not work{_error(folder)}; its log: {folder}/log.txt")
    return [run for number, run in enumerate(runs) if number not in jobs.noted]


def _start(launcher: Launcher, jobs: Jobs, out: Path) -> subprocess.Popen[bytes]:
    """Start a process for the launcher, in a session of its own: a Ctrl-C reaches the jobs through us."""
    content = {
        "runs": [[run.dataset, run.method, run.seed] for run in jobs.runs],
        "modality": jobs.runs[0].config.modality,
        "options": jobs.runs[0].options,
        "out": str(out),
        "threads": threads(launcher, len(jobs.runs)),
    }
    write_json(jobs.folder / JOBS, content)
    options = (
        *("--multirun", f"hydra/launcher={launcher.name}", *launcher.options),
        *(f"hydra.sweep.dir={quoted(str(jobs.folder))}", "hydra.sweep.subdir=${number}"),
        *("hydra.output_subdir=null", "hydra.job.name=molweight", f"+number=range({len(jobs.runs)})"),
    )
    code = "from molweight.leaderboard.job import main; main()"
    with (jobs.folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-c", code, str(jobs.folder), *options],
            stdin=subprocess.PIPE,  # open as long as we live
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},  # also for its jobs
            start_new_session=True,
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the launcher and what it has left on this machine."""
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):  # not on Windows
            os.killpg(process.pid, signal.SIGTERM)
        else:
            process.terminate()
    process.wait()


def _error(folder: Path) -> str:
    """What the launcher complained about, in brackets; nothing if it did not."""
    if not (folder / ERROR).exists():
        return ""
    lines = json.loads((folder / ERROR).read_text(encoding="utf-8"))["error"].splitlines()
    return f" ({lines[0]})"
