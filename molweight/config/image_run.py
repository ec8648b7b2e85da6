"""The configuration of ``python -m molweight.run``: molecules as typed choices."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace

from molweight.config.components import chosen_objectives
from molweight.config.composition import MOLECULES
from molweight.config.modality import Modality
from molweight.config.named_specs import dataset_spec
from molweight.config.run_config import compose_run
from molweight.config.schema import OptionValues, build, checked
from molweight.data.specs import CorpusSpec, DatasetSpec
from molweight.data.standardise import Standardisation
from molweight.errors import ConfigError
from molweight.images.transforms import Augmentation
from molweight.methods.base import Method, RunConfig
from molweight.methods.configs import HeadConfig
from molweight.objectives.base import Objective
from molweight.objectives.setup import BackboneConfig, ImageConfig, SplitConfig


@dataclass(frozen=True, kw_only=True)
class PictureFinetuneConfig(HeadConfig):
    """How the adapted backbone becomes the final model.

    Args:
        augment: vary the pictures as under ``augment``.
    """

    augment: bool


def load_config(*overrides: str) -> RunConfig:
    """The configuration of ``python -m molweight.run OVERRIDES``.

    Raises:
        ConfigError: unknown key or group, value of the wrong type, options that contradict each other.

    >>> config = load_config("dataset=esol", "learn.steps=200", "run_dir=runs/mine")
    >>> config.learn.steps, str(config.method)
    (200, 'tapweight')
    >>> load_config("dataset=esoll")
    Traceback (most recent call last):
    molweight.errors.ConfigError: unknown dataset 'esoll'. Did you mean 'esol'? Known: bace, ...
    """
    return compose_run(MODALITY, *overrides)


def with_objectives(config: RunConfig, *added: Objective) -> RunConfig:
    """The configuration with objectives of your own beside its own ones.

    Args:
        config: of a run that pretrains.
        added: each with a name of its own; new ones for every run, as they keep their heads and targets.

    Returns:
        With a hash that knows the source and the plain attributes of what was added, so that another run is
        not continued by mistake.

    Raises:
        ConfigError: it is no objective, its name is taken, or the method has no use for it.
    """
    samples = config.samples
    if not isinstance(samples, ImageConfig):
        raise ConfigError(f"objectives of pictures are for molecules, and this is a run on {config.modality}")
    if not (config.method.pretrains and config.method.takes_own_objectives):
        raise ConfigError(f"method={config.method} takes no further objectives")
    names = [objective.name for objective in samples.objectives]
    digest, lines = hashlib.sha256(config.hash.encode()), []
    for objective in added:
        if not isinstance(objective, Objective):
            raise ConfigError(
                f"expected an objective (molweight.objectives.base.Objective), got {objective!r}"
            )
        if objective.name in names:
            raise ConfigError(f"there is an objective {objective.name!r} already: {', '.join(names)}")
        names.append(objective.name)
        cls = type(objective)
        plain = {k: v for k, v in vars(objective).items() if isinstance(v, int | float | str | tuple)}
        try:
            source = inspect.getsource(cls)
        except (OSError, TypeError):  # typed into an interpreter
            source = cls.__qualname__
        digest.update(repr((objective.name, source, sorted(plain.items()))).encode())
        lines.append(f"# with the objective {objective.name}, {cls.__module__}.{cls.__qualname__}\n")
    return replace(
        config,
        samples=replace(samples, objectives=[*samples.objectives, *added]),
        text=config.text + "".join(lines),
        hash=digest.hexdigest(),
    )


def to_image_recipe(tree: OptionValues, method: Method) -> ImageConfig:
    """Everything that turns molecules into a setup, typed and checked."""
    finetune = build(PictureFinetuneConfig, tree["finetune"], "finetune")
    corpus = build(CorpusSpec, tree["corpus"], "corpus")
    backbone = build(BackboneConfig, tree["backbone"], "backbone")
    checked(tree["views"], Mapping[str, Mapping[str, float]], "views")
    return ImageConfig(
        dataset=build(DatasetSpec, tree["dataset"], "dataset"),
        corpus=corpus,
        held_out=[dataset_spec(name) for name in corpus.exclude],
        standardise=build(Standardisation, tree["standardise"], "standardise"),
        split=build(SplitConfig, tree["split"], "split"),
        backbone=replace(backbone, init="random") if method.ignores_weights else backbone,
        objectives=chosen_objectives(tree["objectives"], method, Objective),
        views=tree["views"],
        augment=build(Augmentation, tree["augment"], "augment"),
        finetune_augment=finetune.augment,
        dropout=finetune.dropout,
        protocol=tree["protocol"],
        meta_fraction=tree["meta_fraction"],
        seed=tree["seed"],
    )


MODALITY = Modality(
    name="molecules",
    tree=MOLECULES,
    data="dataset",
    sections=("dataset", "corpus", "split", "views", "augment", "standardise"),
    finetune=PictureFinetuneConfig,
    smallest="objectives=tapt_min",
    samples=to_image_recipe,
)
