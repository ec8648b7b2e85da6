"""Which runs need not run again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from molweight.errors import ConfigError, MolweightError
from molweight.methods.configs import RunConfig
from molweight.methods.run_directory import RunDirectory
from molweight.utils.files import read_text

SHOWN = 5  # options that differ, in an error's sentence


def is_finished(config: RunConfig, option: str) -> bool:
    """Whether a run's folder holds its result.

    Args:
        config: of the run.
        option: that decides about the folder, such as ``out=``, for the sentences.

    Raises:
        ConfigError: the folder holds something else than this run.
        DataError: its status cannot be read.
    """
    folder = config.run_dir
    cure = f"choose another {option}, or delete that folder"
    try:
        status = RunDirectory(folder).previous()
    except MolweightError as error:  # its sentence names an option that may not be the user's to set
        raise type(error)(str(error).replace("run_dir=", option)) from error
    if status is None:
        return False
    if status.get("config_hash") != config.hash:
        differing = "; ".join(_differences(folder / "config.yaml", config.text))
        raise ConfigError(f"{folder} holds a run with other options ({differing or 'unknown ones'}); {cure}")
    if status.get("state") != "ok":
        return False
    if not (folder / "report.json").exists():
        raise ConfigError(f"{folder} holds a finished run without its report.json; {cure}")
    return True


def _differences(path: Path, text: str) -> list[str]:
    """``key=there instead of wanted`` for the options that differ; the first few."""
    try:
        there = dict(_flat(yaml.safe_load(read_text(path))))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
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
