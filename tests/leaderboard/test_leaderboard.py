"""The leaderboard: which runs are made, kept, refused and retried, and what the tables say."""

from __future__ import annotations

import csv
import itertools
import json
import os
import shlex
import shutil
import signal

import numpy as np
import pandas as pd
import pytest
from reports import CONTENT
from smallest import SMALLEST

from molweight.__main__ import main
from molweight.cli.leaderboard import parse_seeds, shown
from molweight.config.image_run import MODALITY, load_config
from molweight.errors import ConfigError, DataError, DivergedError
from molweight.leaderboard import leaderboard, leaderboard_tables
from molweight.leaderboard.plan import folder_name, plan
from molweight.leaderboard.rows import COLUMNS, finished_row, read_rows
from molweight.methods.run_directory import RunDirectory
from molweight.reporting.plots import learned_figure, plot_learned, plot_ranks
from molweight.utils.signals import Interrupted, stop_if_asked

SMALL = (*SMALLEST, "finetune.epochs=1", "learn.steps=2")
DATASETS = ("esol", "bbbp")


class Made:
    """A stand-in for ``run_experiment`` that writes what a run leaves behind, at once.

    Args:
        change: ``change(config, report)`` may alter the report, raise, or send a signal.
    """

    def __init__(self, change=None):
        self.change, self.made = change, []

    def __call__(self, config, *, command, progress, page):
        assert not page, "seconds for each of hundreds of runs"
        directory = RunDirectory(config.run_dir)
        directory.open(config.text, config.hash)
        report = self.report(config, command)
        try:
            if self.change is not None:
                self.change(config, report)
        except Interrupted:
            directory.status("interrupted")
            raise
        except Exception as error:
            directory.status("failed", error=str(error))
            raise
        self.made.append((config.samples.dataset.name, str(config.method), config.seed))
        self.predictions(config, report)
        (config.run_dir / "report.json").write_text(json.dumps(report))
        directory.status("ok")

    def report(self, config, command):
        classes = config.samples.dataset.task_type == "classification"
        better = 0.02 * (str(config.method) == "tapweight")
        return CONTENT | {
            "dataset": config.samples.dataset.name,
            "task_type": config.samples.dataset.task_type,
            "method": str(config.method),
            "seed": config.seed,
            "config_hash": config.hash,
            "score": None,
            "metric": "roc_auc" if classes else "rmse",
            "valid": 0.81,
            "test": (0.8 + better if classes else 1.0 - better) + 0.001 * config.seed,
            "split": {"kind": "scaffold", "seed": None, "hash": "a" * 64, "sizes": {"train": 80, "test": 10}},
            "protocol": config.protocol,
            "test_evaluations": 1,
            "seconds": 12.0,
            "images": 1000,
            "data_sha256": "b" * 64,
            "weights": {"jigsaw": 0.6 + 0.01 * config.seed, "contrast": 0.4 - 0.01 * config.seed}
            if str(config.method) == "tapweight"
            else {},
            "versions": {"molweight": "0.1.0"},
            "command": command,
        }

    def predictions(self, config, report):
        generator = np.random.default_rng(config.seed)
        truth = np.arange(30) % 2.0
        frame = pd.DataFrame({"row": range(1, 31), "smiles": "C", "part": ["valid"] * 10 + ["test"] * 20})
        frame["y"], frame["y_true"] = truth + generator.normal(size=30), truth
        frame.to_csv(config.run_dir / "predictions.csv", index=False)


@pytest.fixture
def made(monkeypatch):
    """Runs that take no time; the fixture's ``change`` decides what happens in them."""
    stand_in = Made()
    monkeypatch.setattr("molweight.runs.experiment.run_experiment", stand_in)
    return stand_in


def by_method(board):
    """Entries of the first data set."""
    return {entry["method"]: entry for entry in board.summary["datasets"][0]["methods"]}


def only(value):
    """A change for runs of one method."""

    def wrap(change):
        return lambda config, report: change(config, report) if str(config.method) == value else None

    return wrap


