"""All methods by name. A class with a name in a module of this folder is one; nothing else lists them."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping

import molweight.methods
from molweight.errors import ConfigError, unknown
from molweight.methods.base import Method


@functools.cache
def methods() -> Mapping[str, type[Method]]:
    """Every method by its name: those that learn weights, others that pretrain, those that do not."""
    classes = {
        value
        for module in pkgutil.iter_modules(molweight.methods.__path__, "molweight.methods.")
        for value in vars(importlib.import_module(module.name)).values()
        if isinstance(value, type) and issubclass(value, Method) and value.name
    }
    order = sorted(classes, key=lambda cls: (not cls.learns, not cls.pretrains, cls.name))
    return {cls.name: cls for cls in order}


def spellings() -> dict[str, type[Method]]:
    """How each method is written, such as ``single:<an objective>``; both ways where either will do."""
    forms = {name: cls for name, cls in methods().items() if not cls.needs_argument}
    return forms | {f"{name}:<{cls.takes}>": cls for name, cls in methods().items() if cls.takes}


def parse_method(text: object) -> Method:
    """The method of a text: a name, with its argument after a colon.

    Raises:
        ConfigError: unknown, or an argument too few or too many.

    >>> parse_method("single:jigsaw")
    Single(argument='jigsaw')
    """
    name, _, argument = str(text).partition(":")
    method = methods().get(name)
    if method is None or (argument and not method.takes):
        raise ConfigError(unknown("method", text, spellings()))
    if method.needs_argument and not argument:
        raise ConfigError(f"method={name} needs {method.takes}: method={name}:…")
    return method(argument)
