"""JSON objects as dataclasses and back: every key has a field, every field a type that is checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
EXPECTED: dict[object, str] = {dict: "an object", list: "a list", str: "a text"}
EXPECTED |= {int: "a whole number", bool: "true or false"}


def decode(kind: type[T], value: object, name: str = "") -> T:
    """A value of JSON as the type that it should have.

    Keys without a field are ignored: a later version may have written them.

    Args:
        kind: a dataclass, ``float``, ``int``, ``str``, ``bool``, ``Mapping[str, …]``, ``Sequence[…]``, or one
            of these ``| None``.
        value: of ``json.loads``; ``null`` is NaN where a float is expected.
        name: of the value, for messages.

    Raises:
        ValueError: another type, or a key is missing.

    >>> decode(Mapping[str, float], {"a": 1, "b": None})
    {'a': 1.0, 'b': nan}
    """
    decoded: T = _decode(kind, value, name)
    return decoded


def _decode(kind: Any, value: object, name: str) -> Any:
    outer, inner = get_origin(kind), get_args(kind)
    if outer is UnionType:
        (some,) = (each for each in inner if each is not NoneType)
        return None if value is None else _decode(some, value, name)
    if kind is float:
        return math.nan if value is None else float(_checked(value, (int, float), name))
    if outer is Sequence:
        return [_decode(inner[0], each, f"{name}[]") for each in _checked(value, list, name)]
    if outer is Mapping:
        items = _checked(value, dict, name).items()
        return {key: _decode(inner[1], each, f"{name}[{key!r}]") for key, each in items}
    if not is_dataclass(kind):
        return _checked(value, kind, name)
    content, hints, known = _checked(value, dict, name), get_type_hints(kind), {}
    for field in fields(kind):
        path = f"{name}.{field.name}" if name else field.name
        if field.name in content:
            known[field.name] = _decode(hints[field.name], content[field.name], path)
        elif field.default is field.default_factory is MISSING:
            raise ValueError(f"{path} is missing")
    return kind(**known)  # type: ignore[operator]  # a class: values of JSON are no types


def _checked(value: object, kind: type[T] | tuple[type[T], ...], name: str) -> T:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{name or 'the content'} should be {EXPECTED.get(kind, 'a number')}")
    return value


def encode(value: object, modality: str) -> Any:
    """The inverse of :func:`decode`; NaN stays, for :func:`molweight.utils.files.write_json` to make it null.

    Args:
        value: a dataclass, or what its fields hold.
        modality: fields whose metadata name another ``modality`` are left out.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: encode(getattr(value, field.name), modality)
            for field in fields(value)
            if field.metadata.get("modality", modality) == modality
        }
    if isinstance(value, Mapping):
        return {key: encode(each, modality) for key, each in value.items()}
    return [encode(each, modality) for each in value] if isinstance(value, list) else value
