"""Data sets by name: the specifications in ``configs/dataset``."""

from __future__ import annotations

import yaml

from molweight.config.composition import config_dir, options
from molweight.config.schema import build
from molweight.data.specs import DatasetSpec
from molweight.errors import ConfigError, unknown


def dataset_spec(name: str) -> DatasetSpec:
    """What ``configs/dataset/<name>.yaml`` says.

    Raises:
        ConfigError: there is none; the sentence names the nearest.
    """
    known = options("dataset")
    if name not in known:
        raise ConfigError(unknown("dataset", name, known))
    content = yaml.safe_load((config_dir() / "dataset" / f"{name}.yaml").read_text(encoding="utf-8"))
    return build(DatasetSpec, content, "dataset")
