"""Hypergradients by name, and those that are given."""

import pytest

from molweight.errors import ConfigError
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.presets import HYPERGRADIENTS, find_hypergradient


def test_a_name_is_its_preset_and_a_hypergradient_itself():
    assert all(find_hypergradient(name) is value for name, value in HYPERGRADIENTS.items())
    given = Hypergradient()
    assert find_hypergradient(given) is given


def test_unknown_names_and_shares_of_a_batch_are_refused():
    with pytest.raises(ConfigError, match=r"unknown hypergradient 'papper'. Did you mean 'paper'"):
        find_hypergradient("papper")
    with pytest.raises(ConfigError, match=r"batch_fraction must be 1, got 0.5"):
        find_hypergradient(Hypergradient(batch_fraction=0.5))
