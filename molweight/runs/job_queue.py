"""One queue for sweeps and leaderboards: runs here, in processes of this machine, or on a cluster.

A job is a command, and its run folder is the protocol: the lock keeps other processes out, ``status.json``
says who runs and how it ended, ``report.json`` is the result. So a queue can stop at any moment, and the same
jobs continue with any launcher or none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from molweight.runs.job import Job, JobResult, attempt
from molweight.runs.launchers import Launcher
from molweight.runs.workers import LEAVE, POLL, STOP, SubmititTask
from molweight.utils.signals import Interrupted, interruptible, stop_if_asked
from molweight.utils.terminal import printable

Say = Callable[[str], None]
AnyJob = TypeVar("AnyJob", bound=Job)
Record = Callable[[AnyJob, JobResult], None]
Left = dict[AnyJob, Future[JobResult] | SubmititTask]  # jobs that have not ended

STOPPED = "its job was stopped by a signal; the same command continues this run"


@dataclass(kw_only=True)
class Progress(Generic[AnyJob]):
    """What is said while jobs start and end.

    Args:
        total: jobs of the queue.
        say: called with a line for each job that starts or ends.
        record: called with each job that has ended, in any order.
    """

    total: int
    say: Say
    record: Record[AnyJob]
    started: dict[AnyJob, float] = field(default_factory=dict)  # seconds of a clock
    seconds: list[float] = field(default_factory=list)  # of each job that has ended
    at_once: int = 1  # most jobs that ran at the same time so far

    def start(self, job: AnyJob) -> None:
        """Say that a job starts, once."""
        if job not in self.started:
            self.started[job] = time.monotonic()
            self.at_once = max(self.at_once, len(self.started) - len(self.seconds))
            self.say(f"{job.name}: begins in {job.config.run_dir}")

    def end(self, job: AnyJob, result: JobResult) -> None:
        """Record how a job ended, and say it."""
        self.seconds.append(time.monotonic() - self.started[job])
        self.record(job, result)
        outcome = printable(result.score or result.error)  # in one line
        self.say(f"{job.name}: {result.state}: {outcome} [{self.left()}]")

    def left(self) -> str:
        """``3 of 12, about 20 min left``."""
        ended = len(self.seconds)
        if ended == self.total:
            return f"{ended} of {self.total}"
        rounds = max(1.0, (self.total - ended) / self.at_once)
        return f"{ended} of {self.total}, about {duration(rounds * sum(self.seconds) / ended)} left"


def duration(seconds: float) -> str:
    """For people.

    >>> duration(40), duration(1200), duration(9000)
    ('40 s', '20 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def run_queue(
    jobs: Sequence[AnyJob],
    *,
    launcher: Launcher | None,
    out: Path,
    record: Record[AnyJob],
    say: Say,
    progress: bool = False,
) -> None:
    """Run all; a job that fails does not stop the others.

    Without a launcher they run in this process: torch is loaded already, and bars can be shown.

    Args:
        jobs: in the order in which they start.
        launcher: where they run; None: here, one after the other.
        out: folder of all; logs of submitit are in ``launcher/`` in it.
        record: called with each job that has ended, in any order.
        say: called with a line for each job that starts or ends.
        progress: show the bars of a run that runs here.

    Raises:
        ConfigError: the launcher does not work.
        Interrupted: by a signal; what had finished is recorded, the rest can be continued.
    """
    told = Progress(total=len(jobs), say=say, record=record)
    with interruptible():
        if launcher is None:
            _run_here(jobs, told, progress=progress)
        elif jobs:
            logs = f"; logs in {out / 'launcher'}" if launcher.name != "joblib" else ""
            say(f"{len(jobs)} job{'s' * (len(jobs) != 1)} handed to {launcher.option}{logs}")
            _run_elsewhere(jobs, launcher, out, told)


def _run_here(jobs: Sequence[AnyJob], told: Progress[AnyJob], *, progress: bool) -> None:
    for job in jobs:
        told.start(job)
        result = attempt(job, progress=progress)
        if result.state == "interrupted":
            raise Interrupted(result.exit_code - 128)
        told.end(job, result)
        stop_if_asked()


def _run_elsewhere(jobs: Sequence[AnyJob], launcher: Launcher, out: Path, told: Progress[AnyJob]) -> None:
    """Submit all at once and watch them; on the way out, ask those that run to save and stop."""
    with launcher.submit(jobs, out) as (folder, tasks):
        left: Left[AnyJob] = dict(zip(jobs, tasks, strict=True))
        try:
            while left:
                stop_if_asked()
                _look(left, told, stopping=False)
                time.sleep(POLL)
        except BaseException:
            _stop(left, folder, told)
            raise


def _look(left: Left[AnyJob], told: Progress[AnyJob], *, stopping: bool) -> None:
    """Tell what started and what ended since the last look."""
    for job, task in list(left.items()):
        if task.running() or task.done():
            told.start(job)
        if task.done():
            del left[job]
            result = task.result()
            if result.state in ("interrupted", "pending"):
                if stopping:
                    continue  # it did as it was asked to
                result = replace(result, state="interrupted", error=STOPPED)
            told.end(job, result)


def _stop(left: Left[AnyJob], folder: Path, told: Progress[AnyJob]) -> None:
    """Ask all to save and stop, and wait for it; a second signal asks them to leave at once."""
    try:
        (folder / STOP).touch()
        for job, task in list(left.items()):
            if task.cancel():  # it has not started
                del left[job]
        while left:
            _look(left, told, stopping=True)
            time.sleep(POLL)
    except Interrupted:
        (folder / LEAVE).touch()
        raise
