"""``--multirun``: every combination of the values that a command lists, each a job in a folder of its own."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from tqdm import tqdm

from molweight.config.composition import Tree, compose_config, config_dir, explain, in_folder, plain
from molweight.config.modality import Modality
from molweight.config.run_config import NOT_HASHED, to_run_config
from molweight.errors import ConfigError, MolweightError
from molweight.runs.job import Job, check_folders
from molweight.runs.launchers import PREFIX, Launcher, find_launcher

PLACES = ("hydra.sweep.dir", "hydra.sweep.subdir")
HELP = ("-h", "--help", "--hydra-help", "--version")
BY_OPTION = "by_option"  # hydra.sweep.subdir in our configuration files
LONGEST = 120  # characters of a folder's name; file systems allow 255 bytes


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The options of one job.

    Args:
        options: all of them, in the order of the command.
        swept: those that differ between jobs.
    """

    options: tuple[str, ...]
    swept: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The jobs of a command.

    Args:
        jobs: in the order in which they start.
        folder: that holds theirs.
        launcher: where they run; None: in this process.
    """

    jobs: list[Job]
    folder: Path
    launcher: Launcher | None


def asks_for_sweep(arguments: Sequence[str]) -> bool:
    """Whether a command is a sweep, and not a question about one."""
    return any(map(is_flag, arguments)) and not set(HELP) & set(arguments)


def is_flag(word: str) -> bool:
    """``--multirun``, as Hydra's own parser would read it."""
    return word in ("-m", "hydra.mode=MULTIRUN") or (word.startswith("--m") and "--multirun".startswith(word))


def plan_sweep(modality: Modality, arguments: Sequence[str], *, progress: bool = False) -> Sweep:
    """Every job of a command with ``--multirun``, composed and checked.

    Raises:
        ConfigError: an option that a run does not accept, or two jobs that would share a folder.
    """
    words = [word for word in arguments if not is_flag(word)]
    options = [word for word in words if not key_of(word).startswith(("hydra.", "hydra/"))]
    folders = [word for word in words if key_of(word) in PLACES]
    launcher = choose_launcher(words, options, folders)
    choices = combinations(options, modality.tree)
    if not {"run_dir", "hydra.sweep.dir"} & set(map(key_of, words)):
        folders.append(f"run_dir=runs/sweep-{digest(choices[0], modality.tree)}")
    jobs: list[Job] = []
    first: DictConfig | None = None
    bar = tqdm(choices, desc="checking jobs", leave=False, disable=None if progress else True)
    for number, choice in enumerate(bar):
        name = " ".join(choice.swept) or f"job {number}"
        try:
            config = compose_whole(modality, [*choice.options, *folders], first)
            jobs.append(to_job(modality, choice, name, number, config))
        except MolweightError as error:
            if number == 0:  # what all jobs share, mostly
                raise
            raise type(error)(f"{name}: {error}") from error
        first = config if first is None else first
    check_folders(jobs, "list each value once, or leave hydra.sweep.subdir= out")
    folder = Path(os.path.commonpath([job.config.run_dir.parent for job in jobs]))
    return Sweep(jobs=jobs, folder=folder, launcher=launcher)


def choose_launcher(words: Sequence[str], options: Sequence[str], folders: Sequence[str]) -> Launcher | None:
    """The launcher that a command asks for.

    Args:
        words: of the command, without the flag.
        options: those of the jobs.
        folders: those that say where.

    Raises:
        ConfigError: a word has no effect in a sweep, or contradicts another one.
    """
    launchers = [word.partition("=")[2] for word in words if key_of(word) == "hydra/launcher"]
    settings = [word for word in words if key_of(word).startswith(PREFIX)]
    for word in words:
        if word.startswith("-"):
            raise ConfigError(
                f"--multirun runs jobs, and {word} has no part in that: leave one of the two out"
            )
        if word not in (*options, *folders, *settings) and key_of(word) != "hydra/launcher":
            raise ConfigError(
                f"{word} has no effect in a sweep, which is every combination of the values that are listed; "
                f"of Hydra's options it knows hydra/launcher, hydra.launcher.* and {', '.join(PLACES)}"
            )
    if len(launchers) > 1:
        raise ConfigError("hydra/launcher= is given twice; give it once")
    if {"hydra.sweep.dir", "run_dir"} <= set(map(key_of, words)):
        raise ConfigError(
            "run_dir= and hydra.sweep.dir= both say where the jobs' folders are; give one of them"
        )
    return find_launcher(next(iter(launchers), None), settings, option="hydra/launcher=")


