"""Runs of a leaderboard through the launchers of Hydra: joblib, and submitit on this machine and on Slurm."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from smallest import SMALLEST

from molweight.__main__ import main
from molweight.config.image_run import MODALITY
from molweight.errors import ConfigError
from molweight.jobs import launchers, launching
from molweight.jobs.launched import stopped_by
from molweight.jobs.launchers import Launcher, find_launcher, threads
from molweight.jobs.launching import launch
from molweight.leaderboard.plan import plan
from molweight.leaderboard.rows import read_rows
from molweight.utils.signals import Interrupted, interruptible, stop_if_asked

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
    assert said[0] == "2 runs handed to launcher=joblib; logs in board/launcher"
    assert any(line.startswith("good.csv scratch seed 0: valid ") for line in said)
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
        "1 run handed to launcher=submitit_local; logs in board/launcher",
    ]
    assert states(tmp_path / "board") == [("good.csv", "ok"), ("bad.csv", "ok")]
    assert read_rows(tmp_path / "board")[0] == good
    assert "launcher" not in good["command"] + good["options"], "how it was run is no option of the run"
    assert {path.name for path in tmp_path.iterdir()} == before | {"board"}


def test_slurm_gets_the_settings_and_its_refusal_is_one_sentence(tables, tmp_path, monkeypatch, capsys):
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    refusing = (
        f'#!/bin/sh\ncp "$1" {cluster}/submitted\necho "sbatch: error: invalid partition" >&2\nexit 1\n'
    )
    for name, script in {"srun": "#!/bin/sh\n", "sbatch": refusing}.items():
        (cluster / name).write_text(script)
        (cluster / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{cluster}:{os.environ['PATH']}")
    chosen = ("launcher=submitit_slurm", "hydra.launcher.partition=gpu", "hydra.launcher.timeout_min=600")
    assert main([*tables, "datasets=good.csv", *chosen]) == 2
    submitted = (cluster / "submitted").read_text()
    for setting in ("--partition=gpu", "--time=600", "--job-name=molweight"):
        assert setting in submitted
    said = capsys.readouterr().err.strip()
    assert said.startswith("molweight: launcher=submitit_slurm did not work (")
    assert "invalid partition" in said and said.endswith("log.txt") and "\n" not in said


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["launcher=joblb"], "unknown launcher 'joblb'. Did you mean 'joblib'? Known: basic, "),
        (["launcher=joblib", "jobs=2"], "jobs=2 and launcher=joblib both run in parallel"),
        (["hydra.launcher.n_jobs=2"], "hydra.launcher.n_jobs=2 has no effect without a launcher"),
        (["launcher=joblib", "hydra.launcher.n_job=2"], "option 'n_job'. Did you mean 'n_jobs'?"),
        (["launcher=joblib", "+hydra.launcher.partition=a"], "unknown hydra.launcher option 'partition'"),
        (["launcher=joblib", "hydra.launcher.n_jobs=all"], "n_jobs=all does not fit launcher=joblib: Value"),
        (["launcher=joblib", "hydra.launcher.n_jobs=1,2"], "n_jobs=1,2 does not fit launcher=joblib: Amb"),
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
    monkeypatch.setattr(launchers, "PLUGINS", (*launchers.PLUGINS, "ghost"))
    assert main(["leaderboard", "datasets=esol", *tokens]) == 2
    assert words in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_jobs_of_one_machine_share_its_cores(monkeypatch):
    monkeypatch.setattr(launchers, "cores", lambda: 8)

    def share(name, count, *options):
        return threads(find_launcher(name, options), count)

    assert share("joblib", 3) == 2 and share("joblib", 20) == 1
    assert share("joblib", 20, "hydra.launcher.n_jobs=2") == 4
    assert share("joblib", 20, "hydra.launcher.n_jobs=-5") == 2, "all cores but four"
    assert share("submitit_local", 4) == 2, "all at once"
    assert share("submitit_slurm", 20) is None and share("basic", 20) is None


PRETENDED = """
import json, pathlib, platform, subprocess, sys, time
folder = pathlib.Path(sys.argv[1])
def write(number, name, content):
    (folder / str(number)).mkdir(exist_ok=True)
    part = folder / str(number) / "part"
    part.write_text(json.dumps(content))
    part.rename(folder / str(number) / name)
def begin(number, host="elsewhere", process=1):
    write(number, "began.json", {"host": host, "process": process})
def end(number, code=0, error=None):
    write(number, "ended.json", {"exit_code": code, "error": error})
