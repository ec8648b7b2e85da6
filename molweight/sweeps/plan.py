"""The runs of a sweep, composed and checked, each with a folder that the same command finds again."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from tqdm import tqdm

from molweight.config.composition import compose_config, plain
from molweight.config.modality import Modality
from molweight.config.run_config import to_run_config
from molweight.errors import ConfigError, MolweightError
from molweight.jobs.job import Job
from molweight.jobs.launchers import Launcher, find_launcher
from molweight.sweeps.options import Choice, Request, key_of, read_request

BY_OPTION = "by_option"  # hydra.sweep.subdir in our configuration files
LONGEST = 120  # characters of a folder's name; file systems allow 255 bytes


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The runs of a command.

    Args:
        jobs: in the order in which they start.
        folder: that holds theirs.
        launcher: of Hydra; None runs one after the other, here.
    """

    jobs: list[Job]
    folder: Path
    launcher: Launcher | None


def plan_sweep(modality: Modality, arguments: list[str], *, progress: bool = False) -> Sweep:
    """Every run of a command with ``--multirun``.

    Raises:
        ConfigError: an option that a run does not accept, or two runs that would share a folder.
    """
    request = read_request(arguments, modality.tree)
    launcher = None
    if request.launcher not in (None, "basic"):
        launcher = find_launcher(request.launcher, request.launcher_options)
    elif request.launcher_options:
        find_launcher("basic", request.launcher_options)  # which takes none and says so
    jobs: dict[Path, Job] = {}
    first: DictConfig | None = None
    for number, choice in enumerate(
        tqdm(request.choices, desc="checking jobs", leave=False, disable=None if progress else True)
    ):
        try:
            whole = compose_whole(modality, request, choice, first)
            job = to_job(modality, request, choice, number, whole)
        except MolweightError as error:
            raise blamed(error, modality, request, number) from error
        first = whole if first is None else first
        if (other := jobs.setdefault(job.config.run_dir, job)) is not job:
            raise ConfigError(
                f"{other.name} and {job.name} would both be written to {job.config.run_dir}; list each value "
                "once, or leave hydra.sweep.subdir= out"
            )
    folder = Path(os.path.commonpath([path.parent for path in jobs]))
    return Sweep(jobs=list(jobs.values()), folder=folder, launcher=launcher)


def compose_whole(
    modality: Modality, request: Request, choice: Choice, first: DictConfig | None
) -> DictConfig:
    """The configuration of a job with Hydra's own part, which says where."""
    words = [*choice.options, *request.places]
    if not {"run_dir", "hydra.sweep.dir"} & set(map(key_of, words)):
        words.append(f"run_dir=runs/sweep-{request.digest}")
    whole = compose_config(words, modality.tree, whole=True)
    if first is not None:
        OmegaConf.copy_cache(from_config=first, to_config=whole)  # ${now:…} is the same for all
    chosen = whole.hydra.runtime.choices
    if (
        chosen["hydra/launcher"] != "basic"
        or chosen["hydra/sweeper"] != "basic"
        or whole.hydra.sweeper.params is not None
    ):
        raise ConfigError(
            "a configuration chooses a launcher, a sweeper or its parameters, which has no effect here: "
            "give hydra/launcher= and the values as options"
        )
    return whole


def to_job(modality: Modality, request: Request, choice: Choice, number: int, whole: DictConfig) -> Job:
    """The job of a configuration, in its folder."""
    name = choice.name or f"job {number}"
    folder = job_folder(choice, number, whole)
    OmegaConf.set_readonly(whole, False)
    OmegaConf.set_struct(whole, False)
    del whole["hydra"]
    whole.run_dir = str(folder)
    overrides = (
        *(word for word in choice.options if key_of(word) != "run_dir"),
        f"run_dir={plain(str(folder))}",
    )
    return Job(
        name=name,
        overrides=overrides,
        config=to_run_config(whole, modality),
        command=f"{modality.tree.command} {shlex.join(overrides)}",
    )


def job_folder(choice: Choice, number: int, whole: DictConfig) -> Path:
    """``hydra.sweep.dir/hydra.sweep.subdir``; ``by_option`` is a name made of what the job does not share."""
    before = HydraConfig.instance().cfg
    try:
        OmegaConf.set_readonly(whole.hydra, False)
        whole.hydra.job.num = number
        whole.hydra.job.id = str(number)
        HydraConfig.instance().set_config(whole)  # for ${hydra:job.num}
        sweep = whole.hydra.sweep
        own = folder_name(choice, number) if sweep.subdir == BY_OPTION else str(sweep.subdir)
        return Path(str(sweep.dir)) / own
    except OmegaConfBaseException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    finally:
        HydraConfig.instance().cfg = before


def folder_name(choice: Choice, number: int) -> str:
    """``dataset-esol_seed-0``: the options that a job does not share, without what a shell or Hydra reads."""
    words = [word.lstrip("+~") for word in choice.swept] or [str(number)]
    name = "_".join(re.sub(r"[^\w.-]+", "-", word).strip("-") for word in words)
    if len(name.encode()) <= LONGEST:
        return name
    digest = hashlib.sha256(" ".join(words).encode()).hexdigest()[:8]
    return name.encode()[: LONGEST - len(digest) - 1].decode(errors="ignore") + f"-{digest}"


def blamed(error: MolweightError, modality: Modality, request: Request, number: int) -> MolweightError:
    """The error of a job, which is named unless the last one has the same: then it is what all share."""
    choice, last = request.choices[number], request.choices[-1]
    if number == 0 and len(request.choices) > 1:
        try:
            to_job(modality, request, last, 0, compose_whole(modality, request, last, None))
        except MolweightError as other:
            if str(other) == str(error):
                return error
    elif len(request.choices) == 1:
        return error
    return type(error)(f"{choice.name}: {error}")
