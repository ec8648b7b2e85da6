"""The command line: what ten wrong inputs say, and with which exit code they end."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import OmegaConf
from smallest import SMALLEST

from molweight.cli import run as cli
from molweight.cli.run import run_command
from molweight.config.composition import compose_config
from molweight.config.modality import find_modality
from molweight.config.options import sections
from molweight.run import main

ROOT = Path(__file__).resolve().parents[2]


def molweight(*arguments, cwd, **environment):
    """Run ``python -m molweight.run`` as a user does; its exit code, standard output and error."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-m", "molweight.run", *arguments],
        cwd=cwd,
        env=variables,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def table(path, rows, header="smiles,y"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return f"dataset={path}"


GOOD = [f"{'C' * n}O,{n / 10}" for n in range(1, 41)]


def wrong(name, folder):
    """Arguments of a wrong input, its exit code, and words that its sentence must hold."""
    rows = list(GOOD)
    if name == "unknown dataset":
        return ["dataset=tox22"], 2, ["unknown dataset 'tox22'", "'tox21'"]
    if name == "misspelt key":
        return ["learn.setps=3"], 2, ["unknown option 'learn.setps'", "'learn.steps'"]
    if name == "misspelt group":
        return ["bakbone=tiny"], 2, ["unknown option 'bakbone'", "'backbone'"]
    if name == "every smiles bad":
        return [table(folder / "d.csv", ["C1CC,1.0", "hello,2.0", "C(,3.0"])], 5, ["d.csv", "row"]
    if name == "all labels missing":
        return [table(folder / "d.csv", [f"{'C' * n}O," for n in range(1, 20)])], 5, ["label"]
    if name == "one-class target":
        return [table(folder / "d.csv", [f"{'C' * n}O,1" for n in range(1, 20)])], 5, ["'y'", "1"]
    if name == "text in a numeric column":
        rows[6] = "CCCCCCCO,high"
        return [table(folder / "d.csv", rows)], 5, ["'y'", "row 7", "'high'", "number"]
    if name == "empty file":
        (folder / "d.csv").write_text("")
        return [f"dataset={folder}/d.csv"], 5, ["d.csv", "empty"]
    if name == "missing file":
        return ["dataset=no/such.csv"], 5, ["such.csv"]
    if name == "seed for a seedless split":
        return ["split.seed=1"], 2, ["scaffold", "seed", "random_scaffold"]
    if name == "k too large":
        return ["corpus=task", "objectives=tapweight"], 2, ["clusters_1000", "fifth", "k="]
    if name == "missing checkpoint":
        return ["backbone.init=gone.safetensors"], 5, ["gone.safetensors", "backbone.init=random"]
    if name == "no weights named":
        return ["backbone=resnet18"], 2, ["backbone.init=random"]
    if name == "smiles on the command line":
        return ["CC(=O)O"], 2, ["could not be read", "SMILES"]
    raise KeyError(name)


NAMES = (
    "unknown dataset",
    "misspelt key",
    "misspelt group",
    "every smiles bad",
    "all labels missing",
    "one-class target",
    "text in a numeric column",
    "empty file",
    "missing file",
    "seed for a seedless split",
    "k too large",
    "missing checkpoint",
    "no weights named",
    "smiles on the command line",
)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_input_ends_with_one_sentence_and_its_exit_code(name, tmp_path, monkeypatch, capsys):
    arguments, code, words = wrong(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["molweight.run"])
    found = main([*arguments, "run_dir=run"])
    errors = capsys.readouterr().err
    sentence = next((line for line in errors.splitlines() if line.startswith("molweight: ")), "")
    assert found == code, errors
    assert all(word in sentence for word in words), sentence
    assert "Traceback" not in errors


def test_the_exit_code_reaches_the_shell(tmp_path):
    code, out, errors = molweight("dataset=tox22", cwd=tmp_path)
    assert (code, out) == (2, "") and errors.startswith("molweight: unknown dataset 'tox22'")
    assert len(errors.splitlines()) == 1


def test_a_bad_row_is_named_and_the_run_goes_on(tmp_path):
    rows = list(GOOD)
    rows[6] = "CCCC(CCO,0.7"
    code, out, errors = molweight(
        *SMALLEST, table(tmp_path / "my data.csv", rows), "run_dir=run", "split=random", cwd=tmp_path
    )
    assert code == 0, errors
    assert "40 rows (1 invalid" in errors
    assert "test RMSE" in out and "weights:" in out
    listed = (tmp_path / "run" / "excluded.csv").read_text().splitlines()
    assert listed[1].startswith("7,CCCC(CCO,invalid")
    assert "\r" not in errors, "no progress bar without a terminal"
    assert "Warning" not in errors


def test_a_run_is_composed_once_and_the_words_of_the_process_stay(tmp_path, monkeypatch):
    composed, words = [], ["molweight.run", "--else"]
    load = ConfigLoaderImpl.load_configuration
    monkeypatch.setattr(
        ConfigLoaderImpl, "load_configuration", lambda *a, **k: composed.append(1) or load(*a, **k)
    )
    monkeypatch.setattr(cli, "run_experiment", lambda run, **_: Path("here").touch())
    monkeypatch.setattr(cli, "closing_lines", str)
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.chdir(tmp_path)
    assert main(["run_dir=a", "hydra.run.dir=b", "hydra.job.chdir=true"]) == 0
    assert composed == [1] and sys.argv is words
    assert (tmp_path / "b" / "here").exists() and Path.cwd() == tmp_path


def test_a_wrong_value_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["learn.steps=0"]) == main(["run_dir=null"]) == main(["learn.stps=1"]) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--cfg", "hydra", "-p", "hydra.job"], "chdir: false"),
        (["--cfg", "job", "-p", "learn.unroll", "--resolve"], "every: 10"),
        (["--info", "searchpath"], "| main "),
        (["-sc", "install=bash"], "hydra_bash_completion()"),
        (["--hydra-help"], "Hydra "),
    ],
)
def test_hydras_questions_are_answered(words, line, capsys):
    assert main(words) == 0
    assert line in capsys.readouterr().out


