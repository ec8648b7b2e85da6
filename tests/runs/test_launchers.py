"""Runs of a leaderboard through the launchers: joblib, and submitit on this machine and on Slurm."""

from __future__ import annotations

import os
import sys

import pytest
from smallest import SMALLEST

from molweight.__main__ import main
from molweight.leaderboard.rows import read_rows
from molweight.run import main as run
from molweight.runs import launchers
from molweight.runs.launchers import find_launcher

MOLECULES = ["C" * n + tail for n in range(1, 11) for tail in ("O", "N", "c1ccccc1", "C(=O)O")]
SMALL = (
    *SMALLEST,
    "finetune.epochs=1",
    "split=random",
    "dataset.smiles_column=smiles",
    "dataset.targets=[y]",
)


def write_table(path, column):
    """A small table; without its column ``y`` the runs of it fail."""
    lines = [f"{smiles},{len(smiles)}" for smiles in MOLECULES]
    path.write_text("\n".join([f"smiles,{column}", *lines]) + "\n")


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """``good.csv`` and ``bad.csv`` in the working folder, and the words of a command that runs both."""
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "good.csv", "y")
    write_table(tmp_path / "bad.csv", "z")
    return ["leaderboard", "methods=scratch", "seeds=0", "out=board", "resamples=100", *SMALL]


def states(out):
    return [(row["dataset"], row["state"]) for row in read_rows(out)]


