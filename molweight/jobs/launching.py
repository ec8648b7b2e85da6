"""Runs through a launcher of Hydra.

The launcher works in a process of its own, so that its logging, its options and its workers stay apart from
the caller. What it returns is not looked at, since launchers hide failures: each job says how it ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Generic

from molweight.config.composition import quoted
from molweight.errors import ConfigError
from molweight.jobs.execution import AnyJob, Begin, Record
from molweight.jobs.job import Outcome, died
from molweight.jobs.launched import BEGAN, ENDED, ERROR, JOBS, POLL, STOP
from molweight.jobs.launchers import Launcher, threads
from molweight.utils.files import write_json
from molweight.utils.signals import Interrupted, interruptible, stop_if_asked

STOPPED = "its job was stopped by a signal; the same command continues this run"
GRACE = 60  # seconds for a step to end and be saved, where nothing tells whether the job still lives


@dataclass(kw_only=True)
class Jobs(Generic[AnyJob]):
    """What the jobs of one launcher have left in their folder so far.

    Args:
        runs: with the numbers that they have in the folder.
        folder: shared with the jobs.
        begin: called when a run starts.
        record: called when it is known how a run ended.
    """

    runs: Sequence[AnyJob]
    folder: Path
    begin: Begin[AnyJob]
    record: Record[AnyJob]
    began: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    noted: set[int] = field(default_factory=set)  # those that are recorded

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
            own = self.folder / str(number)
            gone = is_gone(own / BEGAN)  # first: a process may write and end between two questions
            if (own / ENDED).exists():
                self.ended.add(number)
                outcome = Outcome(**json.loads((own / ENDED).read_text(encoding="utf-8")))
                if not outcome.interrupted:
                    self.note(number, outcome)
                elif not (self.folder / STOP).exists():  # else it did as it was asked to
                    self.note(number, Outcome(exit_code=outcome.exit_code, error=STOPPED))
            elif gone:
                self.ended.add(number)
                self.note_death(number)

    def note(self, number: int, outcome: Outcome) -> None:
        """Record how a job ended."""
        self.noted.add(number)
        self.record(self.runs[number], outcome)

    def note_death(self, number: int) -> None:
        """Record that a job ended without a word."""
        sentence = (
            "its process ended without a word, perhaps for lack of memory or time; its logs are in launcher/"
            f"{self.folder.name}; the same command continues this run"
        )
        self.note(number, died(self.runs[number], sentence))

    def stop(self) -> None:
        """Ask all that have not ended to save and stop, or not to begin."""
        (self.folder / STOP).touch()


def is_gone(began: Path) -> bool:
    """Whether the process that wrote this file is known to be gone; of another machine nothing is known."""
    if not hasattr(os, "killpg"):  # on Windows a signal that only asks would end it
        return False
    found = json.loads(began.read_text(encoding="utf-8"))
    if found["host"] != platform.node():
        return False
    try:
        os.kill(found["process"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def launch(
    runs: Sequence[AnyJob], launcher: Launcher, *, out: Path, begin: Begin[AnyJob], record: Record[AnyJob]
) -> None:
    """Run all through a launcher, and record each as soon as it ends.

    Args:
        runs: of one modality.
        launcher: from :func:`find_launcher`.
        out: folder of all; the launcher works in ``launcher/`` in it.
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


def _sweep(
    runs: list[AnyJob], launcher: Launcher, out: Path, begin: Begin[AnyJob], record: Record[AnyJob]
) -> list[AnyJob]:
    """Run in a launcher of its own; the runs that are left if it gave up, as some do when one job dies."""
    folder = (out / "launcher" / datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")).resolve()
    jobs = Jobs(runs=runs, folder=folder, begin=begin, record=record)
    process = _start(launcher, jobs)
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
        jobs.note_death(number)
    if not jobs.noted:
        raise ConfigError(f"launcher={launcher.name} did not work{_error(folder)}; its log: {folder}/log.txt")
    return [run for number, run in enumerate(runs) if number not in jobs.noted]


def _start(launcher: Launcher, jobs: Jobs[AnyJob]) -> subprocess.Popen[bytes]:
    """Start a process for the launcher, in a session of its own: a Ctrl-C reaches the jobs through us."""
    content = {
        "jobs": [{"name": run.name, "overrides": run.overrides, "command": run.command} for run in jobs.runs],
        "modality": jobs.runs[0].config.modality,
        "threads": threads(launcher, len(jobs.runs)),
    }
    write_json(jobs.folder / JOBS, content)
    options = (
        *("--multirun", f"hydra/launcher={launcher.name}", *launcher.options),
        *(f"hydra.sweep.dir={quoted(str(jobs.folder))}", "hydra.sweep.subdir=${number}"),
        *("hydra.output_subdir=null", "hydra.job.name=molweight", f"+number=range({len(jobs.runs)})"),
    )
    code = "from molweight.jobs.launched import main; main()"
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