def digest(choice: Choice, tree: Tree) -> str:
    """Of the options that all jobs share and of the names of the others.

    So the same command finds its folder again, also with more values, another launcher or another device.
    """
    varying = [key_of(word) for word in choice.swept]
    fixed = [word for word in choice.options if key_of(word) not in (*varying, *NOT_HASHED)]
    content = json.dumps([tree.primary, sorted(fixed), sorted(varying)])
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def combinations(words: Sequence[str], tree: Tree) -> list[Choice]:
    """The options of every job; the last value that is listed changes first.

    Raises:
        ConfigError: a word cannot be read, lists nothing, or contradicts another one.
    """
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        parser = OverridesParser.create(GlobalHydra.instance().config_loader())
        columns = [alternatives(word, tree, parser) for word in words]
    keys = [key_of(word) for word in words]
    swept = [key for key, column in zip(keys, columns, strict=True) if column is not None]
    if twice := next((key for key in swept if keys.count(key) > 1), None):
        raise ConfigError(f"{twice}= is given twice; separate several values with commas")
    values = [[word] if column is None else column for word, column in zip(words, columns, strict=True)]
    return [
        Choice(options=row, swept=tuple(word for word in row if key_of(word) in swept))
        for row in itertools.product(*values)
    ]


def alternatives(word: str, tree: Tree, parser: OverridesParser) -> list[str] | None:
    """The options that a word lists; None if it is a single one.

    Raises:
        ConfigError: it cannot be read, or lists nothing.
    """
    key, _, value = word.partition("=")
    try:
        override = parser.parse_overrides([in_folder(word, tree)])[0]
        if not override.is_sweep_override():
            return None
        if not override.is_discrete_sweep():
            raise ConfigError(f"{word} is a range without values to try; list them: {key}=…,…")
        values = list(override.sweep_string_iterator())
    except HydraException as error:
        if "," not in value:
            return None  # the name of a file, perhaps; the composition judges it
        raise ConfigError(explain(error, [word], tree)) from error
    if not values:
        raise ConfigError(f"{word} lists no value")
    return [f"{key}={as_typed(text, is_name=key in (*tree.files, *tree.others))}" for text in values]


def as_typed(value: str, *, is_name: bool) -> str:
    """A value without what Hydra adds: it writes ``single:jigsaw`` with a backslash before the colon.

    Args:
        value: from Hydra's parser.
        is_name: quotes are none of it, as those who look for a file expect.
    """
    quotes = re.fullmatch(r"(['\"])(.*)\1", value, flags=re.DOTALL)
    if quotes is None:
        return value.replace("\\:", ":")
    return quotes[2].replace(f"\\{quotes[1]}", quotes[1]) if is_name else value


def key_of(word: str) -> str:
    """The option that a word sets."""
    return word.partition("=")[0].lstrip("+~")


def compose_whole(modality: Modality, words: Sequence[str], first: DictConfig | None) -> DictConfig:
    """The configuration of a job with Hydra's own part, which says where.

    Args:
        modality: of the command.
        words: options of the job.
        first: configuration of the first job; ``${now:…}`` is the same for all.
    """
    whole = compose_config(words, modality.tree, whole=True)
    if first is not None:
        OmegaConf.copy_cache(from_config=first, to_config=whole)
    choices = whole.hydra.runtime.choices
    if {choices["hydra/launcher"], choices["hydra/sweeper"]} != {"basic"} or whole.hydra.sweeper.params:
        raise ConfigError(
            "a configuration chooses a launcher, a sweeper or its parameters, which has no effect here: "
            "give hydra/launcher= and the values as options"
        )
    return whole


def to_job(modality: Modality, choice: Choice, name: str, number: int, whole: DictConfig) -> Job:
    """The job of a configuration, in its folder."""
    folder = job_folder(choice, number, whole)
    OmegaConf.set_readonly(whole, False)
    OmegaConf.set_struct(whole, False)
    del whole["hydra"]
    whole.run_dir = str(folder)
    options = (word for word in choice.options if key_of(word) != "run_dir")
    return Job(
        name=name,
        overrides=(*options, f"run_dir={plain(str(folder))}"),
        config=to_run_config(whole, modality),
        page=True,
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
        name = folder_name(choice, number) if sweep.subdir == BY_OPTION else str(sweep.subdir)
        return Path(str(sweep.dir)) / name
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