def table(out):
    with (out / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_combination_is_a_row_in_order(made, tmp_path):
    board = leaderboard(DATASETS, seeds=[0, 1], out=tmp_path, resamples=100)
    expected = [(d, m, s) for d in DATASETS for m in ("equal", "tapweight") for s in (0, 1)]
    assert made.made == expected and board.exit_code == 0
    rows = table(tmp_path)
    assert tuple(rows[0]) == COLUMNS
    assert [(r["dataset"], r["method"], int(r["seed"])) for r in rows] == expected
    first = rows[2]
    assert first["state"] == "ok" and first["metric"] == "rmse" and float(first["test"]) == 0.98
    assert first["run"] == "runs/esol/tapweight/0" and (tmp_path / first["run"] / "report.json").exists()
    assert json.loads(first["weights"])["jigsaw"] == 0.6 and first["n_train"] == "80"
    assert "dataset=esol" in first["command"] and "seed=0" in first["command"]
    assert board.rows == read_rows(tmp_path)


def test_what_is_finished_is_kept_and_more_can_be_added(made, tmp_path):
    leaderboard(["esol"], seeds=[0], out=tmp_path, resamples=100)
    said = []
    leaderboard(["esol"], seeds=[0, 1], out=tmp_path, resamples=100, announce=said.append)
    assert made.made[2:] == [("esol", "equal", 1), ("esol", "tapweight", 1)]
    assert said[0] == "2 of 4 runs were finished before"
    assert said[1].startswith("esol equal seed 1: begins in ")
    assert (
        said[2] == "esol equal seed 1: ok: test RMSE 1.001 (validation 0.810), 12 s [1 of 2, about 0 s left]"
    )
    assert said[4] == "esol tapweight seed 1: ok: test RMSE 0.981 (validation 0.810), 12 s [2 of 2]"
    leaderboard(["bbbp"], methods=["equal"], seeds=[0], out=tmp_path, resamples=100)
    assert [r["dataset"] for r in table(tmp_path)] == ["esol"] * 4 + ["bbbp"], "earlier rows stay"


def test_a_failing_run_is_a_row_and_is_tried_again(made, tmp_path, capsys):
    @only("tapweight")
    def change(config, report):
        if config.seed == 1:
            raise DivergedError("the loss is nan;\nlower the rate")

    made.change = change
    tokens = ["leaderboard", "datasets=esol", "seeds=1-2", f"out={tmp_path}", "resamples=100"]
    assert main(tokens) == 4
    out = capsys.readouterr().out
    assert "esol tapweight seed 1: failed: the loss is nan;\\nlower the rate" in out
    assert "esol tapweight seed 2: ok: test RMSE" in out, "the others go on"
    row = table(tmp_path)[2]
    assert row["state"] == "failed" and row["test"] == "" and "lower the rate" in row["error"]
    page = (tmp_path / "leaderboard.md").read_text()
    assert "## Failed runs" in page and "| esol | tapweight | 1 | the loss is nan" in page
    made.change, before = None, len(made.made)
    assert main(tokens) == 0
    assert made.made[before:] == [("esol", "tapweight", 1)]
    assert "Failed runs" not in (tmp_path / "leaderboard.md").read_text()


def test_a_bug_in_one_method_ends_with_1_and_the_highest_code_counts(made, tmp_path):
    def change(config, report):
        if config.seed == 0:
            raise ZeroDivisionError("division by zero")
        if config.seed == 1:
            raise DataError("no such file")

    made.change = change
    board = leaderboard(["esol"], methods=["equal"], seeds=[0, 1, 2], out=tmp_path, resamples=100)
    assert board.exit_code == 5
    assert [row["error"] for row in board.rows] == [
        "ZeroDivisionError: division by zero",
        "no such file",
        None,
    ]


def test_nothing_but_failures_is_still_a_page(made, tmp_path):
    def change(config, report):
        raise DataError("no such file")

    made.change = change
    board = leaderboard(["esol"], seeds=[0], out=tmp_path, resamples=100)
    assert board.exit_code == 5 and "no such file" in board.markdown.read_text()
    assert "2 runs failed" in shown(board)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_everything_and_keeps_what_is_done(made, tmp_path, capsys, number, code):
    def change(config, report):
        if config.seed == 1:
            os.kill(os.getpid(), number)
            stop_if_asked()

    made.change = change
    tokens = ["leaderboard", "datasets=esol", "methods=equal", "seeds=0-2", f"out={tmp_path}"]
    assert main(tokens) == code
    assert "the same command continues" in capsys.readouterr().err
    assert [row["seed"] for row in table(tmp_path)] == ["0"]
    made.change = None
    assert main([*tokens, "resamples=100"]) == 0
    assert [seed for _, _, seed in made.made] == [0, 1, 2]


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ([], "datasets=esol,bbbp"),
        (["datasets=esl"], "unknown dataset 'esl'. Did you mean 'esol'?"),
        (["datasets=esol", "methods=equl"], "unknown method 'equl'"),
        (["datasets=esol", "learn.setps=3"], "'learn.setps'"),
        (["datasets=esol", "seeds=2-0"], "0,1,2 or 0-4, got '2-0'"),
        (["datasets=esol", "seeds=a"], "got 'a'"),
        (["datasets=esol", "seeds=1,1"], "names 1 twice"),
        (["datasets=esol", "seeds=,"], "seeds is empty"),
        (["datasets=esol", "seed=1"], "choose with seeds="),
        (["datasets=esol", "run_dir=x"], "choose with out="),
        (["datasets=esol", "job=2"], "Did you mean 'jobs'?"),
        (["datasets=esol", "jobs=0"], "jobs must be at least 1"),
        (["datasets=esol", "jobs=two"], "whole number, got 'two'"),
        (["datasets=esol", "resamples=9"], "at least 100"),
        (["datasets=esol", "datasets=bbbp"], "given twice"),
        (["datasets=esol", "out="], "out needs a value"),
        (["datasets=esol", "seeds=0", "reference=equl"], "unknown reference 'equl'. Did you mean 'equal'?"),
        (["datasets=a/b.csv,a-b.csv", "methods=equal", "seeds=0"], "would both be written to"),
        (["datasets=..."], "cannot name"),
        (["--tables-only"], "holds no runs"),
        (["--tables-only", "learn.steps=3"], "learn.steps=3 has no effect"),
    ],
)
def test_mistakes_are_told_before_anything_runs(made, tmp_path, monkeypatch, capsys, tokens, words):
    monkeypatch.chdir(tmp_path)
    assert main(["leaderboard", *tokens]) == 2
    assert words in capsys.readouterr().err
    assert made.made == [] and list(tmp_path.iterdir()) == []


