"""Objectives of the user's own, beside those of the package."""

from __future__ import annotations

import json

import pytest
import torch
from rdkit import Chem
from rdkit.Chem import Crippen
from smallest import SMALLEST
from torch import nn
from torch.nn import functional

from molweight import load_config, run_experiment, with_objectives
from molweight.errors import ConfigError
from molweight.methods.run_directory import RunDirectory
from molweight.nlp import load_config as load_text_config
from molweight.objectives.base import Objective


class LogP(Objective):
    """Crippen's logP, from the plain picture."""

    views, task, name = ("plain",), "physical chemistry", "logp"

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = scale

    def build(self, dim, molecules, seed):
        values = torch.tensor([Crippen.MolLogP(Chem.MolFromSmiles(one)) for one in molecules.smiles])
        self.values = self.scale * (values - values.mean()) / values.std()
        self.head = nn.Linear(dim, 1)

    def targets(self, positions):
        return {self.name: self.values[positions].float()}

    def loss(self, embeddings, batch):
        return functional.mse_loss(self.head(embeddings["plain"])[:, 0], batch[self.name])


def test_the_name_of_earlier_versions_still_builds():
    with pytest.warns(FutureWarning, match="rename Old.attach to build"):

        class Old(LogP):
            def attach(self, dim, molecules, seed):
                self.head = nn.Linear(dim, 1)

    objective = Old()
    objective.build(4, None, 0)
    assert objective.head.in_features == 4


def config(folder, *options):
    return load_config(*SMALLEST, *options, f"run_dir={folder}")


def test_its_weight_is_learned_with_the_others(tmp_path):
    report = run_experiment(with_objectives(config(tmp_path / "run"), LogP()), page=False)
    assert set(report.weights) == {"clusters_10", "jigsaw", "logp"}
    assert sum(report.weights.values()) == pytest.approx(1)
    records = [json.loads(line) for line in (tmp_path / "run" / "steps.jsonl").read_text().splitlines()]
    losses = [record["losses"]["logp"] for record in records]
    assert all(0 < loss < 10 for loss in losses) and records[-1]["hypergradient"]["logp"] != 0
    assert "# with the objective logp" in (tmp_path / "run" / "config.yaml").read_text()


def test_another_objective_is_another_run(tmp_path):
    plain = config(tmp_path / "run")
    one, same, other = (with_objectives(plain, LogP(scale)).hash for scale in (1.0, 1.0, 2.0))
    assert one == same != other and plain.hash not in (one, other)
    directory = RunDirectory(tmp_path / "run")
    directory.open(plain.text, one)
    with pytest.raises(ConfigError, match=r"another configuration|other options"):
        RunDirectory(tmp_path / "run").open(plain.text, other)


def test_objectives_of_pictures_are_not_for_text(tmp_path):
    with pytest.raises(ConfigError, match="this is a run on text"):
        with_objectives(load_text_config(f"run_dir={tmp_path}"), LogP())


@pytest.mark.parametrize(
    "options, added, words",
    [
        ([], [object()], "expected an objective"),
        ([], [LogP(), LogP()], "there is an objective 'logp' already"),
        (["method=direct"], [LogP()], "method=direct takes no further objectives"),
        (["method=single:jigsaw"], [LogP()], "takes no further objectives"),
    ],
)
def test_what_cannot_be_added_is_said(tmp_path, options, added, words):
    with pytest.raises(ConfigError, match=words):
        with_objectives(config(tmp_path, *options), *added)
