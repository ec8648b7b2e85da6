"""A run as typed recipes: everything that the command line can choose, checked before work starts."""

from __future__ import annotations

import hashlib
import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from molweight.composition import compose_config
from molweight.errors import ConfigError, unknown
from molweight.methods import Method, parse_method, read_weights
from molweight.molecules.cards import CorpusCard, DatasetCard
from molweight.molecules.standardise import Standardisation
from molweight.named_cards import dataset_card
from molweight.objectives.augment import Augmentation
from molweight.objectives.base import Objective
from molweight.objectives.setup import BackboneRecipe, ImageRecipe, SplitRecipe
from molweight.recipes import LearnRecipe, RunConfig, SearchRecipe
from molweight.schema import build, checked
from molweight.tapweight.balancing import GRAMIAN
from molweight.tapweight.directional import CentralDifference, ForwardMode
from molweight.tapweight.engines import SOLVERS
from molweight.tapweight.hessian import DoubleBackward, GradientDifference
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.inverse import Inverse
from molweight.training.finetune import FinetuneRecipe

PROTOCOLS = ("paper", "strict")
SECTIONS = (
    *("dataset", "corpus", "split", "backbone", "objectives", "hypergradient", "views", "augment"),
    *("learn", "finetune", "method", "solver", "protocol", "meta_fraction", "seed", "device", "threads"),
    *("workers", "run_dir", "pretraining_cache", "standardise", "search"),
)
LARGEST_SEED = 2**32 - 1  # NumPy's and scikit-learn's
TRUSTED = "molweight."  # the only code that a configuration may name
PARTS: dict[str, tuple[tuple[type, ...], str]] = {  # of a hypergradient
    "finetune": ((Inverse,), "an inverse Hessian"),
    "pretrain": ((Inverse,), "an inverse Hessian"),
    "directional": ((ForwardMode, CentralDifference), "a directional derivative"),
    "hessian": ((DoubleBackward, GradientDifference), "a Hessian product"),
}
NUMBERS = {"batch_fraction": float, "directional_batches": int}  # of a hypergradient
NOT_HASHED = ("run_dir", "pretraining_cache", "device", "threads", "workers")  # where and how fast, not what


def load_config(*overrides: str) -> RunConfig:
    """The configuration of ``python -m molweight.run OVERRIDES``.

    Raises:
        ConfigError: unknown key or group, value of the wrong type, options that contradict each other.
    """
    return to_run_config(compose_config(overrides))


def to_run_config(config: DictConfig) -> RunConfig:
    """Typed and checked recipes from a composed configuration."""
    try:
        tree: Any = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    tree = {key: value for key, value in tree.items() if key not in ("hydra", "experiment")}
    check_choices(tree)
    hypergradient = dict(tree["hypergradient"])
    name = hypergradient.pop("name", "custom")
    learn = build(LearnRecipe, tree["learn"], "learn")
    method = to_method(tree, name)
    if method.name == "tapweight" and not learn.proximal.build(1.0).ties:
        raise ConfigError(
            f"learn.proximal.kind={learn.proximal.kind} gives the weights no gradient: its mixed derivative "
            "is zero almost everywhere. Use l2 or smooth_l1, or method=equal"
        )
    finetune = dict(tree["finetune"])
    dropout = finetune.pop("dropout", None)
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ConfigError(f"finetune.dropout must be a number in [0, 1), got {dropout!r}")
    corpus = build(CorpusCard, tree["corpus"], "corpus")
    backbone = build(BackboneRecipe, tree["backbone"], "backbone")
    images = ImageRecipe(
        dataset=build(DatasetCard, tree["dataset"], "dataset"),
        corpus=corpus,
        held_out=[dataset_card(name) for name in corpus.exclude],
        standardise=build(Standardisation, tree["standardise"], "standardise"),
        split=build(SplitRecipe, tree["split"], "split"),
        backbone=backbone if method.name != "scratch" else replace(backbone, init="random"),
        objectives=to_objectives(tree["objectives"], method),
        views=tree["views"],
        augment=build(Augmentation, tree["augment"], "augment"),
        finetune_augment=checked(finetune.get("augment"), bool, "finetune.augment"),
        dropout=dropout,
        protocol=tree["protocol"],
        meta_fraction=checked(tree["meta_fraction"], float, "meta_fraction"),
        seed=checked(tree["seed"], int, "seed"),
    )
    cache = checked(tree["pretraining_cache"], str | None, "pretraining_cache")
    hashed = {key: value for key, value in tree.items() if key not in NOT_HASHED}
    if method.name in GRAMIAN:
        method.balance([one.name for one in images.objectives])  # a missing package is found before any work
    if method.name == "fixed":  # the file's content decides, and a wrong one is refused here
        hashed["weights"] = read_weights(Path(method.argument), [one.name for one in images.objectives])
    return RunConfig(
        images=images,
        learn=learn,
        search=build(SearchRecipe, tree["search"], "search"),
        finetune=build(FinetuneRecipe, finetune, "finetune"),
        hypergradient=to_hypergradient(hypergradient),
        hypergradient_name=name,
        method=method,
        solver=tree["solver"],
        protocol=tree["protocol"],
        seed=tree["seed"],
        device=tree["device"],
        threads=tree["threads"],
        workers=tree["workers"],
        run_dir=Path(tree["run_dir"]),
        pretraining_cache=Path(cache).expanduser() if cache else None,
        text=yaml.safe_dump(tree, sort_keys=False, allow_unicode=True),
        hash=hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest(),
    )


