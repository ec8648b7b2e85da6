"""Files of strangers: nothing in them runs, and what is wrong with them is a sentence."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import pickle
import shutil
from copy import deepcopy
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from html_pages import Page
from problems import network_problem
from safetensors.torch import load_file, save_file
from smallest import run_labelled

from molweight import embed, predict
from molweight.data.locate import cached
from molweight.data.readers import open_table
from molweight.data.splits.splits import split
from molweight.errors import ConfigError, DataError, DivergedError, MolweightError
from molweight.inference.model import load_model
from molweight.inference.predictions_file import read_table
from molweight.leaderboard.predictions import load_predictions
from molweight.methods.fixed_weights import read_weights
from molweight.methods.run_directory import RunDirectory
from molweight.methods.steps import resume
from molweight.models.convert import convert_imagemol
from molweight.objectives import label_cache
from molweight.reporting import page, plots
from molweight.reporting.page import render
from molweight.reporting.report import Report
from molweight.run import main
from molweight.runs.job import differences
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.solver import Solver
from molweight.training.checkpoint import load_checkpoint, save_checkpoint
from molweight.training.optimisers import OptimiserConfig
from molweight.utils.tensor_files import load_tensors

FORMULA = ("=", "+", "-", "@", "\t", "\r")
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>[x](javascript:alert(3))"


class Trap:
    """Its pickle creates a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def trap(tmp_path):
    """A file that must not appear."""
    path = tmp_path / "trap"
    yield path
    assert not path.exists(), "something of a stranger's has run"


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A finished run; a spreadsheet would run the name of a target."""
    return run_labelled(tmp_path_factory.mktemp("run"), "corpus.limit=60", "finetune.epochs=1")


@pytest.fixture
def copy(run_dir, tmp_path):
    return Path(shutil.copytree(run_dir, tmp_path / "stranger"))


def continued(folder, digest="another"):
    """What continuing an interrupted run begins with."""
    directory = RunDirectory(folder)
    directory.open("a: 1\n", digest)


def continued_with_other_options(folder):
    (folder / "status.json").write_text('{"state": "interrupted", "config_hash": "theirs"}')
    continued(folder)


def continued_with_data(folder):
    RunDirectory(folder).verify_data_fingerprint({"labelled": "a"})


READERS = {
    "model.json": load_model,
    "model.safetensors": load_model,
    "backbone.safetensors": lambda folder: embed(folder, ["CCO"], weights="adapted"),
    "report.json": render,
    "steps.jsonl": render,
    "predictions.csv": lambda folder: predict(folder, ["CCO"], confidence=0.5),
    "config.yaml": continued_with_other_options,
    "status.json": continued,
    "data.json": continued_with_data,
    "splits.json": lambda folder: split(["CCO"], None, kind="file", path=folder / "splits.json"),
    "training.smi": lambda folder: predict(folder, ["CCO"], similarity=True),
    "checkpoint/step-00000006.json": lambda folder: load_checkpoint(folder / "checkpoint"),
    "checkpoint/step-00000006.safetensors": lambda folder: load_checkpoint(folder / "checkpoint"),
}

KINDS = ("pickle", "nested", "huge", "huge header", "a pipe", "a class in YAML")
HASHED = "checkpoint/step-00000006.safetensors"  # bit by bit: a huge one takes time, but no memory
FOREIGN = [(name, what) for name in READERS for what in KINDS if (name, what) != (HASHED, "huge")]


def every_checkpoint(folder, name):
    """The file itself, or all of its kind where the one before it would do."""
    suffix = Path(name).suffix
    return [*folder.glob(f"checkpoint/*{suffix}")] if name.startswith("checkpoint") else [folder / name]


@pytest.mark.parametrize(("name", "what"), FOREIGN)
def test_no_file_of_a_run_runs_or_takes_memory(copy, trap, name, what):
    for path in every_checkpoint(copy, name):
        path.unlink()
        if what == "a pipe":
            os.mkfifo(path)  # as an archive may hold it: who opens it waits for ever
            continue
        contents = {
            "pickle": pickle.dumps(Trap(trap)),
            "nested": b"[" * (500 if path.suffix == ".yaml" else 100_000),  # PyYAML is slow
            "huge": b"",
            "huge header": (2**62).to_bytes(8, "little") + b'{"x": 1}',
            "a class in YAML": f"!!python/object/apply:pathlib.Path.touch [{trap}]".encode(),
        }
        path.write_bytes(contents[what])
        if what == "huge":
            with path.open("r+b") as file:
                file.truncate(1 << 42)  # more than there is memory; a hole on the disk
    with pytest.raises(MolweightError) as error:
        READERS[name](copy)
    assert error.value.exit_code in (2, 5) and len(str(error.value)) < 1_000


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64, torch.bfloat16, torch.bool])
def test_tensors_of_another_type_are_refused(copy, dtype):
    tensors = load_file(copy / "model.safetensors")
    save_file({name: value.to(dtype) for name, value in tensors.items()}, copy / "model.safetensors")
    with pytest.raises(DataError, match=f"is {dtype}, expected torch.float32".replace(".", r"\.")):
        load_model(copy)


def test_what_a_search_has_kept_is_checked(tmp_path, trap):
    path = tmp_path / "backbone.safetensors"
    path.write_bytes(pickle.dumps(Trap(trap)))
    with pytest.raises(DataError, match="not a safetensors file"):
        load_tensors(torch.nn.Linear(2, 2), path)
    save_file({"weight": torch.zeros(3, 2), "bias": torch.zeros(2)}, path)
    with pytest.raises(DataError, match=r"weight is \[3, 2\], expected \[2, 2\]"):
        load_tensors(torch.nn.Linear(2, 2), path)


def test_an_imagemol_checkpoint_runs_nothing(tmp_path, trap):
    torch.save({"arch": "ResNet18", "state_dict": Trap(trap)}, tmp_path / "x.pth.tar")
    with pytest.raises(DataError, match="not a checkpoint that can be read safely"):
        convert_imagemol(tmp_path / "x.pth.tar", tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()


# Checkpoints whose checksums are right: they are no signature


def forged(folder, change):
    """Change the state of a checkpoint as somebody would who knows the format."""
    (file,) = folder.glob("*.json")
    content = json.loads(file.read_text())
    content.pop("digest")
    content["state"] = change(content["state"])
    content["digest"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    file.write_text(json.dumps(content))


def everywhere(tree, tag, value):
    """The same tree with other values at the leaves of a kind."""
    if isinstance(tree, dict):
        return {key: value if key == tag else everywhere(item, tag, value) for key, item in tree.items()}
    return [everywhere(item, tag, value) for item in tree] if isinstance(tree, list) else tree


FORGERIES = {
    "one tensor everywhere": lambda state: everywhere(state, "tensor", "t0"),
    "text everywhere": lambda state: everywhere(state, "value", "os.system"),
    "nothing everywhere": lambda state: everywhere(state, "value", None),
    "a tensor that is not there": lambda state: everywhere(state, "tensor", "../t0"),
    "no tree": lambda state: 5,
    "a list": lambda state: {"list": []},
    "an empty state": lambda state: {"items": []},
    "another kind": lambda state: {"pickle": "gASV"},
}


@pytest.mark.parametrize("what", FORGERIES)
def test_a_forged_checkpoint_is_a_sentence(tmp_path, what):
    solver = Solver(network_problem(), Hypergradient())
    solver.step()
    directory = RunDirectory(tmp_path)
    directory.append_record({"step": 1})
    save_checkpoint(directory.checkpoints, 1, solver.state_dict())
    resume(Solver(network_problem(), Hypergradient()), directory)  # as it is, it fits
    forged(directory.checkpoints, FORGERIES[what])
    with pytest.raises(DataError, match=r"none of this run|is damaged") as error:
        resume(Solver(network_problem(), Hypergradient()), directory)
    assert "to start over" in str(error.value)


def leaves(tree, place=()):
    """Places of all values and tensors of a checkpoint's tree."""
    if isinstance(tree, dict) and tree.keys() & {"value", "tensor", "float"}:
        yield place
    else:
        for key, item in tree.items() if isinstance(tree, dict) else enumerate(tree):
            if isinstance(item, dict | list):
                yield from leaves(item, (*place, key))


