"""Which runs a leaderboard has: every data set with every method and every seed, composed and checked."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from molweight.composition import quoted
from molweight.errors import ConfigError, MolweightError, unknown
from molweight.modality import Modality
from molweight.recipes import RunConfig
from molweight.run_config import SECTIONS, compose_run
from molweight.run_directory import RunDirectory

OWN = ("datasets", "tasks", "methods", "seeds", "out", "jobs", "launcher", "reference", "resamples")
"""Options of the leaderboard itself; all others are options of every run."""
CHOSEN = {
    "dataset": "datasets",
    "task": "tasks",
    "method": "methods",
    "seed": "seeds",
    "run_dir": "out",
    "hydra/launcher": "launcher",
}
"""Options of a run that the leaderboard sets, and the option that decides about each."""
EXAMPLES = {
    "datasets": "esol,bbbp",
    "tasks": "rte,mrpc",
    "methods": "equal,tapweight",
    "seeds": "0,1,2",
}
SHOWN = 5  # options that differ, in an error's sentence


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a leaderboard.

    Args:
        dataset, method, seed: as they were asked for.
        folder: of the run, relative to ``out``.
        config: composed and checked.
        command: that makes the same run by itself.
        options: shared by all runs.
    """

    dataset: str
    method: str
    seed: int
    folder: str
    config: RunConfig
    command: str
    options: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes the run one row of the table."""
        return self.dataset, self.method, self.seed

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.dataset} {self.method} seed {self.seed}"


def plan(
    modality: Modality,
    datasets: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    *,
    options: Sequence[str] = (),
    out: Path,
    progress: bool = False,
) -> list[Run]:
    """Every run, composed and checked before the first one starts.

    Raises:
        ConfigError: an option that no run accepts, a name given twice, two runs that would share a folder.
    """
    check_options(options, modality)
    for what, values in ((CHOSEN[modality.data], datasets), ("methods", methods), ("seeds", seeds)):
        check_list(what, values)
    triples = [(d, m, s) for d in datasets for m in methods for s in seeds]
    bar = tqdm(triples, desc="checking runs", unit="run", leave=False, disable=None if progress else True)
    runs = [_run(modality, d, m, s, options=tuple(options), out=out) for d, m, s in bar]
    folders: dict[str, Run] = {}
    for run in runs:
        if (other := folders.setdefault(run.folder, run)) is not run:
            raise ConfigError(
                f"{other.name} and {run.name} would both be written to {out / run.folder}; "
                "rename one, or give them an out= each"
            )
    return runs


def _run(
    modality: Modality, dataset: str, method: str, seed: int, *, options: tuple[str, ...], out: Path
) -> Run:
    folder = f"runs/{folder_name(dataset)}/{folder_name(method)}/{seed}"
    chosen = (f"{modality.data}={dataset}", f"method={plain(method)}", f"seed={seed}")
    places = (f"run_dir={plain(str(out / folder))}", f"pretraining_cache={plain(str(out / 'pretrained'))}")
    overrides = (*chosen, *places, *options)
    return Run(
        dataset=dataset,
        method=method,
        seed=seed,
        folder=folder,
        config=compose_run(modality, *overrides),
        command=f"{modality.tree.command} {shlex.join(overrides)}",
        options=options,
    )


def plain(value: str) -> str:
    """A value as Hydra reads it: quoted only where its grammar needs that."""
    return value if re.fullmatch(r"[\w.:/-]+", value) else quoted(value)


def folder_name(name: str) -> str:
    """A name as a folder: ``single:clusters_100`` becomes ``single-clusters_100``.

    Raises:
        ConfigError: nothing of it is left.
    """
    safe = re.sub(r"[^\w.+=-]+", "-", name).strip("-.")
    if not safe:
        raise ConfigError(f"{name!r} cannot name a data set or a method; use letters or digits")
    return safe


def check_list(what: str, values: Sequence[object]) -> None:
    """Raise :class:`ConfigError` for an empty list, or a value that stands in it twice."""
    if not values:
        raise ConfigError(f"{what} is empty; give at least one, such as {what}={EXAMPLES[what]}")
    if repeated := [value for i, value in enumerate(values) if value in values[:i]]:
        raise ConfigError(f"{what} names {repeated[0]!r} twice; name each once")


def check_options(options: Iterable[str], modality: Modality) -> None:
    """Raise :class:`ConfigError` for an option that the leaderboard sets, or nearly the name of one."""
    known = {*SECTIONS, *modality.sections, *modality.tree.groups, "experiment", "hydra"}
    for option in options:
        key = option.partition("=")[0].lstrip("+~")
        if key in CHOSEN:
            raise ConfigError(f"{key}= is set for every run; choose with {CHOSEN[key]}=")
        if key not in known and difflib.get_close_matches(key, OWN, n=1, cutoff=0.7):
            raise ConfigError(unknown("leaderboard option", key, OWN))


def is_finished(run: Run) -> bool:
    """Whether the run's folder holds its result, so that it need not run again.

    Raises:
        ConfigError: the folder holds something else than this run.
        DataError: its status cannot be read.
    """
    folder = run.config.run_dir
    cure = "choose another out=, or delete that folder"
    try:
        status = RunDirectory(folder).previous()
    except MolweightError as error:  # its sentence names an option that is ours to set
        raise type(error)(str(error).replace("run_dir=", "out=")) from error
    if status is None:
        return False
    if status.get("config_hash") != run.config.hash:
        differing = "; ".join(_differences(folder / "config.yaml", run.config.text))
        raise ConfigError(f"{folder} holds a run with other options ({differing or 'unknown ones'}); {cure}")
    if status.get("state") != "ok":
        return False
    if not (folder / "report.json").exists():
        raise ConfigError(f"{folder} holds a finished run without its report.json; {cure}")
    return True


def _differences(path: Path, text: str) -> list[str]:
    """``key=there instead of wanted`` for the options that differ; the first few."""
    try:
        there = dict(_flat(yaml.safe_load(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, yaml.YAMLError):
        return []
    wanted = dict(_flat(yaml.safe_load(text)))
    keys = [key for key in {**wanted, **there} if key != "run_dir" and there.get(key) != wanted.get(key)]
    said = [f"{key}={there.get(key)} instead of {wanted.get(key)}" for key in keys[:SHOWN]]
    return said + ([f"and {len(keys) - SHOWN} more"] if len(keys) > SHOWN else [])


def _flat(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, tree