def test_a_folder_of_other_options_is_refused(made, tmp_path, capsys):
    leaderboard(["esol"], seeds=[0], out=tmp_path, resamples=100)
    before = len(made.made)
    tokens = ["leaderboard", "datasets=bbbp,esol", "seeds=0", f"out={tmp_path}", "learn.steps=40"]
    assert main(tokens) == 2
    said = capsys.readouterr().err
    assert "runs/esol/equal/0 holds a run with other options (learn.steps=100 instead of 40)" in said
    assert "choose another out=" in said and len(made.made) == before


def test_foreign_and_damaged_folders_are_refused(made, tmp_path):
    folder = tmp_path / "runs" / "esol" / "equal" / "0"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds no run"):
        leaderboard(["esol"], methods=["equal"], seeds=[0], out=tmp_path)
    (folder / "status.json").write_text("{")
    with pytest.raises(DataError, match=r"status\.json cannot be read"):
        leaderboard(["esol"], methods=["equal"], seeds=[0], out=tmp_path)
    (folder / "status.json").write_text(
        json.dumps(
            {
                "state": "ok",
                "config_hash": plan(MODALITY, ["esol"], ["equal"], [0], out=tmp_path)[0].config.hash,
            }
        )
    )
    with pytest.raises(ConfigError, match=r"without its report\.json"):
        leaderboard(["esol"], methods=["equal"], seeds=[0], out=tmp_path)
    assert made.made == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("metric", "mae"),
        ("score", "mean of normalised RMSE"),
        ("protocol", "strict"),
        ("data_sha256", "c" * 64),
        ("split", {"kind": "scaffold", "seed": None, "hash": "d", "sizes": {"train": 80, "test": 10}}),
    ],
)
def test_runs_that_were_judged_differently_are_not_ranked_together(made, tmp_path, column, value):
    @only("tapweight")
    def change(config, report):
        place = report["split"] if column == "split_hash" else report
        place["hash" if column == "split_hash" else column] = value

    made.change = change
    with pytest.raises(ConfigError, match="cannot be ranked together") as caught:
        leaderboard(["esol"], seeds=[0], out=tmp_path, resamples=100)
    words = str(caught.value)
    assert "runs/esol/equal/0 and runs/esol/tapweight/0" in words and f"their {column}" in words
    assert not (tmp_path / "leaderboard.md").exists() and len(table(tmp_path)) == 2
    with pytest.raises(ConfigError, match="cannot be ranked together"):
        leaderboard(["esol"], methods=["equal"], seeds=[1], out=tmp_path)
    assert len(made.made) == 2, "the next call refuses before it runs"


