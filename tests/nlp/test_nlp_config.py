"""Every file of ``configs/nlp`` gives a checked run, and options are spelled as for molecules."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
import yaml

from molweight.config import components
from molweight.config.composition import compose_config, config_dir, spelled_out
from molweight.errors import ConfigError
from molweight.nlp import load_config
from molweight.nlp.config import TEXT

ROOT = config_dir() / "nlp"
GROUPS = ("task", "corpus", "backbone", "objectives", "experiment")
NEEDS = {"backbone=transformers": ["backbone.name=some/encoder"], "corpus=file": ["corpus.path=my.txt"]}


def choices():
    return [f"{group}={file.stem}" for group in GROUPS for file in sorted((ROOT / group).glob("*.yaml"))]


def test_no_group_of_files_is_left_untested():
    assert {path.name for path in ROOT.iterdir()} == {*GROUPS, "objective"}


@pytest.mark.parametrize("choice", choices())
def test_every_file_gives_a_checked_run(choice):
    config = load_config(choice, *NEEDS.get(choice, []))
    assert len(config.hash) == 64 and config.modality == "text"
    group, name = choice.split("=")
    if group in ("task", "corpus"):
        assert getattr(config.samples, group).name == name


@pytest.mark.parametrize("name", ["masked_language", "contrastive", "sentence_order"])
def test_an_objective_is_added_as_for_molecules(name):
    config = load_config("objectives=two", "~objectives", f"+objective@objectives.only={name}")
    assert [one.name for one in config.samples.objectives] == [name]
    written = yaml.safe_load((ROOT / "objective" / f"{name}.yaml").read_text())
    target = type(config.samples.objectives[0])
    assert written["_target_"] == f"{target.__module__}.{target.__name__}"


def test_runs_of_earlier_versions_are_resumed():
    config = load_config("task=rte", "experiment=smoke", "learn.steps=7", "run_dir=r")
    assert config.hash.startswith("8cad61a104f8")  # of version 0.1
    assert hashlib.sha256(config.text.encode()).hexdigest().startswith("85d949d08aa4")


def test_options_are_spelled_out_for_hydra():
    assert spelled_out(["task=rte,cola", "task.limit=20", "seed=1"], TEXT) == [
        "nlp/task=rte,cola",
        "task.limit=20",
        "seed=1",
    ]
    assert spelled_out(["backbone=a/b c"], TEXT) == ["nlp/backbone=transformers", "backbone.name='a/b c'"]
    assert spelled_out(["backbone=minilm", "corpus=my.txt"], TEXT) == [
        "nlp/backbone=minilm",
        "nlp/corpus=file",
        "corpus.path='my.txt'",
    ]
    assert spelled_out(["method=tapweight:paper"], TEXT)[1] == "hypergradient=paper"
    assert spelled_out(["+objective@objectives.x=contrastive", "~objectives"], TEXT) == [
        "+nlp/objective@objectives.x=contrastive",
        "~nlp/objectives",
    ]
    assert compose_config(["backbone=it's"], TEXT).backbone.name == "it's"


def test_molecules_know_nothing_of_it():
    assert spelled_out(["task=rte", "backbone=tiny"]) == ["task=rte", "backbone=tiny"]


def test_an_objective_of_molecules_is_refused():
    path = "molweight.objectives.contrast.Contrast"
    assert components.is_trusted(path)
    with pytest.raises(ConfigError, match=r"objectives\.x must be an objective, got molweight\.objectives"):
        load_config(f"+objectives.x={{_target_: {path}}}")


def test_an_unknown_corpus_is_no_molecule(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)  # as where only text is wanted
    with pytest.raises(ConfigError, match="unknown corpus 'CCO'") as error:
        load_config("task=rte", "corpus=CCO")
    assert "predict" not in str(error.value)


def test_help_names_the_groups():
    done = subprocess.run(
        [sys.executable, "-m", "molweight.nlp.run", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0 and "nlp/task: cola, mnli, mrpc" in done.stdout, done.stderr