def test_joblib_runs_what_works_and_submitit_the_rest(tables, tmp_path, capsys):
    both = [*tables, "datasets=good.csv,bad.csv"]
    before, arguments = {path.name for path in tmp_path.iterdir()}, list(sys.argv)
    assert main([*both, "launcher=joblib", "hydra.launcher.n_jobs=2"]) == 5
    found = capsys.readouterr()
    said = found.out.splitlines()
    assert said[0] == "2 jobs handed to launcher=joblib"
    assert any(line.startswith("good.csv scratch seed 0: ok: test RMSE ") for line in said)
    assert any("bad.csv scratch seed 0: failed: " in line and "no column 'y'" in line for line in said)
    assert "HYDRA" not in found.out + found.err
    assert states(tmp_path / "board") == [("good.csv", "ok"), ("bad.csv", "failed")]
    assert {path.name for path in tmp_path.iterdir()} == before | {"board"}, "nothing is left elsewhere"
    assert list(sys.argv) == arguments
    good = read_rows(tmp_path / "board")[0]

    write_table(tmp_path / "bad.csv", "y")
    assert main([*both, "launcher=submitit_local"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "1 of 2 runs were finished before",
        "1 job handed to launcher=submitit_local; logs in board/launcher",
    ]
    assert states(tmp_path / "board") == [("good.csv", "ok"), ("bad.csv", "ok")]
    assert read_rows(tmp_path / "board")[0] == good
    assert "launcher" not in good["command"] + good["options"], "how it was run is no option of the run"
    assert {path.name for path in tmp_path.iterdir()} == before | {"board"}


SLURM = {
    "sbatch": """
cp "$1" {folder}/submitted
export SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_ARRAY_JOB_ID=7
for task in 0 1; do
    SLURM_JOB_ID=8$task SLURM_ARRAY_TASK_ID=$task setsid sh "$1" > /dev/null 2>&1 < /dev/null &
done
echo Submitted batch job 7""",
    "srun": """
out=/dev/null
while true; do case "$1" in
    --output) out=$(echo "$2" | sed "s/%A/7/g;s/%a/$SLURM_ARRAY_TASK_ID/g;s/%t/0/g"); shift 2;;
    --error) shift 2;;
    -*) shift;;
    *) break;;
esac; done
exec "$@" > "$out" 2>&1""",
    "sacct": "printf 'JobID|State|NodeList\\n7_0|RUNNING|here\\n7_1|RUNNING|here\\n'",
}
"""Stand-ins for the commands of a cluster; ``sbatch`` runs an array of two jobs here."""


@pytest.fixture
def slurm(tmp_path_factory, monkeypatch):
    """The stand-ins come first in the path; a test may replace one."""
    folder = tmp_path_factory.mktemp("slurm")
    for name, script in SLURM.items():
        (folder / name).write_text(f"#!/bin/sh\n{script.replace('{folder}', str(folder))}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_slurm_gets_the_settings_and_its_refusal_is_one_sentence(tables, slurm, capsys):
    refusal = 'echo "sbatch: error: invalid partition" >&2\nexit 1\n'
    (slurm / "sbatch").write_text(f'#!/bin/sh\ncp "$1" {slurm}/submitted\n{refusal}')
    chosen = ("launcher=submitit_slurm", "hydra.launcher.partition=gpu", "hydra.launcher.timeout_min=600")
    assert main([*tables, "datasets=good.csv", *chosen, "+hydra.launcher.additional_parameters.nice=5"]) == 2
    submitted = (slurm / "submitted").read_text()
    for setting in ("--partition=gpu", "--time=600", "--job-name=molweight", "--nice=5"):
        assert setting in submitted
    said = capsys.readouterr().err.strip()
    assert said.startswith("molweight: launcher=submitit_slurm did not work (")
    assert "invalid partition" in said and "\n" not in said


@pytest.mark.slow
def test_an_array_of_slurm_runs_what_works(tables, tmp_path, slurm, capsys):
    both = [*tables, "datasets=good.csv,bad.csv", "launcher=submitit_slurm"]
    assert main([*both, "hydra.launcher.array_parallelism=1"]) == 5
    assert "--array=0-1%1" in (slurm / "submitted").read_text()
    assert states(tmp_path / "board") == [("good.csv", "ok"), ("bad.csv", "failed")]
    assert "bad.csv scratch seed 0: begins in board/runs/bad.csv/scratch/0" in capsys.readouterr().out


def test_hydra_knows_the_launchers_of_a_single_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["molweight.run"])
    words = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu"]
    assert run([*words, "--cfg", "hydra", "--package", "hydra.launcher"]) == 0
    assert "partition: gpu" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["launcher=joblb"], "unknown launcher 'joblb'. Did you mean 'joblib'? Known: basic, "),
        (["launcher=joblib", "jobs=2"], "jobs=2 and launcher=joblib both run in parallel"),
        (["hydra.launcher.n_jobs=2"], "hydra.launcher.n_jobs=2 has no effect without a launcher"),
        (["launcher=joblib", "hydra.launcher.n_job=2"], "option 'n_job'. Did you mean 'n_jobs'?"),
        (["launcher=joblib", "+hydra.launcher.partition=a"], "unknown hydra.launcher option 'partition'"),
        (["launcher=joblib", "hydra.launcher.n_jobs=all"], "n_jobs=all does not fit launcher=joblib: Value"),
        (["launcher=joblib", "hydra.launcher.n_jobs=1,2"], "n_jobs=1,2 does not fit launcher=joblib: Val"),
        (["launcher=submitit_local", "hydra.launcher.tasks_per_node=2"], "tasks_per_node must be 1"),
        (["launcher=joblib", "launcher=basic"], "launcher= is given twice"),
        (["launcher="], "launcher needs a value"),
        (["luncher=joblib"], "Did you mean 'launcher'?"),
        (["hydra/launcher=joblib"], "choose with launcher="),
        (["launcher=joblib", "learn.setps=3"], "'learn.setps'"),
        (["launcher=ghost"], "launcher=ghost is not installed: pip install 'molweight[launchers]'"),
    ],
)
def test_mistakes_are_told_before_anything_runs(tmp_path, monkeypatch, capsys, tokens, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(launchers.SETTINGS, "ghost", launchers.SubmititSettings)
    if tokens == ["launcher=ghost"]:
        monkeypatch.setattr(launchers.importlib.util, "find_spec", lambda name: None)
    assert main(["leaderboard", "datasets=esol", *tokens]) == 2
    assert words in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_jobs_of_one_machine_share_its_cores(monkeypatch):
    monkeypatch.setattr(launchers, "cores", lambda: 8)

    def share(name, count, *options):
        return find_launcher(name, options, option="launcher=").threads(count)

    assert share("joblib", 3) == 2 and share("joblib", 20) == 1
    assert share("joblib", 20, "hydra.launcher.n_jobs=2") == 4
    assert share("joblib", 20, "hydra.launcher.n_jobs=-5") == 2, "all cores but four"
    assert share("submitit_local", 4) == 2, "all at once"
    assert share("submitit_slurm", 20) is None
