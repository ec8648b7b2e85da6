"""What is left of a sweep is run, and every job's end is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from molweight.errors import DataError, MolweightError
from molweight.jobs.execution import execute
from molweight.jobs.finished import is_finished
from molweight.jobs.job import Job, Outcome
from molweight.jobs.launching import launch
from molweight.methods.run_directory import RunDirectory
from molweight.reporting.markdown import headline, number
from molweight.reporting.page import try_page
from molweight.sweeps.plan import Sweep
from molweight.utils.files import read_json
from molweight.utils.signals import Interrupted

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """How a job ended.

    Args:
        state: ``ok``, ``skipped``, ``failed``, ``crashed``, ``interrupted`` or ``pending``.
        score: of a job that is ok, for people.
        error: the reason in a sentence, of one that failed or died.
        exit_code: as the run alone would have ended.
    """

    state: str
    score: str = ""
    error: str = ""
    exit_code: int = 0


@dataclass(kw_only=True)
class Endings:
    """What is known about the jobs of a sweep so far.

    Args:
        jobs: all of them.
        say: called with a line for each job that ends.
    """

    jobs: Sequence[Job]
    say: Say
    of: dict[str, JobResult] = field(default_factory=dict)  # by the job's folder
    stopped: int = 0  # exit code, if a signal ended the sweep

    @property
    def exit_code(self) -> int:
        """That of the signal which ended the sweep, else the highest of its jobs."""
        return self.stopped or max((one.exit_code for one in self.of.values()), default=0)

    def begin(self, job: Job) -> None:
        """Note that a job begins."""
        self.say(f"{job.name}: begins in {job.config.run_dir}")

    def record(self, job: Job, outcome: Outcome) -> None:
        """Note how a job ended, and say it."""
        ending = ended(job, outcome)
        self.of[str(job.config.run_dir)] = ending
        self.say(f"{job.name}: {ending.state}: {ending.score or ending.error}")

    def skip(self, job: Job) -> None:
        """Note that a job need not run."""
        content = read_report(job)
        self.of[str(job.config.run_dir)] = JobResult(state="skipped", score=headline(content))
        self.say(f"{job.name}: finished before, skipped")

    def close(self) -> None:
        """Look up the jobs that nobody reported."""
        for job in self.jobs:
            if str(job.config.run_dir) not in self.of:
                self.of[str(job.config.run_dir)] = unreported(job)


def run_sweep(sweep: Sweep, *, say: Say, progress: bool = False) -> Endings:
    """Run what is not finished; a job that fails does not stop the others.

    Args:
        sweep: from :func:`molweight.sweeps.plan.plan_sweep`.
        say: called with a line for everything that happens.
        progress: show the bars of a run that runs here.

    Returns:
        How each job ended, also after a signal.

    Raises:
        ConfigError: before the first job starts: a folder holds another run, or the launcher does not work.
        DataError: a folder cannot be read.
    """
    endings = Endings(jobs=sweep.jobs, say=say)
    finished = [is_finished(job.config, "run_dir=") for job in sweep.jobs]
    for job in (job for job, done in zip(sweep.jobs, finished, strict=True) if done):
        endings.skip(job)
    waiting = [job for job, done in zip(sweep.jobs, finished, strict=True) if not done]
    try:
        if sweep.launcher is None:
            execute(waiting, begin=endings.begin, record=endings.record, progress=progress)
        elif waiting:
            say(f"logs of hydra/launcher={sweep.launcher.name} in {sweep.folder / 'launcher'}")
            launch(waiting, sweep.launcher, out=sweep.folder, begin=endings.begin, record=endings.record)
    except Interrupted as stop:
        endings.stopped = stop.exit_code
    endings.close()
    return endings


def ended(job: Job, outcome: Outcome) -> JobResult:
    """What became of a job that ran; it has its page if all is well."""
    if outcome.died:
        return JobResult(state="crashed", error=outcome.error or "", exit_code=outcome.exit_code)
    if outcome.error is not None:
        state = "interrupted" if outcome.exit_code > 128 else "failed"
        return JobResult(state=state, error=outcome.error, exit_code=outcome.exit_code)
    try:
        content = read_report(job)
    except DataError as error:
        return JobResult(state="failed", error=str(error), exit_code=error.exit_code)
    try_page(job.config.run_dir)
    validation = f" (validation {number(content['valid'])})" if content["test_evaluations"] else ""
    return JobResult(state="ok", score=f"{headline(content)}{validation}, {content['seconds']:.0f} s")


def unreported(job: Job) -> JobResult:
    """What became of a job that was still to come, or under way, when a signal ended the sweep."""
    directory = RunDirectory(job.config.run_dir)
    directory.close("its process was killed")
    try:
        status = directory.previous()
    except MolweightError as error:
        return JobResult(state="failed", error=str(error), exit_code=error.exit_code)
    if status is None or status.get("state") == "failed":  # that is from an earlier time
        return JobResult(state="pending")
    if status.get("state") == "ok":
        return ended(job, Outcome(exit_code=0))
    return JobResult(state="interrupted")


def read_report(job: Job) -> dict[str, Any]:
    """``report.json`` of a finished job.

    Raises:
        DataError: it cannot be read.
    """
    path = job.config.run_dir / "report.json"
    try:
        return dict(read_json(path))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} cannot be read ({error}); delete that folder to run it again") from error