def to_method(tree: dict[str, Any], hypergradient: str) -> Method:
    """The method; ``tapweight:<preset>`` insists on that hypergradient."""
    method = parse_method(tree["method"])
    if method.name == "tapweight" and method.argument not in ("", hypergradient):
        raise ConfigError(
            f"method={method} asks for hypergradient={method.argument}, but hypergradient={hypergradient} "
            "was chosen: leave one of the two out"
        )
    return method


def to_objectives(options: dict[str, Any], method: Method) -> list[Objective]:
    """The objectives that a method pretrains with: all of the preset, one, or none."""
    found = [component(value, f"objectives.{key}") for key, value in options.items()]
    if not all(isinstance(objective, Objective) for objective in found):
        raise ConfigError("every entry of objectives must be an objective")
    if not method.pretrains:
        return []
    if method.name != "single":
        return found
    chosen = [objective for objective in found if objective.name == method.argument]
    if not chosen:
        raise ConfigError(unknown("objective of method=single:", method.argument, [o.name for o in found]))
    return chosen


def to_hypergradient(options: dict[str, Any]) -> Hypergradient:
    """Its parts are components, each of the kind that its place asks for; the rest are numbers."""
    parts: dict[str, Any] = {}
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


def check_choices(tree: dict[str, Any]) -> None:
    """Raise :class:`ConfigError` for an option outside the sections, or of an impossible value."""
    for key in tree:
        if key not in SECTIONS:
            raise ConfigError(unknown("option", key, SECTIONS))
    if missing := [key for key in SECTIONS if key not in tree]:
        raise ConfigError(f"the configuration needs {', '.join(missing)}")
    for key in ("objectives", "hypergradient", "views", "finetune"):
        if not isinstance(tree[key], dict):
            raise ConfigError(f"{key} must be a group of options, got {tree[key]!r}")
    if not tree["objectives"]:
        raise ConfigError("objectives names nothing to pretrain on; objectives=tapt_min is the least")
    for key, known in (("solver", SOLVERS), ("protocol", PROTOCOLS)):
        if tree[key] not in known:
            raise ConfigError(unknown(key, tree[key], known))
    for view, options in tree["views"].items():
        if not isinstance(options, dict):
            raise ConfigError(f"views.{view} must be a group of options, got {options!r}")
        for key, value in options.items():
            checked(value, float, f"views.{view}.{key}")
    for key in ("device", "run_dir"):
        tree[key] = checked(tree[key], str, key)
    if not 0 <= checked(tree["seed"], int, "seed") <= LARGEST_SEED:
        raise ConfigError(f"seed must be between 0 and {LARGEST_SEED}, got {tree['seed']}")
    if not 0 < checked(tree["meta_fraction"], float, "meta_fraction") < 1:
        raise ConfigError(f"meta_fraction must be between 0 and 1, got {tree['meta_fraction']}")
    for key, least in (("threads", 1), ("workers", 0)):
        value = checked(tree[key], int | None, key)
        if value is not None and value < least:
            raise ConfigError(f"{key} must be >= {least} or null, got {value}")


def component(value: Any, where: str) -> Any:
    """Build what a ``_target_`` names; the only place where configuration becomes code."""
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


def is_trusted(target: Any) -> bool:
    """Whether a dotted name is a class that this package defines, and not something that it imports."""
    module, _, name = str(target).rpartition(".")
    if not module.startswith(TRUSTED):
        return False
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return False
    return isinstance(found, type) and found.__module__.startswith(TRUSTED)