def with_leaf(tree, place, leaf):
    """The same tree with another leaf at a place."""
    if not place:
        return leaf
    key, *rest = place
    copied = dict(tree) if isinstance(tree, dict) else list(tree)
    copied[key] = with_leaf(tree[key], rest, leaf)
    return copied


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_no_value_of_a_checkpoint_ends_in_a_traceback(tmp_path, optimiser, every):
    """Whatever stands at one place: a sentence before the run goes on, or a run that goes on or diverges."""

    def fresh():
        recipe = OptimiserConfig(name=optimiser, lr=1e-3, warmup=0.5)
        levels = network_problem()
        for level in (levels.pretrain, levels.finetune, levels.weights):
            level.optimizer, level.scheduler = recipe.build(level.parameters, steps=9)
        return Solver(levels, Hypergradient())

    solver = fresh()
    solver.step()
    save_checkpoint(tmp_path / "kept", 1, solver.state_dict())
    (kept,) = (tmp_path / "kept").glob("*.json")
    places = list(leaves(json.loads(kept.read_text())["state"]))
    others = [{"value": "os.system"}, {"value": True}, {"value": -7}, {"float": "1e300"}, {"tensor": "t0"}]
    tries, refused = list(product(places, others))[::every], 0
    for number, (place, other) in enumerate(tries):
        directory = RunDirectory(tmp_path / str(number))
        shutil.copytree(tmp_path / "kept", directory.checkpoints)
        directory.append_record({"step": 1})
        forged(directory.checkpoints, lambda state, at=place, leaf=other: with_leaf(state, at, leaf))
        try:
            solver = fresh()
            resume(solver, directory)
            solver.step()
        except DataError as error:
            assert "none of this run" in str(error) or "is damaged" in str(error)
            refused += 1
        except DivergedError:
            pass
    assert len(places) > 100 and refused > len(tries) / 2


