"""How many cores a run takes: those of ``threads=``, for the network, drawing and forests."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from molweight.config.image_run import load_config
from molweight.images import drawing_processes
from molweight.models.forest import Forest
from molweight.runs import experiment
from molweight.utils import machine
from molweight.utils.machine import at_most, granted_cores


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 8)


def test_the_cores_of_a_run_are_granted_inside_it_alone():
    assert granted_cores() == 8
    with at_most(3):
        with at_most(None):
            assert granted_cores() == 3
        with pytest.raises(ZeroDivisionError), at_most(100):
            assert granted_cores() == 8
            raise ZeroDivisionError
        assert granted_cores() == 3
    assert granted_cores() == 8


def test_threads_limit_the_forest_and_the_processes_that_draw(tmp_path, monkeypatch):
    """Of the whole run; what it would compute is left out."""
    drawing = []

    def run(*_, **__):
        drawing_processes.draw_all([], 64, canonicalise=True)
        Forest(["C", "CC"], np.array([[0.0], [1.0]]), kind="regression", seed=0)

    def fit(self, *data):
        growing.append(self.n_jobs)
        return honest(self, *data)

    growing, honest = [], RandomForestRegressor.fit
    monkeypatch.setattr(RandomForestRegressor, "fit", fit)
    monkeypatch.setattr(experiment, "_run", run)
    monkeypatch.setattr(drawing_processes, "_draw_all", lambda texts, workers, task: drawing.append(workers))
    for threads in ("2", "null"):
        options = ("method=ecfp_rf", f"threads={threads}", f"run_dir={tmp_path / threads}")
        experiment.run_experiment(load_config(*options), page=False)
    assert growing == drawing == [2, 8]
