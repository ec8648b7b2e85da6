"""Which engine a name stands for."""

from __future__ import annotations

import importlib.metadata

import pytest
from problems import network_problem

from molweight.errors import ConfigError
from molweight.tapweight.averaging import AveragingConfig
from molweight.tapweight.betty_solver import BettySolver, find_betty
from molweight.tapweight.engines import make_solver
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.solver import Solver, Unroll

ESTIMATOR = Hypergradient()


@pytest.mark.parametrize(
    ("name", "learn", "version", "engine"),
    [
        ("native", True, "0.2.1", Solver),
        ("betty", True, "0.2.1", BettySolver),
        ("auto", True, "0.2.1", BettySolver),
        ("betty", False, "0.2.1", Solver),
        ("auto", False, "0.2.1", Solver),
        ("native", True, None, Solver),
        ("auto", True, None, Solver),
        ("auto", False, None, Solver),
    ],
)
def test_the_engine_of_a_name(monkeypatch, name, learn, version, engine):
    monkeypatch.setattr("molweight.tapweight.engines.find_betty", lambda: version)
    levels, unroll, averaging = network_problem(), Unroll(every=3), AveragingConfig()
    options = {"unroll": unroll, "averaging": averaging, "burn_in": 2}
    solver = make_solver(name, levels, ESTIMATOR, learn=learn, **options)
    assert type(solver) is engine and solver.levels is levels and solver.hypergradient is ESTIMATOR
    assert solver.unroll == unroll
    assert type(make_solver("native", levels, ESTIMATOR)) is Solver


def test_without_being_told_weights_are_learned():
    native = make_solver("native", network_problem(), ESTIMATOR)
    weights = [native.step().weights for _ in range(2)]
    assert weights[0] != weights[1]


@pytest.mark.parametrize("name", ["native", "betty", "auto"])
def test_weights_that_are_not_learned_stay(name):
    solver = make_solver(name, network_problem(), ESTIMATOR, learn=False)
    records = [solver.step() for _ in range(2)]
    assert records[0].weights == records[1].weights and records[1].hypergradient == {}


def test_an_unknown_engine_and_a_missing_betty_are_sentences(monkeypatch):
    with pytest.raises(ConfigError, match=r"unknown solver 'beti'. Did you mean 'betty'"):
        make_solver("beti", network_problem(), ESTIMATOR)
    monkeypatch.setattr("molweight.tapweight.engines.find_betty", lambda: None)
    with pytest.raises(ConfigError, match=r"betty needs Betty 0.2"):
        make_solver("betty", network_problem(), ESTIMATOR, learn=False)


@pytest.mark.parametrize(
    ("version", "known"), [("0.2.1", "0.2.1"), ("0.2.0", "0.2.0"), ("0.20.1", None), ("1.0.2.1", None)]
)
def test_only_releases_of_betty_0_2_are_betty(monkeypatch, version, known):
    asked = []
    monkeypatch.setattr(importlib.metadata, "version", lambda name: asked.append(name) or version)
    assert find_betty() == known and asked == ["betty-ml"]


def test_a_betty_that_is_not_installed_is_none(monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert find_betty() is None
