"""One run among others, and how it ended."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from molweight.errors import MolweightError
from molweight.methods.configs import RunConfig
from molweight.methods.run_directory import RunDirectory
from molweight.utils.signals import Interrupted


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run that was composed and checked before the first one starts.

    Args:
        name: for people.
        overrides: what it is composed from, so that another process can do it again.
        config: what they come to.
        command: that makes the same run by itself.
    """

    name: str
    overrides: tuple[str, ...]
    config: RunConfig
    command: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job ended; it passes between processes, which :class:`Interrupted` cannot.

    Args:
        exit_code: 0 ok, else as the run alone would have ended.
        error: the reason in a sentence; None if it is ok, or was interrupted as we had asked.
        died: its process ended without a word.
    """

    exit_code: int
    error: str | None = None
    died: bool = False

    @property
    def interrupted(self) -> bool:
        """Whether it stopped because it was asked to."""
        return self.exit_code != 0 and self.error is None


def died(job: Job, sentence: str) -> Outcome:
    """How a job ended whose process was killed; its ``status.json`` says so from now on."""
    RunDirectory(job.config.run_dir).close(sentence)
    return Outcome(exit_code=1, error=sentence, died=True)


def attempt(job: Job, *, progress: bool = False) -> Outcome:
    """Run a job, whatever happens in it."""
    from molweight.runs.experiment import (
        run_experiment,  # torch is slow to import, and no business of a launcher
    )

    try:
        run_experiment(job.config, command=job.command, progress=progress, page=False)
        return Outcome(exit_code=0)
    except Interrupted as stop:
        return Outcome(exit_code=stop.exit_code)
    except KeyboardInterrupt:
        return Outcome(exit_code=128 + signal.SIGINT)
    except MolweightError as error:
        return Outcome(exit_code=error.exit_code, error=str(error))
    except Exception as error:  # a bug in one job must not cost the results of the others
        return Outcome(exit_code=1, error=f"{type(error).__name__}: {error}")
