"""Configurations, tables, models and checkpoints that nobody would write: fine, or a sentence of ours."""

from __future__ import annotations

import random
import string

import pytest
import torch
import yaml
from smallest import run_smallest

from molweight import load_config
from molweight.data.datasets import load_dataset
from molweight.errors import MolweightError
from molweight.inference.model import load_model
from molweight.reporting.page import render
from molweight.training.checkpoint import load_checkpoint, save_checkpoint

FEW, MANY = 60, 2_500  # of each kind; the four kinds together are 10,000
COUNTS = [FEW, pytest.param(MANY, marks=pytest.mark.slow)]
ODD = (
    *(
        "null",
        "''",
        "-1",
        "0",
        "1e999",
        "nan",
        "inf",
        "[]",
        "{}",
        "[1,2]",
        "{a: 1}",
        "true",
        "x",
        "../..",
        "a.b",
    ),
    *("${oc.env:HOME}", "${nothing}", "???", "é", "'\\0'", "1" * 30, "'a b'", "os.system"),
    "molweight.errors.DataError",
)
DISLIKED = (b"\0", b'"', b"\r", b"\xff", b"\n\n", b",,", b"1e999", b"{")


def keys(tree, prefix=""):
    """Every key of a configuration, dotted."""
    for key, value in tree.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{key}.")


@pytest.mark.parametrize("count", COUNTS)
def test_configurations(count, tmp_path):
    generator = random.Random(0)
    known = [
        key for key in keys(yaml.safe_load(load_config("run_dir=x").text)) if not key.startswith("hydra")
    ]
    good = 0
    for _ in range(count):
        options = []
        for _ in range(generator.choice((1, 1, 2))):
            key = generator.choice(known)
            if generator.random() < 0.15:
                place = generator.randrange(len(key))
                key = key[:place] + generator.choice(string.printable[:70]) + key[place + 1 :]
            sign = generator.choice(("", "", "", "", "+", "~", "++"))
            options.append(f"{sign}{key}={generator.choice(ODD)}")
        try:
            load_config("run_dir=x", *options)
            good += 1
        except MolweightError as error:
            assert str(error) and len(str(error)) < 5_000, options
    assert 0 < good < count


def spoiled(content, generator):
    """Bytes with a few changes: flipped, cut, doubled, or replaced by what parsers dislike."""
    content = bytearray(content)
    for _ in range(generator.randint(1, 4)):
        place = generator.randrange(len(content) + 1)
        kind = generator.randrange(5)
        if kind == 0 and place < len(content):
            content[place] ^= 1 << generator.randrange(8)
        elif kind == 1:
            del content[place : place + generator.randint(1, 40)]
        elif kind == 2:
            content[place:place] = content[place : place + generator.randint(1, 40)]
        elif kind == 3:
            content[place:place] = generator.choice(
                (b"\0", b'"', b"\r", b"\xff", b"\n\n", b",,", b"1e999", b"{")
            )
        else:
            content[place : place + 1] = bytes(
                generator.randrange(256) for _ in range(generator.randint(1, 4))
            )
    return bytes(content)


@pytest.mark.parametrize("count", COUNTS)
def test_tables(count, tmp_path):
    generator, path = random.Random(1), tmp_path / "mine.csv"
    smiles = ["CCO", "c1ccccc1", "CC(=O)O", "C" * 9, '"CC,C"', "[Na+].[Cl-]"]
    rows = [f"{generator.choice(smiles)},{generator.uniform(-3, 3):.3f},{row % 2}" for row in range(12)]
    content = "\n".join(["smiles,value,label", *rows, ""]).encode()
    card = load_config(f"dataset={path}", "dataset.targets=[value,label]", "run_dir=x").samples.dataset
    good = 0
    for _ in range(count):
        path.write_bytes(spoiled(content, generator))
        try:
            good += len(load_dataset(card)) > 0
        except MolweightError as error:
            assert str(error)
    assert 0 < good < count


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return run_smallest(tmp_path_factory.mktemp("run") / "run", "method=direct", "finetune.epochs=1")


@pytest.mark.parametrize("count", COUNTS)
def test_models(count, run_dir, tmp_path):
    generator = random.Random(2)
    names = ("model.json", "model.safetensors")
    whole = {name: (run_dir / name).read_bytes() for name in names}
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
    good = 0
    for _ in range(count):
        name = generator.choice(names)
        content = whole[name]
        if name == "model.safetensors":  # its header: one weight is as good as another
            content = spoiled(content[:4_000], generator) + content[4_000:]
        else:
            content = spoiled(content, generator)
        (tmp_path / name).write_bytes(content)
        try:
            load_model(tmp_path)
            good += 1
        except MolweightError as error:
            assert str(error)
        (tmp_path / name).write_bytes(whole[name])
    assert good < count


@pytest.mark.parametrize("count", COUNTS)
def test_checkpoints(count, tmp_path):
    generator = random.Random(3)
    for step in (1, 2):
        save_checkpoint(tmp_path, step, {"x": torch.full((40,), float(step)), "n": {"a": [step, 2.5, None]}})
    files = sorted(tmp_path.glob("step-00000002.*"))
    whole = {file: file.read_bytes() for file in files}
    for _ in range(count):
        file = generator.choice(files)
        file.write_bytes(spoiled(whole[file], generator))
        step, state = load_checkpoint(tmp_path)  # the newest one where only spaces differ
        assert torch.equal(state["x"], torch.full((40,), float(step)))
        assert state["n"] == {"a": [step, 2.5, None]}
        file.write_bytes(whole[file])


def test_pages_of_spoiled_runs(run_dir, tmp_path):
    generator = random.Random(4)
    names = ("report.json", "predictions.csv", "config.yaml", "excluded.csv")
    whole = {name: (run_dir / name).read_bytes() for name in names}
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
    for _ in range(12):
        name = generator.choice(names)
        (tmp_path / name).write_bytes(spoiled(whole[name], generator))
        try:
            assert "<script" not in render(tmp_path)
        except MolweightError as error:
            assert str(error)
        (tmp_path / name).write_bytes(whole[name])
