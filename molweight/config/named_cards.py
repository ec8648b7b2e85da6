"""Data sets by name: the cards in ``configs/dataset``."""

from __future__ import annotations

import yaml

from molweight.config.composition import config_dir, options
from molweight.config.schema import build
from molweight.data.specs import DatasetSpec
from molweight.errors import ConfigError, unknown


def dataset_card(name: str) -> DatasetSpec:
    """The card ``configs/dataset/<name>.yaml``.

    Raises:
        ConfigError: there is none; the sentence names the nearest.
    """
    known = options("dataset")
    if name not in known:
        raise ConfigError(unknown("dataset", name, known))
    content = yaml.safe_load((config_dir() / "dataset" / f"{name}.yaml").read_text(encoding="utf-8"))
    return build(DatasetSpec, content, "dataset")
