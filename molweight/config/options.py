"""Every option with its default, values and explanation, from the classes and YAML files that define it."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.utils import get_class
from omegaconf import OmegaConf

from molweight.config.composition import compose_config, config_dir, plain
from molweight.config.explanations import field_texts, head_comment, summary
from molweight.config.modality import Modality
from molweight.config.run_config import TRAINING
from molweight.methods.base import RunConfig
from molweight.methods.registry import spellings
from molweight.training.optimisers import OptimiserConfig

METHODS = "What a run does with its encoder; [which to take](choosing.md#method)."
KINDS: dict[object, str] = {bool: "`true`, `false`", int: "whole number", float: "number"}
KINDS |= {str: "text", Path: "path"}


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option.

    Args:
        name: dotted, as on the command line.
        default: as one would type it.
        values: a type, or the names to choose from, in Markdown.
        text: its explanation, in Markdown.
        owner: the class that it is a field of; None for one that stands in YAML alone.
    """

    name: str
    default: str
    values: str
    text: str
    owner: type | None = None


@dataclass(frozen=True, kw_only=True)
class Section:
    """A group of options: what it is, the names to choose from, and its options.

    Args:
        name: of the group; empty for the options outside of all groups.
        text: one sentence.
        names: to the explanation of each, the default first.
        options: in the order of their definition.
    """

    name: str
    text: str
    names: Mapping[str, str]
    options: Sequence[Option]


def sections(modality: Modality) -> list[Section]:
    """Everything that a command's configuration consists of."""
    tree = modality.tree
    own_data = [f"{name}={tree.files[name]}" for name in (modality.data,) if name in tree.files]
    values: Any = OmegaConf.to_container(compose_config(own_data, tree), resolve=False)
    chosen = compose_config((), tree, whole=True).hydra.runtime.choices  # of each group
    classes, texts = section_classes(modality), field_texts(RunConfig)
    result, alone = [], []
    for name in sorted(values, key=lambda name: name in TRAINING):
        value, cls, group = values[name], classes.get(name), tree.group(name)
        names = group_names(group, chosen[group]) if group in chosen else {}
        if isinstance(value, dict):
            options = [] if name == "objectives" else [*walk(name, value, classes)]
            text = summary(cls) if isinstance(cls, type) else ""
            result.append(Section(name=name, text=text, names=names, options=options))
        else:
            alone.append(leaf(name, value, cls, texts.get(name, "")))
    presets = group_names(tree.group("experiment"), None)
    ways = sorted(spellings().items(), key=lambda item: item[0] != values["method"])
    names = {spelling: summary(method) for spelling, method in ways}
    result.append(Section(name="method", text=METHODS, names=names, options=()))
    result.append(
        Section(name="experiment", text="Several options under one name.", names=presets, options=())
    )
    return [Section(name="", text="", names={}, options=alone), *result]


def section_classes(modality: Modality) -> dict[str, object]:
    """The types of a configuration's sections, and of its options outside of all sections."""
    recipe = typing.get_type_hints(modality.samples)["return"]
    named = {name: get_class(dotted) for name, dotted in modality.tree.schema.items()}
    hints = typing.get_type_hints(RunConfig) | typing.get_type_hints(recipe)
    return {**hints, "finetune": modality.finetune, **named}


def group_names(group: str, default: str | None) -> dict[str, str]:
    """The names in a group of configuration files, the default first, and what each is."""
    names = {}
    for file in sorted(
        (config_dir() / group).glob("*.yaml"), key=lambda path: (path.stem != default, path.stem)
    ):
        text = file.read_text(encoding="utf-8")
        names[file.stem] = yaml.safe_load(text).get("description") or head_comment(text)
    return names


def walk(path: str, value: Mapping[str, object], classes: Mapping[str, object]) -> Iterator[Option]:
    """The options below a dotted name: the fields of its class, and what stands in YAML besides."""
    cls = classes.get(path)
    owner = cls if is_dataclass(cls) and isinstance(cls, type) else None
    hints, texts = (typing.get_type_hints(owner), field_texts(owner)) if owner else ({}, {})
    defaults = {field.name: field.default for field in fields(owner)} if owner else {}
    for key in [*defaults, *(key for key in value if key not in defaults)]:
        name, hint, default = f"{path}.{key}", hints.get(key), value.get(key, defaults.get(key))
        if isinstance(default, dict) and "_target_" not in default and (is_dataclass(hint) or hint is None):
            yield from walk(name, default, {name: hint} if hint else classes)
        elif key != "name" or owner is OptimiserConfig:  # that of a group is chosen, not typed
            yield leaf(name, default, hint, texts.get(key, ""), owner)


def leaf(name: str, default: object, hint: object, text: str, owner: type | None = None) -> Option:
    """An option that has no others below it."""
    if name == "method":
        return Option(name=name, default=code(default), values="[a method](#method)", text=text)
    return Option(
        name=name, default=code(default), values=kind(hint or type(default)), text=text, owner=owner
    )


def kind(hint: object) -> str:
    """What values a type has."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return ", ".join(
            [*(kind(argument) for argument in arguments if argument is not type(None)), "`null`"]
        )
    if origin is typing.Literal:
        return listed(arguments)
    if origin is Sequence:
        return f"list of {kind(arguments[0])}s".replace("texts", "text")
    return "mapping" if origin is Mapping else KINDS.get(hint, "[a part](#parts-of-a-hypergradient)")


def code(value: object) -> str:
    """A default as one would type it; a part as a call."""
    if isinstance(value, dict) and "_target_" in value:
        arguments = ", ".join(f"{key}={typed(item)}" for key, item in value.items() if key != "_target_")
        return f"`{value['_target_'].rpartition('.')[2]}({arguments})`"
    return f"`{typed(value)}`"


def typed(value: object) -> str:
    """A value in Hydra's grammar."""
    if isinstance(value, list | tuple):
        return f"[{','.join(plain(item) if isinstance(item, str) else typed(item) for item in value)}]"
    if value is None or isinstance(value, bool):
        return str(value).lower() if value is not None else "null"
    text = re.sub(r"\$\{now:[^}]*\}", "<time>", str(value))
    return re.sub(r"\$\{(\w+)\.name\}", r"<\1>", text)


def listed(values: Iterable[object]) -> str:
    """Names in Markdown."""
    return ", ".join(f"`{value}`" for value in values)