"""


@pytest.fixture
def pretended(monkeypatch, tmp_path):
    """``pretended(script, script, …)`` runs four runs by scripts, each in place of a launcher's process.

    Returns the rows and exit codes that were recorded by seed, and what was raised.
    """
    monkeypatch.setattr(launching, "POLL", 0.02)
    monkeypatch.setattr(launching, "GRACE", 0.5)

    def act(*scripts):
        left = list(scripts)

        def start(launcher, jobs):
            jobs.folder.mkdir(parents=True)
            command = [sys.executable, "-c", PRETENDED + left.pop(0), str(jobs.folder)]
            return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

        monkeypatch.setattr(launching, "_start", start)
        runs, recorded, raised = plan(MODALITY, ["esol"], ["equal"], [0, 1, 2, 3], out=tmp_path), {}, None
        chosen = Launcher(name="pretended", options=(), settings={})
        try:
            launch(
                runs,
                chosen,
                out=tmp_path,
                begin=lambda run: None,
                record=lambda run, outcome: recorded.update({run.seed: (outcome.error, outcome.exit_code)}),
            )
        except (ConfigError, Interrupted) as error:
            raised = error
        assert left == []
        return recorded, raised

    return act


def test_a_job_that_dies_costs_its_own_run(pretended):
    """One ends, one dies, one is under way and one waits when the launcher gives up; then the rest runs."""
    recorded, raised = pretended(
        """
begin(0); end(0); begin(1); begin(2)
if not __import__("os").fork():
    while not (folder / "stop").exists(): time.sleep(0.01)
    end(2)
""",
        "begin(0); end(0)",
    )
    assert raised is None and sorted(recorded) == [0, 1, 2, 3]
    assert "ended without a word" in recorded[1][0] and recorded[1][1] == 1
    assert [recorded[seed] for seed in (0, 2, 3)] == [(None, 0)] * 3


def test_a_job_that_somebody_else_stops_is_a_row_and_the_others_go_on(pretended):
    recorded, raised = pretended(
        """
for number in range(4): begin(number)
end(0, 143)
for number in (1, 2, 3): end(number)
"""
    )
    assert raised is None and recorded[0][1] == 143 and "stopped by a signal" in recorded[0][0]
    assert [recorded[seed] for seed in (1, 2, 3)] == [(None, 0)] * 3


def test_a_job_whose_process_is_killed_is_recorded_while_the_launcher_waits_for_others(pretended, tmp_path):
    """Its ``status.json`` no longer says that it runs."""
    run = tmp_path / "runs" / "esol" / "equal" / "1"
    run.mkdir(parents=True)
    (run / "status.json").write_text('{"state": "running", "config_hash": "a"}')
    recorded, raised = pretended(
        """
gone = subprocess.Popen(["true"]); gone.wait()
begin(0, platform.node()); begin(1, platform.node(), gone.pid); begin(2); begin(3)
while "running" in (folder.parents[1] / "runs/esol/equal/1/status.json").read_text(): time.sleep(0.01)
for number in (0, 2, 3): end(number)
"""
    )
    assert raised is None and "ended without a word" in recorded[1][0] and recorded[1][1] == 1
    assert [recorded[seed] for seed in (0, 2, 3)] == [(None, 0)] * 3
    status = json.loads((run / "status.json").read_text())
    assert status["state"] == "interrupted" and status["error"] == recorded[1][0]
    assert status["config_hash"] == "a"


def test_a_launcher_that_does_nothing_is_an_error(pretended):
    recorded, raised = pretended("print()")
    assert recorded == {} and "launcher=pretended did not work" in str(raised)


def test_a_signal_lets_the_jobs_save_and_keeps_what_is_done(pretended, tmp_path):
    def ask():
        while not list(tmp_path.glob("launcher/*/1/began.json")):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    recorded, raised = pretended(
        """
begin(0); end(0); begin(1); begin(2)
while not (folder / "stop").exists(): time.sleep(0.01)
end(1, 143); end(2)
time.sleep(60)
"""
    )
    thread.join(60)
    assert isinstance(raised, Interrupted) and raised.exit_code == 143
    assert recorded == {0: (None, 0), 2: (None, 0)}


def test_the_file_that_stops_a_job_lets_it_save(tmp_path):
    saved = []
    with pytest.raises(Interrupted), interruptible(), stopped_by(tmp_path / "stop"):
        (tmp_path / "stop").touch()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            stop_if_asked(lambda: saved.append(True))
            time.sleep(0.02)
    assert saved == [True]
