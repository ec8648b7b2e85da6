"""Dataclasses from mappings: unknown keys, missing keys, wrong types."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pytest

from molweight.config.schema import build, checked
from molweight.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Wheel:
    size: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Cart:
    name: str
    wheels: int
    load: float | None = None
    colour: Literal["red", "blue"] = "red"
    covered: bool = False
    wheel: Wheel = field(default_factory=Wheel)
    stops: Sequence[str] = ()


def test_values_arrive_and_defaults_stay():
    cart = build(Cart, {"name": "a", "wheels": 4, "wheel": {"size": 2}, "stops": ["x"]}, "cart")
    assert cart == Cart(name="a", wheels=4, wheel=Wheel(size=2.0), stops=["x"])
    assert type(cart.wheel.size) is float and cart.load is None


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"whels": 4}, r"unknown option in cart 'whels'. Did you mean 'wheels'"),
        ({"wheel": {"sise": 1}}, r"unknown option in cart.wheel 'sise'. Did you mean 'size'"),
        ({"wheels": "four"}, r"cart.wheels must be a whole number, got 'four'"),
        ({"wheels": 4.0}, r"cart.wheels must be a whole number, got 4.0"),
        ({"wheels": True}, r"cart.wheels must be a whole number, got True"),
        ({"wheels": None}, r"cart.wheels must be a whole number, got None"),
        ({"load": "heavy"}, r"cart.load must be a number, got 'heavy'"),
        ({"load": False}, r"cart.load must be a number, got False"),
        ({"load": math.nan}, r"cart.load must be a finite number, got nan"),
        ({"load": "inf"}, r"cart.load must be a finite number, got inf"),
        ({"covered": 1}, r"cart.covered must be true or false, got 1"),
        ({"name": ["a"]}, r"cart.name must be text"),
        ({"name": True}, r"cart.name must be text"),
        ({"colour": "rde"}, r"unknown cart.colour 'rde'. Did you mean 'red'"),
        ({"wheel": 5}, r"cart.wheel must be a group of options, got 5"),
        ({"wheel": None}, r"cart.wheel must be a group of options, got None"),
    ],
)
def test_what_does_not_fit_is_named(values, sentence):
    with pytest.raises(ConfigError, match=sentence) as caught:
        build(Cart, {"name": "a", "wheels": 4, **values}, "cart")
    assert caught.value.exit_code == 2


def test_all_that_is_missing_is_named():
    with pytest.raises(ConfigError, match="cart needs name, wheels"):
        build(Cart, {}, "cart")


@pytest.mark.parametrize("values", [None, 3, "text", [1]])
def test_a_group_must_be_a_mapping(values):
    with pytest.raises(ConfigError, match="cart must be a group of options"):
        build(Cart, values, "cart")


def test_harmless_conversions():
    assert checked("1e-3", float, "x") == 1e-3
    assert checked(3, str, "x") == "3"
    assert type(checked(3, float, "x")) is float
    assert checked(None, int | None, "x") is None


@pytest.mark.parametrize("value", [5, None, "ab", {"a": 1}])
def test_a_list_is_not_guessed_from_one_value(value):
    with pytest.raises(ConfigError, match=r"x must be a list, got .*: write x=\["):
        checked(value, Sequence[str], "x")


def test_what_a_list_and_a_mapping_hold_is_checked():
    assert checked([1, "1e-1"], Sequence[float], "x") == [1.0, 0.1]
    assert checked({"a": ["b", 0]}, Mapping[str, Sequence[str]], "x") == {"a": ["b", "0"]}
    with pytest.raises(ConfigError, match=r"x\[1\] must be a number, got 'b'"):
        checked([1, "b"], Sequence[float], "x")
    with pytest.raises(ConfigError, match=r"x.a must be a list, got 5"):
        checked({"a": 5}, Mapping[str, Sequence[str]], "x")
    with pytest.raises(ConfigError, match=r"x must be a group of options, got 5"):
        checked(5, Mapping[str, Sequence[str]], "x")
