"""Which launcher, and its settings: processes of this machine, or submitit, there or on Slurm.

The names and the settings are those of Hydra's plugins for joblib and submitit, so that commands stay.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from molweight.errors import ConfigError, unknown
from molweight.runs.job import Job, JobResult
from molweight.runs.workers import SubmititTask, Work, local_tasks, submit
from molweight.utils.machine import cores

PREFIX = "hydra.launcher."
Tasks = Sequence[Future[JobResult] | SubmititTask]


@dataclass
class JoblibSettings:
    """``joblib``: processes of this machine."""

    n_jobs: int = -1  # a process for each core; -2 is one less


@dataclass
class SubmititSettings:
    """``submitit_local``; the fields are submitit's."""

    submitit_folder: str | None = None
    timeout_min: int = 60
    cpus_per_task: int | None = None
    gpus_per_node: int | None = None
    tasks_per_node: int = 1
    mem_gb: int | None = None
    nodes: int = 1
    name: str = "molweight"
    stderr_to_stdout: bool = False


@dataclass
class SlurmSettings(SubmititSettings):
    """``submitit_slurm``; the fields are those of submitit and of ``sbatch``."""

    partition: str | None = None
    qos: str | None = None
    comment: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    gres: str | None = None
    cpus_per_gpu: int | None = None
    gpus_per_task: int | None = None
    mem_per_gpu: str | None = None
    mem_per_cpu: str | None = None
    account: str | None = None
    signal_delay_s: int = 120
    max_num_timeout: int = 0  # times that a job goes on after its time is over
    additional_parameters: dict[str, Any] = field(default_factory=dict)
    array_parallelism: int = 256
    setup: list[str] | None = None


SETTINGS: dict[str, type] = {
    "joblib": JoblibSettings,
    "submitit_local": SubmititSettings,
    "submitit_slurm": SlurmSettings,
}


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """Where jobs run.

    Args:
        name: of :data:`SETTINGS`.
        option: that asked for it, for people.
        settings: ``hydra.launcher.*``.
    """

    name: str
    option: str
    settings: dict[str, Any]

    def at_once(self, count: int) -> int | None:
        """Jobs that share this machine, of so many; None: each has the cores that a cluster gives it."""
        if self.name == "submitit_slurm":
            return None
        workers = self.settings.get("n_jobs") or count  # submitit has no queue on one machine
        return max(1, min(count, workers if workers > 0 else cores() + 1 + workers))

    def threads(self, count: int) -> int | None:
        """A job's share of the cores."""
        at_once = self.at_once(count)
        return None if at_once is None else max(1, cores() // at_once)

    @contextlib.contextmanager
    def submit(self, jobs: Sequence[Job], out: Path) -> Iterator[tuple[Path, Tasks]]:
        """Hand all jobs over.

        Args:
            jobs: one or more.
            out: folder of all; submitit's logs are in ``launcher/`` in it.

        Returns:
            The folder whose files ask the jobs to stop, and a task for each job.

        Raises:
            ConfigError: the launcher does not work.
        """
        at_once, threads = self.at_once(len(jobs)), self.threads(len(jobs))
        if self.name == "joblib":
            assert at_once is not None and threads is not None
            with local_tasks(jobs, at_once, threads) as handed:
                yield handed
            return
        folder = (out / "launcher" / datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")).resolve()
        folder.mkdir(parents=True)
        system = self.name.removeprefix("submitit_")
        try:
            tasks = submit(jobs, system, dict(self.settings), Work(folder, threads))
        except Exception as error:  # of submitit, or of the cluster's own commands
            raise ConfigError(f"{self.option} did not work ({' '.join(str(error).split())})") from error
        yield folder, tasks


def find_launcher(name: str | None, options: Sequence[str], *, option: str) -> Launcher | None:
    """The launcher of a name; None runs all jobs in this process.

    Args:
        name: what the option says, if it is given.
        options: ``hydra.launcher.KEY=VALUE``.
        option: ``launcher=`` or ``hydra/launcher=``, for the sentences.

    Raises:
        ConfigError: it is unknown or not installed, or an option does not fit.
    """
    if name in (None, "basic"):
        if options:
            raise ConfigError(
                f"{options[0]} has no effect without a launcher; choose one, such as {option}joblib"
            )
        return None
    if name not in SETTINGS:
        raise ConfigError(unknown("launcher", name, ("basic", *SETTINGS)))
    if name != "joblib" and importlib.util.find_spec("submitit") is None:
        raise ConfigError(f"{option}{name} is not installed: pip install 'molweight[launchers]'")
    settings = OmegaConf.structured(SETTINGS[name])
    for word in options:
        key, _, value = word.lstrip("+~").removeprefix(PREFIX).partition("=")
        if key.partition(".")[0] not in settings:
            raise ConfigError(unknown("hydra.launcher option", key, list(settings)))
        try:
            OmegaConf.update(settings, key, yaml.safe_load(value))
        except (OmegaConfBaseException, yaml.YAMLError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"{word} does not fit {option}{name}: {reason}") from error
    for key in ("nodes", "tasks_per_node"):
        if settings.get(key, 1) != 1:
            raise ConfigError(f"{PREFIX}{key} must be 1: a second task would be the same run once more")
    values: Any = OmegaConf.to_container(settings)
    return Launcher(name=name, option=f"{option}{name}", settings=values)


def register_launchers() -> None:
    """Tell Hydra the names and the settings, for its completion and ``--info``."""
    for name, settings in SETTINGS.items():
        ConfigStore.instance().store(group="hydra/launcher", name=name, node=settings, provider="molweight")
