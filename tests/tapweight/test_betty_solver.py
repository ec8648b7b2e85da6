"""Betty's engine around our levels: silent, and counting its steps."""

from __future__ import annotations

import logging

import pytest
from problems import network_problem

from molweight.tapweight.betty_solver import BettySolver
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.solver import Unroll


@pytest.mark.parametrize("disabled", [False, True])
def test_betty_says_nothing_and_its_logger_stays_as_it_was(monkeypatch, caplog, capfd, disabled):
    logger = logging.getLogger("betty")
    monkeypatch.setattr(logger, "disabled", disabled)
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    solver = BettySolver(network_problem(), Hypergradient())
    with caplog.at_level(logging.DEBUG):
        solver.step()
    assert caplog.records == [] and capfd.readouterr() == ("", "")
    assert logger.disabled is disabled and not logging.getLogger().disabled


def test_betty_counts_the_steps_of_the_lowest_level():
    solver = BettySolver(network_problem(), Hypergradient(), unroll=Unroll(every=3))
    for _ in range(2):
        solver.step()
    assert solver._engine.global_step == 6
