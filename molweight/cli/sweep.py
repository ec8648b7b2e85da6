"""``python -m molweight.run --multirun [OPTION=VALUE,VALUE …]``: run what is left, and a table of jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from molweight.config.modality import Modality
from molweight.distributed.launch import asked_for
from molweight.errors import ConfigError
from molweight.runs.job import Job, JobResult, is_finished, read_report, read_result
from molweight.runs.job_queue import Say, run_queue
from molweight.runs.sweep import Sweep, plan_sweep
from molweight.utils.signals import Interrupted
from molweight.utils.terminal import columns, described

INDENT = 6  # of a reason, below its job
WELL = ("ok", "skipped")


def sweep_command(modality: Modality, arguments: Sequence[str], *, say: Say) -> int:
    """Run every combination of the values that are listed; 0, or the highest exit code of the jobs.

    Raises:
        MolweightError: before the first job starts.
    """
    if asked_for() > 1:
        raise ConfigError("a sweep runs several runs by itself: start it without torchrun")
    sweep = plan_sweep(modality, arguments, progress=True)
    results, stopped = run_sweep(sweep, say=say)
    for line in table(results):
        say(line)
    return stopped or max(result.exit_code for result in results.values())


def run_sweep(sweep: Sweep, *, say: Say) -> tuple[dict[Job, JobResult], int]:
    """Run what is not finished.

    Returns:
        How each job ended, in order, and the exit code of a signal that ended the sweep; 0 without one.

    Raises:
        ConfigError: before the first job starts: a folder holds another run, or the launcher does not work.
        DataError: a folder cannot be read.
    """
    results: dict[Job, JobResult] = {}
    for job in sweep.jobs:
        if is_finished(job.config, "run_dir="):
            results[job] = JobResult(state="skipped", report=read_report(job.config.run_dir))
            say(f"{job.name}: finished before, skipped")
    left, stopped = [job for job in sweep.jobs if job not in results], 0
    try:
        run_queue(
            left,
            launcher=sweep.launcher,
            out=sweep.folder,
            record=results.__setitem__,
            say=say,
            progress=True,
        )
    except Interrupted as stop:
        stopped = stop.exit_code
    return {job: results.get(job) or read_result(job) for job in sweep.jobs}, stopped


def table(results: Mapping[Job, JobResult]) -> list[str]:
    """A line for each job, its reason below if it failed, and a line that counts."""
    rows = [("job", "state", "result", "run directory")]
    rows += [(job.name, end.state, end.score, str(job.config.run_dir)) for job, end in results.items()]
    head, *lines = columns(rows, align="<<<<")
    shown = ["", head]
    for line, result in zip(lines, results.values(), strict=True):
        shown += [line, *(described(" " * INDENT, result.error, indent=INDENT) if result.error else [])]
    states = [result.state for result in results.values()]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    hint = "" if set(states) <= set(WELL) else "; the same command goes on with what is left"
    return [*shown, "", f"{len(states)} job{'s' * (len(states) != 1)}: {counts}{hint}"]
