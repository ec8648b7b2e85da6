"""The configuration of ``python -m molweight.nlp.run``: text as typed choices."""

from __future__ import annotations

from dataclasses import replace

from molweight.config.components import chosen_objectives
from molweight.config.composition import Tree
from molweight.config.modality import Modality
from molweight.config.run_config import compose_run
from molweight.config.schema import OptionValues, build
from molweight.errors import ConfigError
from molweight.methods.base import Method, RunConfig
from molweight.methods.configs import HeadConfig
from molweight.nlp.corpus import TextCorpusSpec
from molweight.nlp.objectives.base import TextObjective
from molweight.nlp.parts import CarveConfig
from molweight.nlp.pretrained import EncoderConfig
from molweight.nlp.setup import TextConfig, TokenConfig
from molweight.nlp.task import TaskSpec

TEXT = Tree(
    primary="nlp",
    command="python -m molweight.nlp.run",
    folder="nlp",
    files={"corpus": "file"},
    others={"backbone": "transformers"},
    schema={
        "task": "molweight.nlp.task.TaskSpec",
        "corpus": "molweight.nlp.corpus.TextCorpusSpec",
        "backbone": "molweight.nlp.pretrained.EncoderConfig",
    },
)


def load_config(*overrides: str) -> RunConfig:
    """The configuration of ``python -m molweight.nlp.run OVERRIDES``.

    Raises:
        ConfigError: unknown key or group, value of the wrong type, options that contradict each other.
    """
    return compose_run(MODALITY, *overrides)


def to_text_recipe(tree: OptionValues, method: Method) -> TextConfig:
    """Everything that turns text into a setup, typed and checked."""
    if not method.needs_network:
        raise ConfigError(f"method={method} is for molecules; method=direct is the simplest one for text")
    encoder = build(EncoderConfig, tree["backbone"], "backbone")
    return TextConfig(
        task=build(TaskSpec, tree["task"], "task"),
        corpus=build(TextCorpusSpec, tree["corpus"], "corpus"),
        split=build(CarveConfig, tree["split"], "split"),
        encoder=replace(encoder, init="random") if method.ignores_weights else encoder,
        tokens=build(TokenConfig, tree["tokens"], "tokens"),
        objectives=chosen_objectives(tree["objectives"], method, TextObjective),
        dropout=build(HeadConfig, tree["finetune"], "finetune").dropout,
        protocol=tree["protocol"],
        meta_fraction=tree["meta_fraction"],
        seed=tree["seed"],
    )


MODALITY = Modality(
    name="text",
    tree=TEXT,
    data="task",
    sections=("task", "corpus", "split", "tokens"),
    finetune=HeadConfig,
    smallest="objectives=two",
    samples=to_text_recipe,
)
