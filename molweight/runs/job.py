"""One run of a queue: the command that makes it, its folder, and how it ended."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from molweight.config.modality import find_modality
from molweight.errors import ConfigError, DataError, MolweightError
from molweight.methods.base import RunConfig
from molweight.methods.run_directory import RunDirectory
from molweight.reporting.report import Report
from molweight.runs import experiment
from molweight.utils.files import read_json, read_text
from molweight.utils.signals import Interrupted

SHOWN = 5  # options that differ, in an error's sentence


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """A run that was composed and checked before the first one starts.

    Args:
        name: for people.
        overrides: the options of its command.
        config: what they come to.
        page: write ``report.html`` at the end.
    """

    name: str
    overrides: tuple[str, ...]
    config: RunConfig
    page: bool = False

    @property
    def command(self) -> str:
        """What makes the same run by itself."""
        return f"{find_modality(self.config.modality).tree.command} {shlex.join(self.overrides)}"


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """How a job ended, as its folder says.

    Args:
        state: ``ok``, ``skipped``, ``failed``, ``crashed``, ``interrupted`` or ``pending``.
        report: of a job that is ok or was skipped.
        error: the reason in a sentence; empty also where it was interrupted as we had asked.
        exit_code: as the run alone would have ended.
    """

    state: str
    report: Report | None = None
    error: str = ""
    exit_code: int = 0

    @property
    def score(self) -> str:
        """The scores and the time for people; empty where there are none."""
        if self.report is None:
            return ""
        return self.report.outcome


def check_folders(jobs: Iterable[Job], hint: str) -> None:
    """Raise :class:`ConfigError` if two jobs would be written to one folder."""
    first: dict[Path, Job] = {}
    for job in jobs:
        if (other := first.setdefault(job.config.run_dir, job)) is not job:
            raise ConfigError(
                f"{other.name} and {job.name} would both be written to {job.config.run_dir}; {hint}"
            )


def attempt(job: Job, *, progress: bool = False) -> JobResult:
    """Run a job, whatever happens in it."""
    try:
        experiment.run_experiment(job.config, command=job.command, progress=progress, page=job.page)
        return JobResult(state="ok", report=read_report(job.config.run_dir))
    except Interrupted as stop:
        return JobResult(state="interrupted", exit_code=stop.exit_code)
    except KeyboardInterrupt:
        return JobResult(state="interrupted", exit_code=128 + signal.SIGINT)
    except MolweightError as error:
        return JobResult(state="failed", error=str(error), exit_code=error.exit_code)
    except Exception as error:  # a bug in one job must not cost the results of the others
        return JobResult(state="failed", error=f"{type(error).__name__}: {error}", exit_code=1)


def crashed(job: Job, sentence: str) -> JobResult:
    """The result of a job whose process was killed; its ``status.json`` says so from now on."""
    RunDirectory(job.config.run_dir).close(sentence)
    return JobResult(state="crashed", error=sentence, exit_code=1)


def read_result(job: Job) -> JobResult:
    """How a job ended that nobody reported, because a signal ended the queue."""
    directory = RunDirectory(job.config.run_dir)
    directory.close("its process was killed")
    try:
        status = directory.previous()
        if status is None or status.get("state") == "failed":  # that is from an earlier time
            return JobResult(state="pending")
        if status.get("state") == "ok":
            return JobResult(state="ok", report=read_report(job.config.run_dir))
    except MolweightError as error:
        return JobResult(state="failed", error=str(error), exit_code=error.exit_code)
    return JobResult(state="interrupted")


def read_report(folder: Path) -> Report:
    """``report.json`` of a finished run.

    Raises:
        DataError: it cannot be read.
    """
    path = folder / "report.json"
    try:
        return Report.from_json(read_json(path))
    except (OSError, ValueError, DataError) as error:
        raise DataError(f"{path} cannot be read ({error}); delete that folder to run it again") from error


def is_finished(config: RunConfig, option: str) -> bool:
    """Whether a run's folder holds its result, so that it need not run again.

    Args:
        config: of the run.
        option: that decides about the folder, such as ``out=``, for the sentences.

    Raises:
        ConfigError: the folder holds something else than this run.
        DataError: its status cannot be read.
    """
    folder = config.run_dir
    hint = f"choose another {option}, or delete that folder"
    try:
        status = RunDirectory(folder).previous()
    except MolweightError as error:  # its sentence names an option that may not be the user's to set
        raise type(error)(str(error).replace("run_dir=", option)) from error
    if status is None:
        return False
    if status.get("config_hash") != config.hash:
        differing = "; ".join(differences(folder / "config.yaml", config.text))
        raise ConfigError(f"{folder} holds a run with other options ({differing or 'unknown ones'}); {hint}")
    if status.get("state") != "ok":
        return False
    if not (folder / "report.json").exists():
        raise ConfigError(f"{folder} holds a finished run without its report.json; {hint}")
    return True


def differences(path: Path, text: str) -> list[str]:
    """``key=there instead of wanted`` for the options that differ; the first few."""
    there, wanted = read_options(path), dict(flatten(yaml.safe_load(text)))
    if not there:
        return []
    keys = [key for key in {**wanted, **there} if key != "run_dir" and there.get(key) != wanted.get(key)]
    sentences = [f"{key}={there.get(key)} instead of {wanted.get(key)}" for key in keys[:SHOWN]]
    return sentences + ([f"and {len(keys) - SHOWN} more"] if len(keys) > SHOWN else [])


def read_options(path: Path) -> dict[str, object]:
    """A ``config.yaml`` by dotted option; empty where it cannot be read."""
    try:
        return dict(flatten(yaml.safe_load(read_text(path))))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}


def flatten(tree: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Dotted keys of nested dictionaries, and their values.

    >>> dict(flatten({"seed": 0, "learn": {"steps": 3}}))
    {'seed': 0, 'learn.steps': 3}
    """
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from flatten(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, tree