def test_steps_that_a_checkpoint_knows_must_be_there(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.append_record({"step": 1})
    with pytest.raises(DataError, match=r"steps\.jsonl has 1 of the 2 steps"):
        directory.keep_records(2)
    directory.steps.write_text("{}\n[1]\n")
    with pytest.raises(DataError, match=r"steps\.jsonl cannot be read"):
        directory.records()


# Configurations


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config-dir", "theirs"],
        ["--config-dir=theirs", "experiment=theirs"],
        ["--config-path", "theirs"],
        ["--config-name", "theirs"],
        ["--config-p", "theirs"],
        ["-cd", "theirs"],
        ["-cp=theirs"],
        ["-cntheirs"],
        ["hydra.searchpath=[file://theirs]"],
        ["++hydra.searchpath=[pkg://theirs]"],
        ["hydra.searchpath=[file://theirs]", "--multirun", "seed=0,1"],
        ["--experimental-rerun", "config.pickle"],
    ],
)
def test_configuration_files_from_elsewhere_are_refused(tmp_path, trap, monkeypatch, capsys, arguments):
    """Hydra instantiates the callbacks that they name, and reads a pickle, before anything of ours runs."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    callback = (
        f"{{_target_: molweight.utils.files.write_text, path: {{_target_: pathlib.Path, _args_: [{trap}]}}}}"
    )
    text = f"# @package _global_\nhydra:\n  callbacks:\n    x: {callback}\nseed: ${{oc.env:HOME}}\n"
    for name in ("theirs.yaml", "config.yaml"):
        (theirs / name).write_text(text)
    (tmp_path / "config.pickle").write_bytes(pickle.dumps(Trap(trap)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["molweight.run"])
    assert main([*arguments, "run_dir=run"]) == 2
    said = capsys.readouterr().err
    assert (
        said.startswith(f"molweight: {arguments[0].partition('=')[0]} is refused") and "\n" not in said[:-1]
    )


@pytest.mark.parametrize(
    "text",
    [
        "objectives:\n  jigsaw: {_target_: os.system, command: touch trap}\nseed: ${oc.env:HOME}\n",
        "a: &a {b: *a}\n",
        "[" * 500,
        "!!python/object/apply:os.system ['touch trap']\n",
        "seed: ${oc.decode:${oc.env:HOME}}\n? [1, 2]\n: 3\n",
    ],
    ids=["target and resolver", "a cycle", "nested", "a tag", "odd keys"],
)
def test_a_configuration_in_a_run_is_compared_and_no_more(copy, monkeypatch, tmp_path, text):
    """It is shown when the options differ, as text: neither resolved nor instantiated."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "secret")
    (copy / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match="another configuration") as error:
        continued_with_other_options(copy)
    assert "secret" not in str(error.value) and not Path("trap").exists()
    assert "secret" not in " ".join(differences(copy / "config.yaml", "a: 1\n"))


# Tables, archives, downloads