def test_a_table_of_an_earlier_version_goes_on_and_does_not_know_of_normalised_scores(made, tmp_path):
    leaderboard(["esol"], methods=["equal"], seeds=[0], out=tmp_path, resamples=100)
    frame = pd.read_csv(tmp_path / "leaderboard.csv").drop(columns="score")
    frame.to_csv(tmp_path / "leaderboard.csv", index=False)
    shutil.rmtree(tmp_path / "runs")
    board = leaderboard(["esol"], methods=["equal", "tapweight"], seeds=[0], out=tmp_path, resamples=100)
    assert board.summary["datasets"][0]["label"] == "RMSE" and len(made.made) == 2
    made.change = lambda config, report: report.update(score="mean of normalised RMSE")
    with pytest.raises(ConfigError, match=r"their score differs \(RMSE and mean of normalised RMSE\)"):
        leaderboard(["esol"], methods=["direct"], seeds=[0], out=tmp_path, resamples=100)


def test_intervals_of_normalised_scores_are_of_what_the_report_scores(made, tmp_path):
    """Two targets whose errors differ by a factor of 1,000 and whose normalised errors are alike."""

    def change(config, report):
        report |= {"score": "mean of normalised RMSE", "scale_per_task": {"y": 1.0, "z": 1e3}}

    def predictions(config, report):
        Made.predictions(made, config, report)
        frame = pd.read_csv(config.run_dir / "predictions.csv")
        frame["z"], frame["z_true"] = 1e3 * frame["y"], 1e3 * frame["y_true"]
        frame.to_csv(config.run_dir / "predictions.csv", index=False)

    made.change, made.predictions = change, predictions
    board = leaderboard(["esol"], methods=["equal"], seeds=[0], out=tmp_path, resamples=100)
    (low, high), label = by_method(board)["equal"]["interval"], board.summary["datasets"][0]["label"]
    assert 0.2 < low < high < 2 and label == "mean of normalised RMSE"
    shutil.rmtree(tmp_path / "runs")
    again = leaderboard_tables(tmp_path, resamples=100)
    assert by_method(again)["equal"]["interval"] == (low, high), "the kept predictions are in the same scale"
    assert "mean of normalised RMSE, lower is better" in board.markdown.read_text()


def test_a_protocol_that_does_not_fit_is_refused_before_it_runs(made, tmp_path):
    leaderboard(["esol"], methods=["equal"], seeds=[0], out=tmp_path, resamples=100)
    for option, what in (("protocol=strict", "protocol"), ("split=random", "split")):
        with pytest.raises(ConfigError, match=f"their {what} differs"):
            leaderboard(["esol"], methods=["tapweight"], seeds=[0], options=[option], out=tmp_path)
    assert len(made.made) == 1


def test_weights_that_are_given_agree_about_nothing(made, tmp_path):
    made.change = lambda config, report: report.update(weights={"jigsaw": 0.7, "contrast": 0.3})
    assert leaderboard(["esol"], seeds=[0, 1], out=tmp_path, resamples=100).summary["agreement"] == []


