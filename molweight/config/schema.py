"""Dataclasses from plain mappings: every key known, every value of its type."""

from __future__ import annotations

import contextlib
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from molweight.errors import ConfigError, unknown

T = TypeVar("T")

OptionValues = dict[str, Any]
"""Options by name as YAML holds them, before they are checked."""


def build(cls: type[T], values: object, where: str) -> T:
    """A dataclass from a mapping, with every key known and every value of its type.

    Args:
        cls: of the dataclass.
        values: by field; the others keep their defaults.
        where: dotted name of the section; empty: the options outside of all sections.

    Raises:
        ConfigError: naming the key, what was expected and what was found.
    """
    assert is_dataclass(cls)
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} must be a group of options, got {values!r}")
    hints = typing.get_type_hints(cls)
    known = {f.name: f for f in fields(cls)}
    for key in values:
        if key not in known:
            raise ConfigError(unknown(f"option in {where}" if where else "option", key, known))
    missing = [
        n
        for n, f in known.items()
        if n not in values and f.default is MISSING and f.default_factory is MISSING
    ]
    if missing:
        raise ConfigError(f"{where or 'the configuration'} needs {', '.join(missing)}")
    prefix = f"{where}." if where else ""
    arguments = {key: checked(value, hints[key], f"{prefix}{key}") for key, value in values.items()}
    return cls(**arguments)


def checked(value: object, hint: Any, where: str) -> Any:
    """A value that fits a type; whole numbers may stand for real ones, mappings for dataclasses."""
    if is_dataclass(hint) and isinstance(hint, type):
        return build(hint, value, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return checked(value, next(a for a in arguments if a is not type(None)), where)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(unknown(where, value, map(str, arguments)))
        return value
    if origin is Sequence:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ConfigError(f"{where} must be a list, got {value!r}: write {where}=[{value}]")
        return [checked(item, arguments[0], f"{where}[{index}]") for index, item in enumerate(value)]
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a group of options, got {value!r}")
        return {key: checked(item, arguments[1], f"{where}.{key}") for key, item in value.items()}
    if hint is Path:
        return Path(checked(value, str, where))
    if hint is float and isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)  # YAML reads 1e-3 as text
    accepted: dict[object, tuple[type, ...]] = {float: (int, float), int: (int,), str: (str,), bool: (bool,)}
    expected = accepted.get(hint)
    if expected is None:
        return value
    if hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, expected) or (isinstance(value, bool) and hint is not bool):
        names = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
        raise ConfigError(f"{where} must be {names[hint]}, got {value!r}")
    number: Any = value
    if hint is float and not math.isfinite(number):
        raise ConfigError(f"{where} must be a finite number, got {value!r}")
    return float(number) if hint is float else value
