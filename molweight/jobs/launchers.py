"""Which launcher of Hydra, and its settings: joblib on this machine, submitit on this one or a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra import compose, initialize
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from molweight.errors import ConfigError, unknown
from molweight.utils.machine import cores

PREFIX = "hydra.launcher."
PLUGINS = ("joblib", "submitit_local", "submitit_slurm")  # those of the extra named launchers


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """A launcher and its settings.

    Args:
        name: of ``hydra/launcher=``.
        options: ``hydra.launcher.KEY=VALUE``.
        settings: what Hydra makes of them.
    """

    name: str
    options: tuple[str, ...]
    settings: dict[str, Any]


def choose_launcher(name: str | None, jobs: int, options: Sequence[str]) -> tuple[Launcher | None, list[str]]:
    """The launcher that was asked for, if any, and the options that are not its own.

    Raises:
        ConfigError: it is unknown or not installed, or an option does not fit.
    """
    own = [option for option in options if option.lstrip("+~").startswith(PREFIX)]
    others = [option for option in options if option not in own]
    if name is None:
        if own:
            raise ConfigError(
                f"{own[0]} has no effect without a launcher; choose one, such as launcher=joblib"
            )
        return None, others
    if jobs > 1:
        raise ConfigError(f"jobs={jobs} and launcher={name} both run in parallel; choose one of them")
    return find_launcher(name, own), others


def find_launcher(name: str, options: Sequence[str]) -> Launcher:
    """The launcher of a name, with its options checked.

    Raises:
        ConfigError: it is unknown or not installed, or an option does not fit.
    """
    previous = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize(config_path=None, version_base="1.3"):
            known = GlobalHydra.instance().config_loader().get_group_options("hydra/launcher")
            if name in PLUGINS and name not in known:
                raise ConfigError(f"launcher={name} is not installed: pip install 'molweight[launchers]'")
            if name not in known:
                raise ConfigError(unknown("launcher", name, {*known, *PLUGINS}))
            settings = _settings(name, options)
    finally:
        if previous is not None:
            GlobalHydra.instance().hydra = previous
    for key in ("nodes", "tasks_per_node"):
        if settings.get(key, 1) != 1:
            raise ConfigError(f"{PREFIX}{key} must be 1: a second task would be the same run once more")
    return Launcher(name=name, options=tuple(options), settings=settings)


def _settings(name: str, options: Sequence[str]) -> dict[str, Any]:
    """What Hydra makes of a launcher's options."""
    settings = _composed(name, ())
    known = [key for key in settings if key != "_target_"]
    for count, option in enumerate(options, start=1):  # one more each time, to name the one that is wrong
        key = option.lstrip("+~").removeprefix(PREFIX).partition("=")[0].partition(".")[0]
        if key not in known:
            raise ConfigError(unknown("hydra.launcher option", key, known))
        try:
            settings = _composed(name, options[:count])
        except (HydraException, OmegaConfBaseException) as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            raise ConfigError(f"{option} does not fit launcher={name}: {reason}") from error
    return settings


def _composed(name: str, options: Sequence[str]) -> dict[str, Any]:
    config = compose(overrides=[f"hydra/launcher={name}", *options], return_hydra_config=True)
    return dict(OmegaConf.to_container(config.hydra.launcher, resolve=False))  # type: ignore[arg-type]


def threads(launcher: Launcher, count: int) -> int | None:
    """A job's share of the cores where several run on this machine; None leaves it all that it was given."""
    if launcher.name == "joblib":
        asked: int = launcher.settings.get("n_jobs") or 1
        at_once = asked if asked > 0 else cores() + 1 + asked  # joblib: -1 is all cores, -2 all but one
    elif launcher.name == "submitit_local":
        at_once = count  # it has no queue
    else:
        return None
    return max(1, cores() // max(1, min(at_once, count)))