def test_seeds_may_have_their_own_splits_if_methods_share_them(made, tmp_path):
    def change(config, report):
        report["split"] |= {"seed": config.seed, "hash": f"{config.seed}" * 64}

    made.change = change
    board = leaderboard(["esol"], seeds=[0, 1], out=tmp_path, resamples=100)
    dataset = board.summary["datasets"][0]
    assert dataset["test"] == "corrected_t" and len(dataset["split_hashes"]) == 2
    assert "Nadeau and Bengio" in board.markdown.read_text()


def test_a_seed_that_changes_a_fixed_split_is_refused(made, tmp_path):
    made.change = lambda config, report: report["split"].update(hash=f"{config.seed}" * 64)
    with pytest.raises(ConfigError, match="split_hash differs"):
        leaderboard(["esol"], methods=["equal"], seeds=[0, 1], out=tmp_path)


def test_the_page_and_the_json_say_the_same(made, tmp_path):
    board = leaderboard(DATASETS, seeds=range(5), out=tmp_path, resamples=100)
    page, summary = board.markdown.read_text(), json.loads((tmp_path / "leaderboard.json").read_text())
    esol = summary["datasets"][0]
    assert [one["method"] for one in esol["methods"]] == ["tapweight", "equal"], "best first; lower is better"
    best, other = esol["methods"]
    assert best["best"] and best["test"]["mean"] == pytest.approx(0.982) and best["test"]["n"] == 5
    assert best["test"]["sd"] == pytest.approx(np.std([0, 1, 2, 3, 4], ddof=1) / 1000)
    assert best["interval"][0] < best["interval"][1] and other["difference"] == pytest.approx(0.02)
    assert other["p"] == pytest.approx(0.0625) and best["p"] is None
    assert other["difference_interval"] == [0, 0], "the stand-in predicts the same for both methods"
    assert "| **tapweight** | 5 | **0.982 ± 0.002** |" in page
    assert "With 5 seeds it cannot go below 0.0625." in page
    assert summary["comparison"][0]["pairs"] == 10 and summary["comparison"][0]["better"] == 10
    assert summary["comparison"][0]["p"] < 0.01 and "10 of 10 pairs" in page
    assert [one["rank"] for one in summary["ranks"]["methods"]] == [1.0, 2.0]
    assert "![Average ranks" in page and (tmp_path / "ranks.png").read_bytes().startswith(b"\x89PNG")
    overview = page[page.index("## Overview") : page.index("## esol")].splitlines()
    assert overview[2] == "| method | esol RMSE\N{NO-BREAK SPACE}↓ | bbbp ROC-AUC\N{NO-BREAK SPACE}↑ |"
    assert overview[4].startswith("| tapweight | **0.982 ± 0.002** | **")
    assert overview[5].startswith("| equal | 1.002")
    learned = summary["learned"]
    assert learned["method"] == "tapweight"
    assert [one["seeds"] for one in learned["datasets"]] == [[0, 1, 2, 3, 4]] * 2
    assert "![Weights that tapweight learned](weights.png)" in page and (tmp_path / "weights.png").exists()
    assert [one["dataset"] for one in summary["agreement"]] == list(DATASETS)
    assert summary["agreement"][0]["cosine"] == pytest.approx(1.0)
    assert (
        "python -m molweight leaderboard datasets=esol,bbbp methods=equal,tapweight seeds=0,1,2,3,4" in page
    )
    assert "tapweight" in shown(board) and str(board.page) in shown(board)


def test_tables_again_without_running(made, tmp_path, capsys):
    leaderboard(DATASETS, seeds=[0], out=tmp_path, resamples=100)
    first = (tmp_path / "leaderboard.md").read_text()
    (tmp_path / "leaderboard.md").unlink()
    made.made.clear()
    assert main(["leaderboard", "--tables-only", f"out={tmp_path}", "resamples=100"]) == 0
    assert (tmp_path / "leaderboard.md").read_text() == first and made.made == []
    assert main(["leaderboard", "--tables-only", f"out={tmp_path}", "resamples=100", "reference=equal"]) == 0
    assert "vs equal" in (tmp_path / "leaderboard.md").read_text()


