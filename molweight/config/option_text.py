"""What ``--help`` and ``--cfg job`` say of each option: the sentences of docs/options.md, as plain text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from molweight.config.components import is_trusted
from molweight.config.composition import unknown_key
from molweight.config.explanations import field_texts
from molweight.config.modality import Modality
from molweight.config.options import Option, sections
from molweight.errors import ConfigError

WIDTH = 100  # characters of a line


def all_options(modality: Modality) -> str:
    """Every option of a command with its default, values and explanation."""
    lines = []
    for section in sections(modality):
        if section.options:
            title = f"{section.name}: {section.text}" if section.name else "a run:"
            lines += ["", *textwrap.wrap(plain(title), WIDTH)]
        for option in section.options:
            lines.append(f"  {option.name}={plain(option.default)}")
            lines += textwrap.wrap(
                explained(option), WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6
            )
    return "\n".join(lines)


def commented_yaml(config: DictConfig, modality: Modality, package: str | None, *, resolve: bool) -> str:
    """A configuration as YAML, with the explanation and the default of each option above it.

    Args:
        config: without Hydra's part.
        modality: that it belongs to.
        package: dotted name of the part that is shown; None: all of it.
        resolve: values instead of ``${…}``.

    Raises:
        ConfigError: there is no such part.
    """
    values: Any = OmegaConf.to_container(config, resolve=resolve)
    for key in package.split(".") if package else ():
        if not isinstance(values, dict) or key not in values:
            raise ConfigError(unknown_key(str(package), modality.tree))
        values = values[key]
    if not isinstance(values, dict):
        return str(values)
    texts = {}
    for section in sections(modality):
        texts[section.name] = plain(section.text)
        for option in section.options:  # those of a data set are its own, whatever the default one has
            default = "" if section.names else f"; default {plain(option.default)}"
            texts[option.name] = explained(option).removesuffix(")") + f"{default})"
    prefix = f"{package}." if package else ""
    return "\n".join(
        [*([f"# @package {package}"] if package else []), *yaml_lines(values, texts, prefix, "")]
    )


def yaml_lines(
    values: Mapping[str, object], texts: Mapping[str, str], prefix: str, indent: str
) -> Iterator[str]:
    """The lines of a mapping; ``texts`` explain dotted names, and classes their own options."""
    if is_trusted(target := values.get("_target_")):
        texts = {f"{prefix}{key}": plain(text) for key, text in field_texts(get_class(str(target))).items()}
    for key, value in values.items():
        if text := texts.get(f"{prefix}{key}"):
            comment = f"{indent}# "
            yield from textwrap.wrap(text, WIDTH, initial_indent=comment, subsequent_indent=comment)
        if isinstance(value, dict) and value:
            yield f"{indent}{key}:"
            yield from yaml_lines(value, texts, f"{prefix}{key}.", f"{indent}  ")
        else:
            lines = yaml.safe_dump({key: value}, allow_unicode=True, width=WIDTH).rstrip()
            yield textwrap.indent(lines, indent)


def explained(option: Option) -> str:
    """The explanation of an option, and what values it takes."""
    return f"{plain(option.text)} ({plain(option.values)})"


def plain(markdown: str) -> str:
    """Markdown without its marks."""
    return re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", markdown).replace("`", "")
