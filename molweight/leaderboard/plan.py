"""Which runs a leaderboard has: every data set with every method and every seed, composed and checked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from molweight.config.composition import plain
from molweight.config.modality import Modality
from molweight.config.run_config import SECTIONS, compose_run
from molweight.errors import ConfigError, unknown
from molweight.runs.job import Job, check_folders

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


@dataclass(frozen=True, kw_only=True, eq=False)
class Run(Job):
    """One run of a leaderboard.

    Args:
        dataset, method, seed: as they were asked for.
        folder: of the run, relative to ``out``.
        options: shared by all runs.
    """

    dataset: str
    method: str
    seed: int
    folder: str
    options: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes the run one row of the table."""
        return self.dataset, self.method, self.seed


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
    check_folders(runs, "rename one, or give them an out= each")
    return runs


def _run(
    modality: Modality, dataset: str, method: str, seed: int, *, options: tuple[str, ...], out: Path
) -> Run:
    folder = f"runs/{folder_name(dataset)}/{folder_name(method)}/{seed}"
    chosen = (f"{modality.data}={dataset}", f"method={plain(method)}", f"seed={seed}")
    folders = (f"run_dir={plain(str(out / folder))}", f"pretraining_cache={plain(str(out / 'pretrained'))}")
    overrides = (*chosen, *folders, *options)
    return Run(
        name=f"{dataset} {method} seed {seed}",
        dataset=dataset,
        method=method,
        seed=seed,
        folder=folder,
        overrides=overrides,
        config=compose_run(modality, *overrides),
        options=options,
    )


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