def test_one_data_set_has_no_ranks_and_no_old_picture(made, tmp_path):
    for name in ("ranks.png", "weights.png"):
        (tmp_path / name).write_bytes(b"old")
    board = leaderboard(["esol"], methods=["equal"], seeds=[0], out=tmp_path, resamples=100)
    page = board.markdown.read_text()
    assert "Average ranks need at least two methods" in page and not (tmp_path / "ranks.png").exists()
    assert board.summary["learned"] is None and not (tmp_path / "weights.png").exists()
    assert "## Overview" not in page
    assert board.summary["reference"] is None and "No method is compared" in page


def test_only_data_sets_with_every_method_are_ranked(made, tmp_path):
    leaderboard(DATASETS, seeds=[0], out=tmp_path, resamples=100)
    board = leaderboard(["lipo"], methods=["equal"], seeds=[0], out=tmp_path, resamples=100)
    assert board.summary["ranks"]["datasets"] == list(DATASETS) and board.summary["ranks"]["of"] == 3
    assert "over the 2 of 3 data sets" in board.markdown.read_text()


def test_methods_with_other_seeds_are_pointed_out(made, tmp_path):
    board = leaderboard(DATASETS, seeds=[0, 1], out=tmp_path, resamples=100)
    assert "same seeds" not in board.markdown.read_text()
    board = leaderboard(["esol"], methods=["equal"], seeds=[2], out=tmp_path, resamples=100)
    assert "**Not all methods have the same seeds on esol**" in board.markdown.read_text()


def test_a_table_is_continued_without_the_folders_of_its_runs(made, tmp_path):
    first = leaderboard(["esol"], seeds=[0, 1], out=tmp_path, resamples=100)
    shutil.rmtree(tmp_path / "runs")
    more = leaderboard(["esol"], seeds=[0, 1, 2], out=tmp_path, resamples=100)
    assert [seed for _, _, seed in made.made] == [0, 1, 0, 1, 2, 2]
    assert [row for row in more.rows if row["seed"] < 2] == first.rows
    shutil.rmtree(tmp_path / "runs")
    leaderboard(["esol"], seeds=[0], options=["learn.steps=3"], out=tmp_path, resamples=100)
    assert made.made[6:] == [("esol", "equal", 0), ("esol", "tapweight", 0)]


def test_a_table_without_the_folders_of_its_runs_has_the_same_intervals(made, tmp_path):
    first = leaderboard(DATASETS, seeds=[0, 1], out=tmp_path, resamples=100)
    files = ("leaderboard.json", "leaderboard.md", "predictions.npz")
    before = [(tmp_path / name).read_bytes() for name in files]
    shutil.rmtree(tmp_path / "runs")
    leaderboard_tables(tmp_path, resamples=100)
    assert [(tmp_path / name).read_bytes() for name in files] == before
    assert "[" in first.markdown.read_text() and "CI is of fewer seeds" not in first.markdown.read_text()
    leaderboard(["esol"], methods=["equal"], seeds=[2], out=tmp_path, resamples=100)
    entries = by_method(leaderboard_tables(tmp_path, resamples=100))
    assert entries["equal"]["interval_seeds"] == [0, 1, 2] and entries["tapweight"]["interval_seeds"] == [
        0,
        1,
    ]


def test_predictions_of_another_configuration_are_not_taken(made, tmp_path):
    leaderboard(["esol"], seeds=[0], out=tmp_path, resamples=100)
    earlier = (tmp_path / "predictions.npz").read_bytes()
    shutil.rmtree(tmp_path / "runs")
    options = ["learn.steps=3"]
    leaderboard(["esol"], methods=["equal"], seeds=[0], options=options, out=tmp_path, resamples=100)
    (tmp_path / "runs" / "esol" / "equal" / "0" / "predictions.csv").unlink()
    (tmp_path / "predictions.npz").write_bytes(earlier)
    entries = by_method(leaderboard_tables(tmp_path, resamples=100))
    assert [entries[name]["interval_seeds"] for name in ("equal", "tapweight")] == [[], [0]]


