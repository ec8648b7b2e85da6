"""Whole runs to which something happens: a sentence, nothing lost, the same bits when they are continued."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from disks import fill, make_read_only, make_room
from smallest import SMALLEST

from molweight import load_config, predict, run_experiment
from molweight.__main__ import main as molweight
from molweight.errors import DataError, DivergedError
from molweight.methods import steps
from molweight.run import main
from molweight.runs import experiment
from molweight.tapweight.batches import map_tensors
from molweight.tapweight.solver import Solver
from molweight.training.checkpoint import load_checkpoint
from molweight.training.streams import Stream
from molweight.utils.files import write_text

ROOT = Path(__file__).resolve().parents[2]
TIMES = ("seconds", "seconds_by_stage", "seconds_reused", "time")


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """Of a run of a second: 60 molecules with labels, 60 without."""
    path = tmp_path_factory.mktemp("table") / "mine.csv"
    path.write_text("smiles,y\n" + "".join(f"{'C' * n}O,{n / 10}\n" for n in range(1, 61)))
    table = (f"dataset={path}", "split=random", "split.seed=0")
    return (*SMALLEST, *table, "corpus.limit=60", "finetune.epochs=2")


@pytest.fixture(scope="module")
def run(options):
    """Runs, or continues, in a folder."""

    def go(folder, *more):
        return run_experiment(load_config(*options, *more, f"run_dir={folder}"), command="run me", page=False)

    return go


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    """The folder of a run to which nothing has happened."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(folder)
    return folder


@pytest.fixture(scope="module")
def late(run, tmp_path_factory):
    """The folder of a run that failed in its finetuning: both checkpoints are there."""
    folder = tmp_path_factory.mktemp("late") / "run"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(DivergedError):
        poison(patch, "retrain", after=1)
        run(folder)
    return folder


def poison(patch, stream, after):
    """From the batch after ``after`` others on, the pictures of a stream are NaN."""
    honest = Stream.next

    def spoiled(self):
        batch = honest(self)
        if self.key[1] != stream or self.count <= after:
            return batch
        spoiled = map_tensors(lambda v: v * math.nan if v.is_floating_point() else v, batch)
        return {**spoiled, **{k: v for k, v in batch.items() if k == "targets"}}

    patch.setattr(Stream, "next", spoiled)