def spoiled_parquet(path, metadata):
    table = pa.table({"smiles": ["CCO", "CC"], "y": [1.0, 2.0]})
    pq.write_table(table.replace_schema_metadata({"pandas": metadata}), path)


@pytest.mark.parametrize(
    "metadata",
    [b"{", b"5", b"[]", b"\xff", b'{"index_columns": 5}', b'{"index_columns": null}', b"[" * 100_000],
)
def test_what_pandas_notes_in_a_parquet_file_is_no_traceback(tmp_path, metadata):
    spoiled_parquet(tmp_path / "t.parquet", metadata)
    table = open_table(tmp_path / "t.parquet")
    assert table.names == ["smiles", "y"] and [cells[0] for _, cells in table.rows] == ["CCO", "CC"]


def test_a_type_of_a_parquet_file_runs_nothing(tmp_path, trap):
    """pyarrow before 14.0.1 read a pickle there, CVE-2023-47248."""
    evil = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Trap(trap)),
    }
    schema = pa.schema([pa.field("smiles", pa.string()), pa.field("y", pa.float64(), metadata=evil)])
    pq.write_table(pa.table([["CCO"], [1.0]], schema=schema), tmp_path / "t.parquet")
    rows = open_table(tmp_path / "t.parquet").complete_rows()
    assert next(rows)[1] == ("CCO", 1.0)


def test_arrays_that_hold_a_pickle_are_refused(tmp_path, trap, monkeypatch):
    evil = np.array([Trap(trap)], dtype=object)
    np.savez(tmp_path / "predictions.npz", **{"a/rows": evil, "a/predicted": evil, "a/truth": evil})
    with pytest.raises(DataError, match=r"predictions\.npz cannot be read"):
        load_predictions(tmp_path / "predictions.npz")
    content = io.BytesIO()
    np.save(content, evil, allow_pickle=True)
    body = content.getvalue()
    labels = np.frombuffer(body + bytes(-len(body) % 8), dtype="<i8")
    monkeypatch.setenv("MOLWEIGHT_CACHE", str(tmp_path))
    label_cache.cached_labels({}, lambda: labels)
    assert np.array_equal(label_cache.cached_labels({}, lambda: np.arange(0)), labels), (
        "numbers, never objects"
    )


@pytest.mark.parametrize("name", ["", ".", "..", "..\\..\\x.csv"])
def test_an_address_cannot_choose_another_folder(name):
    with pytest.raises(DataError, match="does not end in the name of a file"):
        cached(f"https://example.org/data/{name}")
    assert cached("https://example.org/../../x.csv?y=/../z.csv").parent.name == "datasets"


@pytest.mark.parametrize("content", [b"[" * 100_000, b"[]", b'{"weights": {"a": 1e999}}', b"\xff"])
def test_weights_of_a_stranger_are_checked(tmp_path, content):
    (tmp_path / "report.json").write_bytes(content)
    with pytest.raises(MolweightError):
        read_weights(tmp_path / "report.json", ["a"])


# What is written for others


def test_no_cell_of_a_run_is_a_formula(run_dir):
    found = 0
    for path in run_dir.glob("*.csv"):
        with path.open(newline="") as file:
            for cells in csv.reader(file):
                texts = [cell for cell in cells if cell.startswith(FORMULA)]
                assert all(float(cell) < 0 for cell in texts), path.name
                found += len(cells)
    assert found > 100
    assert list(read_table(run_dir / "predictions.csv").columns)[3:5] == ["=polar", "=polar_true"]


def test_whatever_a_report_says_is_text(copy, monkeypatch):
    monkeypatch.setattr(plots, "encoded", lambda figure, kind: b"")
    monkeypatch.setattr(page, "explaining", lambda folder: None)
    report = json.loads((copy / "report.json").read_text())
    texts = [key for key, value in report.items() if isinstance(value, str)]
    said = 0
    for key in texts:
        (copy / "report.json").write_text(json.dumps(report | {key: EVIL}))
        try:
            shown = Page(render(copy))
        except DataError:
            continue  # such as an unknown metric
        said += 1
        assert shown.all("script") == [] and not [one for one in shown.all("img") if one["src"] == "x"]
        assert not [one for one in shown.all("a") if one.get("href", "").startswith("javascript")]
    assert said > 5
    content = deepcopy(report) | {"dataset": EVIL, "command": EVIL, "units": EVIL}
    shown = Page(str(Report.from_json(content)._repr_html_()))
    assert shown.all("script") == shown.all("img") == shown.all("a") == []
