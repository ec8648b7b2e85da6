"""From the command line to typed recipes: composing, checking, and errors that name the cure."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from molweight.errors import ConfigError, unknown
from molweight.molecules.cards import CorpusCard, DatasetCard
from molweight.objectives.augment import Augmentation
from molweight.objectives.base import Objective
from molweight.objectives.setup import BackboneRecipe, ImageRecipe, SplitRecipe
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.solver import Unroll
from molweight.training.finetune import FinetuneRecipe
from molweight.training.optimisers import OptimiserRecipe

T = TypeVar("T")
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


def config_dir() -> Path:
    """The folder of YAML files: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def load_config(*overrides: str) -> RunConfig:
    """The configuration of ``python -m molweight.run OVERRIDES``.

    Raises:
        ConfigError: unknown key or group, value of the wrong type, options that contradict each other.
    """
    return to_run_config(compose_config(overrides))


def compose_config(overrides: Sequence[str]) -> DictConfig:
    """Hydra's composition, with its errors turned into ours.

    Raises:
        ConfigError: as :func:`load_config`.
    """
    arguments = with_files(overrides)
    previous = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            return compose("config", overrides=arguments, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException, ConfigCompositionException) as error:
        raise ConfigError(explain(error, arguments)) from error
    finally:
        if previous is not None:
            GlobalHydra.instance().hydra = previous


def with_files(overrides: Sequence[str]) -> list[str]:
    """``dataset=my.csv`` and ``corpus=my.smi`` spelled out as Hydra needs them."""
    result = []
    for override in overrides:
        group, _, value = override.partition("=")
        is_file = bool(Path(value).suffix) or "/" in value
        if group == "dataset" and is_file:
            result += ["dataset=csv", f"dataset.path={quoted(value)}"]
        elif group == "corpus" and is_file:
            result += ["corpus=file", f"corpus.path={quoted(value)}"]
        elif group == "split" and is_file:
            result += ["split=file", f"split.path={quoted(value)}"]
        else:
            result.append(override)
    return result


def quoted(value: str) -> str:
    """A string that Hydra's grammar reads as one value."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def explain(error: Exception, overrides: Sequence[str]) -> str:
    """Hydra's complaint as a sentence with the nearest name."""
    text = str(error)
    if found := re.search(r"(?:In '[^']*': )?Could not find '([\w/@.]+)/([^'/]+)'", text):
        group, name = found.groups()
        group = group.split("@")[0]
        return unknown(group, name, options(group))
    if found := re.search(r"Could not override '([^']+)'", text):
        key = found.group(1)
        if "=" not in key:
            return unknown_key(key)
    if found := re.search(r"(?:Key '([^']+)' is not in struct|Key '([^']+)' not in)", text):
        wanted = next((o.partition("=")[0] for o in overrides if found.group(1) in o), found.group(1))
        return unknown_key(wanted)
    if type(error).__name__ == "OverrideParseException":
        first = text.splitlines()[0].strip()
        return (
            f"an argument could not be read ({first}). Options look like key=value; a value with special "
            "characters needs two pairs of quotes: \"dataset.path='my file.csv'\". SMILES strings are never "
            "passed here; put them into a file and use dataset.path= or corpus="
        )
    return " ".join(text.split())


def options(group: str) -> list[str]:
    """The names in a group of configuration files."""
    return [file.stem for file in (config_dir() / group).glob("*.yaml")]


def unknown_key(key: str) -> str:
    """The sentence for a key that does not exist."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        known = sorted(flat_keys(OmegaConf.to_container(compose("config"), resolve=False)))
    groups = [folder.name for folder in config_dir().iterdir() if folder.is_dir()]
    close = difflib.get_close_matches(key, [*known, *groups], n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"unknown option {key!r}.{hint} See all options with: python -m molweight.run --cfg job"


def flat_keys(tree: Any, prefix: str = "") -> list[str]:
    """Dotted names of all keys of nested dictionaries."""
    if not isinstance(tree, dict):
        return []
    found = []
    for key, value in tree.items():
        found += [f"{prefix}{key}", *flat_keys(value, f"{prefix}{key}.")]
    return found


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


def build(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """A dataclass from a mapping, with every key known and every value of its type.

    Raises:
        ConfigError: naming the key, what was expected and what was found.
    """
    assert is_dataclass(cls)
    hints = typing.get_type_hints(cls)
    known = {f.name: f for f in fields(cls)}
    for key in values:
        if key not in known:
            raise ConfigError(unknown(f"option in {where}", key, known))
    missing = [n for n, f in known.items() if n not in values and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        raise ConfigError(f"{where} needs {', '.join(missing)}")
    arguments = {key: checked(value, hints[key], f"{where}.{key}") for key, value in values.items()}
    return cls(**arguments)


def checked(value: Any, hint: Any, where: str) -> Any:
    """A value that fits a type; whole numbers may stand for real ones, mappings for dataclasses."""
    if is_dataclass(hint) and isinstance(hint, type):
        return build(hint, value if isinstance(value, dict) else {}, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return checked(value, next(a for a in arguments if a is not type(None)), where)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(unknown(where, value, map(str, arguments)))
        return value
    if hint is float and isinstance(value, str):
        try:
            return float(value)  # YAML reads 1e-3 as text
        except ValueError:
            pass
    expected = {float: (int, float), int: int, str: str, bool: bool}.get(hint)
    if expected is None:
        return value
    if hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, expected) or (isinstance(value, bool) and hint is not bool):
        names = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
        raise ConfigError(f"{where} must be {names[hint]}, got {value!r}")
    return float(value) if hint is float else value
