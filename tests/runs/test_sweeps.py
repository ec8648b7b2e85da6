"""``--multirun``: which jobs it has and where, what is left of them, and what it says in the end."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from reports import CONTENT
from smallest import SMALLEST

from molweight.cli.sweep import table
from molweight.config.image_run import MODALITY
from molweight.config.run_config import compose_run
from molweight.errors import DataError
from molweight.nlp.config import MODALITY as TEXT
from molweight.reporting.report import Report
from molweight.run import main
from molweight.runs.job import JobResult, attempt, crashed
from molweight.runs.sweep import LONGEST, asks_for_sweep, plan_sweep
from molweight.utils.signals import Interrupted

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    *SMALLEST,
    *("method=scratch", "finetune.epochs=1", "split=random"),
    *("dataset.smiles_column=smiles", "dataset.targets=[y]"),
)


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["molweight.run"])


def write_table(name, column):
    """A small table; jobs that look for another column fail."""
    molecules = ["C" * n + tail for n in range(1, 11) for tail in ("O", "N", "c1ccccc1", "C(=O)O")]
    Path(name).write_text("\n".join([f"smiles,{column}", *(f"{one},{len(one)}" for one in molecules)]) + "\n")


def planned(*arguments, modality=MODALITY):
    return plan_sweep(modality, ["--multirun", *arguments])


def folders(*arguments, modality=MODALITY):
    return [job.config.run_dir.as_posix() for job in planned(*arguments, modality=modality).jobs]


def state(folder):
    return json.loads((Path(folder) / "status.json").read_text())


def test_a_job_is_every_combination_in_a_folder_named_after_what_differs():
    sweep = planned("dataset=esol,bbbp", "learn.steps=3", "seed=0,1", "run_dir=sweeps/x")
    assert [job.name for job in sweep.jobs] == [
        f"dataset={d} seed={s}" for d in ("esol", "bbbp") for s in (0, 1)
    ]
    assert [job.config.run_dir.as_posix() for job in sweep.jobs] == [
        f"sweeps/x/dataset-{d}_seed-{s}" for d in ("esol", "bbbp") for s in (0, 1)
    ]
    assert {job.config.learn.steps for job in sweep.jobs} == {3}
    assert sweep.folder == Path("sweeps/x") and sweep.launcher is None
    assert folders("seed=3", "run_dir=x") == ["x/0"], "nothing differs"


def test_the_same_command_finds_its_folders_again():
    base = Path(folders("seed=0,1", "learn.steps=3")[0]).parent
    for same in (
        ("learn.steps=3", "seed=0,2"),
        ("seed=0,1", "learn.steps=3", "threads=1", "hydra/launcher=joblib"),
    ):
        assert Path(folders(*same)[0]) == base / "seed-0"
    for other in (("seed=0,1", "learn.steps=4"), ("split.seed=0,1", "split=random")):
        assert Path(folders(*other)[0]).parent != base


def test_hydras_own_ways_to_name_a_folder():
    assert folders("seed=4,5", "hydra.sweep.dir=multirun") == ["multirun/seed-4", "multirun/seed-5"]
    assert folders("seed=4,5", "run_dir=x", "hydra.sweep.subdir=${hydra.job.num}") == ["x/0", "x/1"]
    assert folders(
        "seed=4,5", "run_dir=${dataset.name}/x", "hydra.sweep.subdir=${hydra:job.num}-${seed}"
    ) == [
        "chembl2321810/x/0-4",
        "chembl2321810/x/1-5",
    ]
    assert len({Path(one).parent for one in folders("seed=1,2", "hydra.sweep.dir=x/${now:%f}")}) == 1


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("seed=range(0,3)", ["seed-0", "seed-1", "seed-2"]),
        ("learn.pretrain.lr=choice(1e-4,0.1)", ["learn.pretrain.lr-0.0001", "learn.pretrain.lr-0.1"]),
        ("dataset=my.csv,'other one.csv',esol", ["dataset-my.csv", "dataset-other-one.csv", "dataset-esol"]),
        ("method=tapweight:paper,single:jigsaw", ["method-tapweight-paper", "method-single-jigsaw"]),
        ("split=scaffold,deepchem:ButinaSplitter", ["split-scaffold", "split-deepchem-ButinaSplitter"]),
        ("dataset.targets=[a],[a,b]", ["dataset.targets-a", "dataset.targets-a-b"]),
        ("dataset=glob(fre*)", ["dataset-freesolv"]),
    ],
)
def test_values_are_listed_in_any_way_that_hydra_knows(word, names):
    jobs = planned(word, "run_dir=x").jobs
    assert [job.config.run_dir.name for job in jobs] == names
    again = compose_run(MODALITY, *jobs[-1].overrides)  # as another process does it, and its own command
    assert (again.hash, again.text) == (jobs[-1].config.hash, jobs[-1].config.text)


def test_a_quoted_file_is_that_file():
    path = planned("dataset='a one.csv','other one.csv'", "run_dir=x").jobs[1].config.samples.dataset.path
    assert str(path) == "other one.csv"


def test_text_is_swept_alike():
    names = folders("task=rte,mrpc", "backbone=minilm,roberta-base", "run_dir=x", modality=TEXT)
    assert names[:2] == ["x/task-rte_backbone-minilm", "x/task-rte_backbone-roberta-base"]
    job = planned("task=glob(mn*)", "run_dir=x", modality=TEXT).jobs[0]
    assert job.name == "task=mnli" and compose_run(TEXT, *job.overrides).hash == job.config.hash
    assert job.command == "python -m molweight.nlp.run task=mnli run_dir=x/task-mnli"


def test_a_long_name_is_cut_and_still_its_own():
    one, other = folders(f"dataset=a{'b' * 200}.csv,a{'b' * 201}.csv", "run_dir=x")
    assert one != other and max(len(Path(path).name) for path in (one, other)) <= LONGEST


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["seed=0,1", "learn.setps=3"],
            "molweight: unknown option 'learn.setps'. Did you mean 'learn.steps'?",
        ),
        (["seed=0,-1"], "molweight: seed=-1: seed must be between"),
        (
            ["dataset=esol,tox22", "seed=0,1"],
            "dataset=tox22 seed=0: unknown dataset 'tox22'. Did you mean 'tox21'?",
        ),
        (["seed=0,0"], "seed=0 and seed=0 would both be written to runs/sweep-"),
        (["seed=0,1", "seed=2"], "seed= is given twice"),
        (["learn.pretrain.lr=interval(0,1)"], "is a range without values to try"),
        (["dataset=glob(zz*)"], "lists no value"),
        (["dataset=my(1),b.csv"], "could not be read"),
        (["seed=0,1", "hydra/launcher=joblb"], "unknown launcher 'joblb'. Did you mean 'joblib'?"),
        (["seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_job=2"], "Did you mean 'n_jobs'?"),
        (["seed=0,1", "hydra.launcher.n_jobs=2"], "has no effect without a launcher"),
        (["seed=0,1", "hydra/sweeper=optuna"], "hydra/sweeper=optuna has no effect in a sweep"),
        (["seed=0,1", "run_dir=a", "hydra.sweep.dir=b"], "give one of them"),
        (["seed=0,1", "--cfg", "job"], "--multirun runs jobs, and --cfg has no part in that"),
    ],
)
def test_mistakes_are_told_before_the_first_job(words, said, tmp_path, capsys):
    assert main(["--multirun", *words]) == 2
    found = capsys.readouterr()
    assert said in found.err and len(found.err.splitlines()) == 1 and found.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_another_run_is_found_before_the_first_job(tmp_path, capsys):
    second = tmp_path / "x" / "seed-1"
    second.mkdir(parents=True)
    (second / "status.json").write_text('{"state": "ok", "config_hash": "another"}')
    assert main(["-m", "seed=0,1", "run_dir=x"]) == 2
    assert "seed-1 holds a run with other options" in capsys.readouterr().err
    assert not (tmp_path / "x" / "seed-0").exists()


def test_only_a_sweep_is_one():
    assert asks_for_sweep(["-m", "seed=0,1"]) and asks_for_sweep(["seed=0,1", "--multirun"])
    assert asks_for_sweep(["--multi", "seed=0"]) and asks_for_sweep(["hydra.mode=MULTIRUN"])
    assert not asks_for_sweep(["seed=0"]) and not asks_for_sweep(["--multirun", "--help"])


def test_a_real_sweep_names_the_job_that_failed_and_a_second_one_runs_only_that(tmp_path, capsys):
    write_table("good.csv", "y")
    write_table("bad.csv", "z")
    command = ["--multirun", "dataset=good.csv,bad.csv", "run_dir=x", *SMALL]
    assert main(command) == DataError.exit_code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "dataset=good.csv: begins in x/dataset-good.csv"
    assert re.fullmatch(r"dataset=good.csv: ok: test RMSE .* \[1 of 2, about \d+ s left\]", lines[1])
    last = lines.index("")
    assert [line.split()[:2] for line in lines[last + 2 : last + 4]] == [
        ["dataset=good.csv", "ok"],
        ["dataset=bad.csv", "failed"],
    ]
    assert lines[last + 2].endswith("x/dataset-good.csv") and "test RMSE" in lines[last + 2]
    assert lines[last + 4].startswith("      bad.csv has no column 'y'")
    assert lines[-1] == "2 jobs: 1 ok, 1 failed; the same command goes on with what is left"
    assert (state("x/dataset-good.csv")["state"], state("x/dataset-bad.csv")["state"]) == ("ok", "failed")
    assert "no column 'y'" in state("x/dataset-bad.csv")["error"]
    assert "traceback" not in state("x/dataset-bad.csv")
    report = json.loads((tmp_path / "x/dataset-good.csv/report.json").read_text())
    assert "--multirun" not in report["command"] and "dataset=good.csv" in report["command"]
    assert (tmp_path / "x/dataset-good.csv/report.html").exists()

    write_table("bad.csv", "y")
    before = state("x/dataset-good.csv")
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "dataset=good.csv: finished before, skipped\ndataset=bad.csv: begins in" in said
    assert re.search(r"dataset=bad.csv: ok: test RMSE .*, \d+ s \[1 of 1\]", said)
    assert said.splitlines()[-1] == "2 jobs: 1 skipped, 1 ok"
    assert state("x/dataset-good.csv") == before and state("x/dataset-bad.csv")["state"] == "ok"


def test_a_bug_costs_its_own_job_and_a_signal_ends_the_sweep(monkeypatch, capsys):
    began = []

    def stand_in(config, **more):
        began.append(config.seed)
        if config.seed == 1:
            raise Interrupted(signal.SIGTERM)
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("molweight.runs.experiment.run_experiment", stand_in)
    assert main(["-m", "seed=0,1,2", "run_dir=x"]) == 143 and began == [0, 1]
    said = capsys.readouterr().out
    assert "seed=0: failed: ZeroDivisionError: a bug" in said
    assert [line.split()[:2] for line in said.splitlines() if line.startswith("seed=2")] == [
        ["seed=2", "pending"]
    ]
    monkeypatch.setattr("molweight.runs.experiment.run_experiment", lambda config, **more: 1 / 0)
    assert main(["-m", "seed=0,1,2", "run_dir=x"]) == 1


def test_the_table_tells_a_job_that_was_killed_from_one_that_failed(monkeypatch):
    jobs = planned("seed=0,1,2", "run_dir=x").jobs
    report = Report.from_json(CONTENT | {"test": 1.0, "test_evaluations": 0, "seconds": 3.0})
    ends = [
        JobResult(state="skipped", report=report),
        crashed(jobs[1], "its process ended without a word"),
        JobResult(state="interrupted", error="its job was stopped by a signal", exit_code=143),
    ]
    lines = table(dict(zip(jobs, ends, strict=True)))
    assert lines[2:7] == [
        "seed=0  skipped      test RMSE 1.000, 3 s  x/seed-0",
        "seed=1  crashed                            x/seed-1",
        "      its process ended without a word",
        "seed=2  interrupted                        x/seed-2",
        "      its job was stopped by a signal",
    ]
    assert lines[-1].startswith("3 jobs: 1 skipped, 1 crashed, 1 interrupted; the same command")
    monkeypatch.setattr("molweight.runs.experiment.run_experiment", lambda config, **more: None)
    assert attempt(jobs[0]).state == "failed", "no report: it cannot be ok"


def started(*arguments):
    """``python -m molweight.run --multirun`` as a user starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "molweight.run", "--multirun", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(condition, seconds=600):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_killed_job_is_told_and_ctrl_c_lets_the_others_save_with_submitit():
    """Two jobs fail, one is killed, one is interrupted."""
    write_table("good.csv", "y")
    long = (*SMALL[:-1], "method=equal", "learn.checkpoint_every=1", "hydra/launcher=submitit_local")
    words = ("dataset=good.csv", "dataset.targets=[y],[q]", "seed=0,1", "run_dir=x", *long)
    killed, asked = Path("x/dataset.targets-y_seed-0"), Path("x/dataset.targets-y_seed-1")
    sweep = started(*words, "learn.steps=100000")
    try:
        wait_for(lambda: all((one / "checkpoint").exists() for one in (killed, asked)))
        assert state(killed)["host"] == platform.node()
        os.kill(state(killed)["pid"], signal.SIGKILL)
        wait_for(lambda: state(killed)["state"] != "running")
        os.killpg(sweep.pid, signal.SIGINT)  # as a terminal does; what the sweep has started saves, too
        out, _ = sweep.communicate(timeout=600)
    finally:
        sweep.kill()
    assert sweep.returncode == 130, out
    assert state(killed)["state"] == state(asked)["state"] == "interrupted"
    assert "ended without a word" in state(killed)["error"] and "error" not in state(asked)
    rows = {line.split()[1]: line.split()[2] for line in out.splitlines() if "  x/dataset.targets-y" in line}
    assert rows == {"seed=0": "crashed", "seed=1": "interrupted"}
    assert state("x/dataset.targets-q_seed-0")["state"] == "failed"
    assert "no column 'q'" in out and out.splitlines()[-1].startswith(
        "4 jobs: 1 crashed, 1 interrupted, 2 failed"
    )


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_launchers_run_what_is_left(launcher):
    write_table("good.csv", "y")
    write_table("bad.csv", "z")
    words = ("dataset=good.csv,bad.csv", "run_dir=x", *SMALL, f"hydra/launcher={launcher}")
    first = started(*words)
    out, _ = first.communicate(timeout=600)
    assert first.returncode == 5, out
    assert (state("x/dataset-good.csv")["state"], state("x/dataset-bad.csv")["state"]) == ("ok", "failed")
    assert out.splitlines()[-1].startswith("2 jobs: 1 ok, 1 failed")
    write_table("bad.csv", "y")
    second = started(*words)
    out, _ = second.communicate(timeout=600)
    assert second.returncode == 0 and "dataset=good.csv: finished before, skipped" in out, out
    assert out.splitlines()[-1] == "2 jobs: 1 skipped, 1 ok"
    assert state("x/dataset-bad.csv")["state"] == "ok"
