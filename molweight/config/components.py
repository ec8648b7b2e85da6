"""Parts of a configuration that name a class of this package: the only place where it becomes code."""

from __future__ import annotations

import importlib
from typing import Any

from hydra.errors import HydraException
from hydra.utils import instantiate

from molweight.config.schema import OptionValues
from molweight.errors import ConfigError
from molweight.methods.base import Method

TRUSTED = "molweight."  # the only code that a configuration may name


def component(value: object, where: str) -> Any:
    """Build what a ``_target_`` names.

    Raises:
        ConfigError: it names nothing of this package, or its options do not fit.
    """
    if not isinstance(value, dict) or not is_trusted(value.get("_target_")):
        raise ConfigError(
            f"{where} needs the _target_ of a class inside {TRUSTED.rstrip('.')}, got {value!r}"
        )
    for key, option in value.items():
        if isinstance(option, dict | list):  # instantiate would follow a _target_ in there
            raise ConfigError(f"{where}.{key} must be one value, got {option!r}")
    try:
        return instantiate(value)
    except HydraException as error:
        if isinstance(error.__cause__, ConfigError):
            raise ConfigError(f"{where}: {error.__cause__}") from error
        raise ConfigError(f"{where}: {error.__cause__ or error}") from error


def is_trusted(target: object) -> bool:
    """Whether a dotted name is a class that this package defines, and not something that it imports."""
    module, _, name = str(target).rpartition(".")
    if not module.startswith(TRUSTED):
        return False
    try:
        named = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return False
    return isinstance(named, type) and named.__module__.startswith(TRUSTED)


def chosen_objectives(options: OptionValues, method: Method, kind: type) -> list[Any]:
    """The objectives that a method pretrains with: all of the preset, one, or none.

    Args:
        options: the section ``objectives``.
        method: of the run.
        kind: that each must be; it has a ``name``.

    Raises:
        ConfigError: one is something else, or ``single:`` names none of them.
    """
    objectives = {key: component(value, f"objectives.{key}") for key, value in options.items()}
    for key, objective in objectives.items():
        if not isinstance(objective, kind):
            raise ConfigError(f"objectives.{key} must be an objective, got {options[key]['_target_']}")
    return method.choose([*objectives.values()])
