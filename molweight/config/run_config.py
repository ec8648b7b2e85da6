"""A run as typed choices: everything that a command line can choose, checked before work starts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from molweight.config.components import component
from molweight.config.composition import compose_config
from molweight.config.modality import Modality
from molweight.config.schema import OptionValues, build, checked
from molweight.errors import ConfigError, unknown
from molweight.methods.base import RunConfig
from molweight.methods.configs import LearnConfig, RunOptions, SearchConfig
from molweight.methods.registry import parse_method
from molweight.tapweight.directional import CentralDifference, ForwardMode
from molweight.tapweight.hessian import DoubleBackward, GradientDifference
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.inverse import Inverse

RUN = tuple(field.name for field in fields(RunOptions))
TRAINING = ("learn", "search", "finetune")  # the last ones in a run's config.yaml
SECTIONS = ("backbone", "objectives", "hypergradient", "method", *RUN, *TRAINING)
"""Of every configuration; a modality has more."""
PARTS: dict[str, tuple[tuple[type, ...], str]] = {  # of a hypergradient
    "finetune": ((Inverse,), "an inverse Hessian"),
    "pretrain": ((Inverse,), "an inverse Hessian"),
    "directional": ((ForwardMode, CentralDifference), "a directional derivative"),
    "hessian": ((DoubleBackward, GradientDifference), "a Hessian product"),
}
NUMBERS = {"batch_fraction": float, "directional_batches": int}  # of a hypergradient
SINCE = {"precision": "float32", "sync_batchnorm": True}  # newer than some runs' hashes, which stay valid
NOT_HASHED = ("run_dir", "pretraining_cache", "device", "threads", "workers")  # where and how fast, not what


def compose_run(modality: Modality, *overrides: str) -> RunConfig:
    """The configuration of a modality's command with these options.

    Raises:
        ConfigError: unknown key or group, value of the wrong type, options that contradict each other.
    """
    return to_run_config(compose_config(overrides, modality.tree), modality)


def to_run_config(config: DictConfig, modality: Modality) -> RunConfig:
    """The typed and checked choices from a composed configuration."""
    try:
        options = OmegaConf.masked_copy(
            config, [str(key) for key in config if key not in ("hydra", "experiment")]
        )
        tree: Any = OmegaConf.to_container(options, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(f"{error.full_key or 'an option'} has no value (???): give it one") from error
    except OmegaConfBaseException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    check_sections(tree, modality)
    tree |= {key: checked(tree[key], str, key) for key in ("device", "run_dir")}
    run = build(RunOptions, {key: None if tree[key] == "" else tree[key] for key in RUN}, "")
    tree = {key: tree[key] for key in sorted(tree, key=lambda key: key in TRAINING)}
    hypergradient = dict(tree["hypergradient"])
    name = hypergradient.pop("name", "custom")
    learn = build(LearnConfig, tree["learn"], "learn")
    method = parse_method(tree["method"])
    samples = modality.samples(tree, method)
    objectives = [objective.name for objective in samples.objectives]
    hashed = {
        key: value
        for key, value in tree.items()
        if key not in NOT_HASHED and not (key in SINCE and value == SINCE[key])
    }
    hashed |= method.fingerprint(objectives)
    return RunConfig(
        **vars(run),
        modality=modality.name,
        samples=samples,
        learn=learn,
        search=build(SearchConfig, tree["search"], "search"),
        finetune=build(modality.finetune, tree["finetune"], "finetune"),
        hypergradient=to_hypergradient(hypergradient),
        hypergradient_name=name,
        method=method,
        text=yaml.safe_dump(tree, sort_keys=False, allow_unicode=True),
        hash=hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest(),
    )


def to_hypergradient(options: OptionValues) -> Hypergradient:
    """Its parts are components, each of the kind that its place asks for; the rest are numbers."""
    parts: OptionValues = {}
    for key, value in options.items():
        where = f"hypergradient.{key}"
        if key not in Hypergradient.__dataclass_fields__:
            raise ConfigError(unknown("option in hypergradient", key, Hypergradient.__dataclass_fields__))
        if key in NUMBERS:
            parts[key] = checked(value, NUMBERS[key], where)
            continue
        parts[key] = component(value, where)
        kinds, what = PARTS[key]
        if not isinstance(parts[key], kinds):
            raise ConfigError(f"{where} must be {what}, got {value['_target_']}")
    return Hypergradient(**parts)


def check_sections(tree: OptionValues, modality: Modality) -> None:
    """Raise :class:`ConfigError` for sections that are unknown, missing or empty."""
    sections = (*SECTIONS, *modality.sections)
    for key in tree:
        if key not in sections:
            raise ConfigError(unknown("option", key, sections))
    if missing := [key for key in sections if key not in tree]:
        raise ConfigError(f"the configuration needs {', '.join(missing)}")
    for key in ("objectives", "hypergradient", "finetune"):
        if not isinstance(tree[key], dict):
            raise ConfigError(f"{key} must be a group of options, got {tree[key]!r}")
    if not tree["objectives"]:
        raise ConfigError(f"objectives names nothing to pretrain on; {modality.smallest} is the least")