def test_lost_predictions_cost_the_interval_only(made, tmp_path):
    leaderboard(["esol"], seeds=[0, 1], out=tmp_path, resamples=100)
    (tmp_path / "predictions.npz").unlink()
    for seed in (0, 1):
        (tmp_path / "runs" / "esol" / "equal" / str(seed) / "predictions.csv").unlink()
    board = leaderboard_tables(tmp_path, resamples=100)
    methods = by_method(board)
    assert methods["equal"]["interval"] is None and methods["tapweight"]["interval"] is not None
    assert methods["equal"]["difference"] is not None and methods["equal"]["difference_interval"] is None
    assert "**CI is of fewer seeds than the mean**" in board.markdown.read_text()


def test_the_interval_of_the_seeds_whose_predictions_are_known(made, tmp_path):
    leaderboard(["esol"], seeds=[0, 1], out=tmp_path, resamples=100)
    (tmp_path / "predictions.npz").unlink()
    shutil.rmtree(tmp_path / "runs" / "esol" / "equal" / "1")
    board = leaderboard_tables(tmp_path, resamples=100)
    alone = leaderboard(["esol"], seeds=[0], out=tmp_path / "alone", resamples=100)
    assert by_method(board)["equal"]["interval"] == by_method(alone)["equal"]["interval"]
    assert by_method(board)["equal"]["test"]["n"] == 2
    assert "need not lie in its middle. equal: 0." in board.markdown.read_text()


def test_seeds_of_intervals_are_listed_briefly(made, tmp_path):
    methods = ["equal", "tapweight", "direct"]
    leaderboard(["esol"], methods=methods, seeds=[0, 1], out=tmp_path, resamples=100)
    shutil.rmtree(tmp_path / "runs")
    (tmp_path / "predictions.npz").unlink()
    board = leaderboard(["esol"], methods=methods, seeds=[2], out=tmp_path, resamples=100)
    assert "in its middle. every method: 2." in board.markdown.read_text()
    (tmp_path / "predictions.npz").unlink()
    shutil.rmtree(tmp_path / "runs" / "esol" / "direct")
    board = leaderboard_tables(tmp_path, resamples=100)
    assert "in its middle. direct: none; all others: 2." in board.markdown.read_text()


def test_kept_predictions_that_cannot_be_read_are_named(made, tmp_path):
    leaderboard(["esol"], seeds=[0], out=tmp_path, resamples=100)
    kept = tmp_path / "predictions.npz"
    kept.write_bytes(kept.read_bytes()[:200])
    with pytest.raises(DataError, match=r"predictions\.npz cannot be read .*delete it"):
        leaderboard_tables(tmp_path, resamples=100)


def test_a_score_that_does_not_exist_is_not_counted(made, tmp_path):
    made.change = lambda config, report: report.update(test=None) if config.seed == 1 else None
    board = leaderboard(["bbbp"], seeds=[0, 1], out=tmp_path, resamples=100)
    assert [one["test"]["n"] for one in board.summary["datasets"][0]["methods"]] == [1, 1]
    assert "not defined, and not counted, in: runs/bbbp/equal/1" in board.markdown.read_text()


def test_a_report_of_a_run_without_pretraining_is_enough(made, tmp_path):
    made.change = lambda config, report: report.update(images=0, weights={}, versions={}, seconds=0.0)
    board = leaderboard(["esol"], seeds=[0, 1], out=tmp_path, resamples=100)
    assert "| – |" in board.markdown.read_text() and board.summary["agreement"] == []


def test_names_become_folders():
    assert folder_name("single:clusters_100") == "single-clusters_100"
    assert folder_name("../data/my file.csv") == "data-my-file.csv"
    assert parse_seeds("0-2, 7") == [0, 1, 2, 7]


