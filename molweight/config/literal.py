"""Options that are text are read as typed: Hydra makes values of ``1e5``, ``1_1``, ``true``, ``null``."""

from __future__ import annotations

import importlib
import re
import types
import typing
from collections.abc import Mapping, Sequence

PART = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[][{},]|(?:\\.|[^][{},'"\\])+""")
"""Of a value in Hydra's grammar: something in quotes, a bracket, a comma, or what stands between those."""
TOP = ("run_dir", "pretraining_cache", "device")  # text, and outside all sections
KEYWORDS = ("null", "true", "false")


def literal(override: str, schema: Mapping[str, str]) -> str:
    """An override in which text that Hydra would read as something else stands in quotes.

    ``dataset.targets=[1e5,logD]`` becomes ``dataset.targets=['1e5',logD]``. ``null`` alone stays the absence
    of a value where that is allowed.

    Args:
        override: ``key=value``; anything else, and an option that is no text, is left as it is.
        schema: section of the configuration to the dotted name of its dataclass.
    """
    key, sign, value = override.partition("=")
    parts = PART.findall(value)
    if not sign or all(part == as_text(part) for part in parts):
        return override
    hint = hint_of(key.lstrip("+"), schema)
    if not is_text(hint):
        return override
    depth, result = 0, ""
    for part in parts:
        depth += (part in ("[", "{")) - (part in ("]", "}"))
        absent = depth == 0 and hint is not str and part.strip().lower() == "null"
        result += part if absent else as_text(part)
    return f"{key}={result}" if "".join(parts) == value else override  # else it cannot be read: Hydra says so


def as_text(part: str) -> str:
    """A word in quotes if Hydra would change it: ``1e5`` and ``null``, but not ``12``, ``1.5``, ``logD``."""
    word = part.strip()
    try:
        same = word in (repr(float(word)), str(int(float(word))))
    except (ValueError, OverflowError):  # no number, or infinite
        same = word.lower() not in (*KEYWORDS, "inf", "+inf", "-inf", "nan", "+nan", "-nan")
    return part if same else part.replace(word, f"'{word}'")


def hint_of(key: str, schema: Mapping[str, str]) -> object:
    """The type of an option; None where it is not known."""
    section, _, rest = key.partition(".")
    if key in TOP:
        return str | None
    if not rest or section not in schema:
        return None
    module, _, name = schema[section].rpartition(".")
    hints = typing.get_type_hints(getattr(importlib.import_module(module), name))
    return hints.get(rest.partition(".")[0])


def is_text(hint: object) -> bool:
    """Whether a type is text, or a list or a mapping of text, perhaps optional."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return all(is_text(argument) for argument in arguments if argument is not type(None))
    if origin in (Sequence, Mapping):
        return is_text(arguments[-1])
    return hint is str
