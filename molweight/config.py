"""A run as typed recipes: everything that the command line can choose, checked before work starts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from molweight.composition import compose_config
from molweight.errors import ConfigError, unknown
from molweight.molecules.cards import CorpusCard, DatasetCard
from molweight.objectives.augment import Augmentation
from molweight.objectives.base import Objective
from molweight.objectives.setup import BackboneRecipe, ImageRecipe, SplitRecipe
from molweight.schema import build, checked
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.solver import Unroll
from molweight.training.finetune import FinetuneRecipe
from molweight.training.optimisers import OptimiserRecipe

METHODS = ("tapweight", "equal")
TRUSTED = "molweight."  # the only code that a configuration may name
NOT_HASHED = ("run_dir", "device", "threads")  # where and how fast, not what


@dataclass(frozen=True, kw_only=True)
class BatchSizes:
    """Samples in a batch of each level."""

    pretrain: int
    finetune: int
    weights: int


@dataclass(frozen=True, kw_only=True)
class LearnRecipe:
    """How the weights are learned.

    Args:
        steps: updates of the weights.
        unroll: lower-level steps for each.
        batch_size: of each level.
        gamma: strength of the proximal term; None takes the published one of the task's kind.
        proximal_reduction: ``sum`` or ``mean``.
        checkpoint_every: updates between two checkpoints.
        pretrain, finetune, weights: optimisers of the three levels.
    """

    steps: int
    unroll: Unroll
    batch_size: BatchSizes
    gamma: float | None
    proximal_reduction: Literal["sum", "mean"]
    checkpoint_every: int
    pretrain: OptimiserRecipe
    finetune: OptimiserRecipe
    weights: OptimiserRecipe

    def __post_init__(self) -> None:
        sizes = (self.batch_size.pretrain, self.batch_size.finetune, self.batch_size.weights)
        if self.steps < 1 or self.checkpoint_every < 1 or min(sizes) < 2:
            raise ConfigError(
                "learn needs steps >= 1, checkpoint_every >= 1 and batch sizes >= 2, got "
                f"{self.steps}, {self.checkpoint_every} and {sizes}"
            )


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run, with every choice made and checked."""

    images: ImageRecipe
    learn: LearnRecipe
    finetune: FinetuneRecipe
    hypergradient: Hypergradient
    hypergradient_name: str
    method: str
    solver: str
    protocol: str
    seed: int
    device: str
    threads: int | None
    run_dir: Path
    text: str
    """The resolved configuration as YAML."""
    hash: str
    """Of everything that decides the result."""


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
    if tree["method"] not in METHODS:
        raise ConfigError(unknown("method", tree["method"], METHODS))
    hypergradient = dict(tree["hypergradient"])
    name = hypergradient.pop("name")
    finetune = dict(tree["finetune"])
    dropout = finetune.pop("dropout")
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ConfigError(f"finetune.dropout must be a number in [0, 1), got {dropout!r}")
    images = ImageRecipe(
        dataset=build(DatasetCard, tree["dataset"], "dataset"),
        corpus=build(CorpusCard, tree["corpus"], "corpus"),
        split=build(SplitRecipe, tree["split"], "split"),
        backbone=build(BackboneRecipe, tree["backbone"], "backbone"),
        objectives=[component(value, f"objectives.{key}") for key, value in tree["objectives"].items()],
        views=tree["views"],
        augment=build(Augmentation, tree["augment"], "augment"),
        finetune_augment=finetune["augment"],
        dropout=dropout,
        protocol=tree["protocol"],
        meta_fraction=checked(tree["meta_fraction"], float, "meta_fraction"),
        seed=checked(tree["seed"], int, "seed"),
    )
    if not all(isinstance(objective, Objective) for objective in images.objectives):
        raise ConfigError("every entry of objectives must be an objective")
    hashed = {key: value for key, value in tree.items() if key not in NOT_HASHED}
    return RunConfig(
        images=images,
        learn=build(LearnRecipe, tree["learn"], "learn"),
        finetune=build(FinetuneRecipe, finetune, "finetune"),
        hypergradient=Hypergradient(
            **{key: component(value, f"hypergradient.{key}") for key, value in hypergradient.items()}
        ),
        hypergradient_name=name,
        method=tree["method"],
        solver=tree["solver"],
        protocol=tree["protocol"],
        seed=tree["seed"],
        device=tree["device"],
        threads=checked(tree["threads"], int | None, "threads"),
        run_dir=Path(tree["run_dir"]),
        text=yaml.safe_dump(tree, sort_keys=False, allow_unicode=True),
        hash=hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest(),
    )


def component(value: Any, where: str) -> Any:
    """Build what a ``_target_`` names; the only place where configuration becomes code."""
    if not isinstance(value, dict) or not str(value.get("_target_", "")).startswith(TRUSTED):
        raise ConfigError(f"{where} needs a _target_ inside {TRUSTED.rstrip('.')}, got {value!r}")
    try:
        return instantiate(value)
    except HydraException as error:
        if isinstance(error.__cause__, ConfigError):
            raise ConfigError(f"{where}: {error.__cause__}") from error
        raise ConfigError(f"{where}: {error.__cause__ or error}") from error