def test_files_are_data_sets_and_options_are_quoted(tmp_path):
    runs = plan(
        MODALITY, ["some data.csv"], ["equal"], [3], options=["learn.steps=4"], out=tmp_path / "o u't"
    )
    config = runs[0].config
    assert config.samples.dataset.path == "some data.csv" and config.learn.steps == 4
    assert shlex.split(runs[0].command)[-1] == "learn.steps=4"
    assert config.run_dir == tmp_path / "o u't" / "runs" / "some-data.csv" / "equal" / "3"


@pytest.mark.parametrize(
    "method", ["tapweight", "tapweight:paper", "single:jigsaw", "fixed:some file's weights.json"]
)
def test_any_method_reaches_the_run_as_it_is(tmp_path, monkeypatch, method):
    monkeypatch.chdir(tmp_path)
    weights = dict.fromkeys((one.name for one in load_config().samples.objectives), 1.0)
    (tmp_path / "some file's weights.json").write_text(json.dumps(weights))
    assert str(plan(MODALITY, ["esol"], [method], [0], out=tmp_path)[0].config.method) == method


def test_real_runs_through_the_command(tmp_path, capsys):
    """Two methods; then nothing is left to run."""
    tokens = ["leaderboard", "datasets=chembl2321810", "methods=equal,tapweight", "seeds=0"]
    tokens += [f"out={tmp_path}", "resamples=200", *SMALL]
    assert main(tokens) == 0, capsys.readouterr()
    out = capsys.readouterr().out
    assert "chembl2321810 tapweight seed 0: ok: test " in out and "leaderboard.html" in out
    rows = table(tmp_path)
    assert [row["method"] for row in rows] == ["equal", "tapweight"]
    assert rows[0]["split_hash"] == rows[1]["split_hash"] and int(rows[0]["images"]) > 0
    summary = json.loads((tmp_path / "leaderboard.json").read_text())
    for one in summary["datasets"][0]["methods"]:
        low, high = one["interval"]
        assert low < one["test"]["mean"] < high
    assert main(tokens) == 0
    assert "2 of 2 runs were finished before" in capsys.readouterr().out
    run = plan(MODALITY, ["chembl2321810"], ["equal"], [0], options=SMALL, out=tmp_path)[0]
    assert finished_row(run)["test"] == float(rows[0]["test"])


@pytest.mark.parametrize("count", [2, 5, 9])
def test_names_in_the_picture_do_not_overlap(count):
    from matplotlib.figure import Figure

    methods = [{"method": f"method_{i}", "rank": 1 + i * (count - 1) / count} for i in range(count)]
    axes = Figure().subplots()
    plot_ranks({"methods": methods, "critical_difference": 1.2}, axes)
    names = [text for text in axes.texts if "method_" in text.get_text()]
    assert len(names) == count
    for side in ("left", "right"):
        heights = sorted(text.get_position()[1] for text in names if text.get_ha() == side)
        assert all(b - a > 0.4 for a, b in itertools.pairwise(heights))
    bars = [line for line in axes.lines if line.get_gid() == "clique"]
    assert len(bars) >= 1


def test_every_weight_is_inside_the_picture():
    datasets = [
        {"dataset": "esol", "weights": [{"a": 0.6, "b": 0.4}]},
        {"dataset": "bace", "weights": [{"a": 0.05, "b": 0.95}]},
    ]
    learned = {"method": "tapweight", "objectives": ["a", "b"], "datasets": datasets}
    for axes in learned_figure(learned).axes:
        assert axes.get_xlim()[0] == 0 and axes.get_xlim()[1] > 0.95


def test_learned_weights_are_drawn_where_they_are():
    from matplotlib.figure import Figure

    one = {"dataset": "esol", "weights": [{"a": 0.7, "b": 0.3}, {"a": 0.5, "b": 0.5}]}
    axes = plot_learned(one, ["a", "b"], Figure().subplots())
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.6, 0.4]), "means"
    dots = [dots.get_offsets().tolist() for dots in axes.collections]
    assert dots == [[[0.7, 0], [0.5, 0]], [[0.3, 1], [0.5, 1]]]
    assert axes.yaxis_inverted() and [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b"]
