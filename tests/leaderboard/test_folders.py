"""Tables of runs that no leaderboard has planned: of a sweep, or of folders given by hand."""

from __future__ import annotations

import json

import pytest
from reports import CONTENT

from molweight.__main__ import main
from molweight.config.image_run import load_config
from molweight.errors import ConfigError, DataError
from molweight.leaderboard import leaderboard_tables
from molweight.leaderboard.rows import read_rows
from molweight.methods.run_directory import RunDirectory


def write_run(folder, *options, state="ok", **more):
    """A folder as a run leaves it, without its model and predictions."""
    config = load_config(f"run_dir={folder}", *options)
    directory = RunDirectory(folder)
    directory.open(config.text, config.hash)
    report = CONTENT | {
        "dataset": config.samples.dataset.name,
        "method": str(config.method),
        "seed": config.seed,
        "metric": "rmse",
        "valid": 0.8,
        "test": 1.0 + 0.01 * config.seed,
        "split": {"kind": "scaffold", "seed": None, "hash": "a" * 64, "sizes": {"train": 80, "test": 10}},
        "protocol": config.protocol,
        "config_hash": config.hash,
        "command": f"python -m molweight.run {' '.join(options)}",
    }
    (folder / "report.json").write_text(json.dumps(report | more))
    directory.status(state)


def rows_of(out):
    return [(row["method"], row["seed"], row["run"]) for row in read_rows(out)]


def test_a_sweep_has_a_table_in_its_folder_whose_methods_differ_in_what_was_swept(tmp_path, capsys):
    for steps in (50, 100):
        for seed in (0, 1):
            folder = tmp_path / f"learn.steps-{steps}_seed-{seed}"
            write_run(folder, "dataset=esol", "method=equal", f"learn.steps={steps}", f"seed={seed}")
    write_run(tmp_path / "x", "dataset=esol", "method=equal", "learn.steps=150", state="failed")
    assert main(["leaderboard", "--tables-only", str(tmp_path), "resamples=100"]) == 0
    assert "equal learn.steps=50" in capsys.readouterr().out
    assert rows_of(tmp_path) == [
        (f"equal learn.steps={steps}", seed, f"learn.steps-{steps}_seed-{seed}")
        for steps in (100, 50)
        for seed in (0, 1)
    ]
    page = (tmp_path / "leaderboard.md").read_text()
    assert "python -m molweight.run dataset=esol method=equal learn.steps=50 seed=1" in page
    assert main(["leaderboard", "--tables-only", f"out={tmp_path}", "resamples=100"]) == 0, "and again"
    assert (tmp_path / "leaderboard.md").read_text() == page


def test_folders_that_are_given_join_a_table(tmp_path):
    out = tmp_path / "tables"
    write_run(tmp_path / "a", "dataset=esol", "method=equal")
    write_run(tmp_path / "b", "dataset=esol", "method=tapweight", "seed=1", "split.seed=3")
    leaderboard_tables(out, runs=[tmp_path / "a"], resamples=100)
    board = leaderboard_tables(out, runs=[tmp_path / "b", tmp_path / "a"], resamples=100)
    assert rows_of(out) == [("tapweight", 1, "../b"), ("equal", 0, "../a")]
    assert board.summary["reference"] == "tapweight" and board.rows[0]["test"] == 1.01


def test_a_split_that_follows_the_seed_makes_no_methods(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / str(seed), "dataset=esol", "method=equal", f"seed={seed}", f"split.seed={seed}")
    leaderboard_tables(tmp_path, runs=[tmp_path], resamples=100)
    assert [method for method, _, _ in rows_of(tmp_path)] == ["equal", "equal"]


def test_the_same_run_twice_and_folders_without_a_run_are_refused(tmp_path, capsys):
    for name in ("a", "b"):
        write_run(tmp_path / "runs" / name, "dataset=esol", "method=equal")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"a and \S*b are both esol equal seed 0"):
        leaderboard_tables(tmp_path / "out", runs=[tmp_path / "runs"], resamples=100)
    with pytest.raises(ConfigError, match="holds no finished run"):
        leaderboard_tables(tmp_path / "out", runs=[tmp_path / "empty"], resamples=100)
    (tmp_path / "runs" / "b" / "report.json").write_text("{}")
    with pytest.raises(DataError, match="dataset is missing"):
        leaderboard_tables(tmp_path / "out", runs=[tmp_path / "runs" / "b"], resamples=100)
    for folders in (["runs/a", "runs/b"], ["runs/a"]):
        words = [str(tmp_path / folder) for folder in folders]
        assert main(["leaderboard", "--tables-only", *words]) == 2
        assert "need a place of their own: give out=" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