def test_the_shell_completes_options_and_names(monkeypatch, capsys):
    monkeypatch.setenv("COMP_LINE", "molweight dataset=tox")
    assert main(["-sc", "query=bash"]) == 0
    assert capsys.readouterr().out.split() == ["dataset=tox21", "dataset=toxcast"]


@pytest.mark.parametrize(
    "words",
    [["--cfg", "job", "--info"], ["--resolve"], ["--cfg", "job", "seeed=1"], ["--cfg", "job", "-p", "lern"]],
)
def test_a_question_that_cannot_be_answered_gets_a_sentence(words, capsys):
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("molweight: ")


@pytest.mark.parametrize("modality", ["molecules", "text"])
def test_the_configuration_is_yaml_with_every_option_explained(modality, capsys):
    """Of ``--cfg job`` and ``--help``; docs/options.md has the same sentences."""
    command, tree = find_modality(modality), find_modality(modality).tree
    assert run_command(command, ["--cfg", "job", "seed=3"]) == 0
    shown = capsys.readouterr().out
    assert yaml.safe_load(shown) == OmegaConf.to_container(compose_config(["seed=3"], tree))
    assert max(map(len, shown.splitlines())) <= 130
    assert run_command(command, ["--help"]) == 0
    listed = capsys.readouterr().out
    for section in sections(command):
        for option in section.options:
            assert option.text and f"  {option.name}=" in listed
    pairs = itertools.pairwise(["", *shown.splitlines()])
    bare = [line.strip() for above, line in pairs if re.match(r" *[a-z_]+: ", line) and "# " not in above]
    assert [line for line in bare if not line.startswith(("name: ", "_target_: "))] == []


def test_a_part_of_the_configuration_is_shown_with_units_and_defaults(capsys):
    assert main(["--cfg", "job", "-p", "learn.batch_size", "learn.batch_size.weights=9"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "# Validation samples in a batch of level 3, >= 2. (whole number; default 128)",
        "weights: 9",
    ]


def test_help_and_configuration_are_shown(tmp_path):
    code, out, _ = molweight("--cfg", "job", "dataset=esol", cwd=tmp_path)
    assert code == 0 and "name: esol" in out
    code, out, _ = molweight("--help", cwd=tmp_path)
    assert code == 0 and "dataset" in out and "tox21" in out
    assert list(tmp_path.iterdir()) == []