def without_times(value):
    """JSON content without what the clock decides."""
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in TIMES}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def contents(folder):
    """Every file of a run, byte by byte; without times, and without the folder's own name."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        name, content = path.relative_to(folder).as_posix(), path.read_bytes()
        if path.suffix in (".json", ".jsonl", ".md", ".yaml", ".html"):
            text = content.decode().replace(str(folder), "RUN")
            if path.suffix in (".json", ".jsonl") and "checkpoint" not in name:
                lines = text.splitlines() if path.suffix == ".jsonl" else [text]
                text = json.dumps([without_times(json.loads(line)) for line in lines])
            content = re.sub(r"\b[\d,.]+ s\b", "… s", text).encode()
        found[name] = content
    return found


def same(one, two):
    """Compare two runs file by file."""
    first, second = contents(one), contents(two)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def status(folder):
    return json.loads((folder / "status.json").read_text())


def test_the_same_run_again_leaves_the_same_bytes(run, whole, tmp_path):
    run(tmp_path / "again")
    same(whole, tmp_path / "again")


@pytest.mark.slow
def test_other_processes_leave_the_same_bytes(options, tmp_path):
    """From other folders, with other orders of sets, and with the page."""
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        command = [sys.executable, "-m", "molweight.run", *options, f"run_dir={folder / 'run'}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(number)}
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        text = (folder / "run" / "report.json").read_text()
        write_text(folder / "run" / "report.json", text.replace(str(folder), "FOLDER"))
    same(tmp_path / "1" / "run", tmp_path / "2" / "run")


# Not a number


@pytest.mark.parametrize(
    ("stream", "engine"),
    [
        ("pretrain", "native"),
        ("finetune", "native"),
        ("weights", "native"),
        ("retrain", "native"),  # no engine drives it
        ("weights", "betty"),
        pytest.param("pretrain", "betty", marks=pytest.mark.slow),
        pytest.param("finetune", "betty", marks=pytest.mark.slow),
    ],
)
def test_nan_ends_a_run_before_it_is_learned_from(
    options, run, whole, tmp_path, monkeypatch, capsys, stream, engine
):
    """In the fourth of six outer steps, or in the finetuning after them."""
    folder = tmp_path / "run"
    poison(monkeypatch, stream, after=1 if stream in ("weights", "retrain") else 7)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["molweight.run"])
    assert main([*options, f"solver={engine}", f"run_dir={folder}"]) == 4
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("molweight: ")]
    assert len(errors) == 1 and ("nan" in errors[0] or "finite" in errors[0])
    assert status(folder)["state"] == "failed" and status(folder)["error"] in errors[0]
    assert "traceback" not in status(folder)
    last, lines = (6, 6) if stream == "retrain" else (2, 3)
    assert load_checkpoint(folder / "checkpoint")[0] == last
    assert len((folder / "steps.jsonl").read_text().splitlines()) == lines
    monkeypatch.undo()
    if engine == "betty":
        return  # how its runs are continued: test_experiment.py
    run(folder, f"solver={engine}")
    for name in ("model.safetensors", "backbone.safetensors", "predictions.csv"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


# Damage


def cut(content):
    return content[: len(content) // 2]


def flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 16]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [cut, flip])
def test_a_damaged_checkpoint_costs_steps_and_nothing_else(
    run, whole, late, tmp_path, monkeypatch, caplog, damage
):
    folder, taken, honest = tmp_path / "run", [], Solver.step
    shutil.copytree(late, folder)
    newest = folder / "checkpoint" / "step-00000006.safetensors"
    newest.write_bytes(damage(newest.read_bytes()))
    monkeypatch.setattr(Solver, "step", lambda self: taken.append(self.count) or honest(self))
    run(folder)
    assert "step-00000006 is damaged" in caplog.text and taken == [4, 5]
    same(folder, whole)


# Full and read-only disks


def test_a_disk_that_is_full_again_and_again(run, whole, small_disk, monkeypatch):
    """At the second checkpoint, at the model, and at the report; each time there is room again later."""
    folder = small_disk / "run"
    for module, name, calls, words in (
        (steps, "save_checkpoint", 2, "could not write .*checkpoint/step-00000004"),
        (experiment, "score_validation_and_test", 1, r"could not write .*predictions\.csv"),
        (experiment, "build_report", 1, r"could not write .*report\.json"),
    ):
        honest, seen = getattr(module, name), []

        def filling(*arguments, honest=honest, seen=seen, calls=calls, **more):
            seen.append(1)
            if len(seen) == calls:
                fill(small_disk)
            return honest(*arguments, **more)

        with monkeypatch.context() as patch, pytest.raises(DataError, match=words) as error:
            patch.setattr(module, name, filling)
            run(folder)
        assert error.value.exit_code == 5
        assert load_checkpoint(folder / "checkpoint")[0] == (2 if module is steps else 6)
        make_room(small_disk)
    run(folder)
    same(folder, whole)


def test_a_read_only_disk_is_said_and_changes_nothing(run, late, whole, small_disk, capsys):
    for name, source in (("late", late), ("whole", whole)):
        shutil.copytree(source, small_disk / name)
    make_read_only(small_disk)
    before = contents(small_disk)
    for name in ("new", "late"):
        with pytest.raises(DataError, match=r"could not write .*Read-only file system") as error:
            run(small_disk / name)
        assert error.value.exit_code == 5
    assert molweight(["predict", str(small_disk / "whole"), "CCO", "-o", str(small_disk / "x.csv")]) == 5
    assert "Read-only file system" in capsys.readouterr().err
    assert len(predict(small_disk / "whole", ["CCO"])) == 1, "reading needs no room"
    assert contents(small_disk) == before


# The clock


def test_a_clock_that_runs_backwards_changes_nothing(run, whole, tmp_path, monkeypatch):
    """It is set back an hour at every look, and the newest checkpoint seems to be the oldest file."""
    folder, looks = tmp_path / "run", []

    def earlier():
        looks.append(1)
        return 1.7e9 - 3600 * len(looks)

    class Backwards(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(earlier(), tz)

    monkeypatch.setattr(time, "time", earlier)
    monkeypatch.setattr("molweight.methods.run_directory.datetime", Backwards)
    with monkeypatch.context() as patch, pytest.raises(DivergedError):
        poison(patch, "retrain", after=1)
        run(folder)
    before = datetime.fromisoformat(status(folder)["time"])
    for age, file in enumerate(sorted(folder.glob("checkpoint/*"))):
        os.utime(file, (1e9 - 1000 * age, 1e9 - 1000 * age))
    with monkeypatch.context() as patch:
        patch.setattr(Solver, "step", lambda self: pytest.fail("the newest checkpoint has all steps"))
        report = run(folder)
    assert datetime.fromisoformat(status(folder)["time"]) < before - timedelta(hours=1)
    lines = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    assert all(line["seconds"] > 0 for line in lines)
    assert min(report.content["seconds"], *report.content["seconds_by_stage"].values()) > 0
    same(folder, whole)
