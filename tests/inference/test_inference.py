"""Predictions of finished runs: the numbers of the run itself, and a row for every row, whatever it is."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from rdkit import Chem
from safetensors.torch import load_file, save_file
from smallest import run_labelled, run_smallest

from molweight import embed, predict
from molweight.__main__ import main
from molweight.data.smiles import canonical
from molweight.errors import ConfigError, DataError
from molweight.images.render import render
from molweight.images.transforms import normalised
from molweight.inference import pipeline
from molweight.inference.model import load_model
from molweight.inference.pipeline import empty_table
from molweight.inference.prediction import Ensemble
from molweight.inference.predictions_file import read_table
from molweight.inference.requests import requests
from molweight.inference.writers import Output, output_format
from molweight.models.resnet import ResNet18

BAD = {"C1CC": "invalid", "not a molecule": "invalid", "": "invalid", "C" * 6_000: "unsupported"}
GOOD = ["CCO", "c1ccccc1O", "CC(=O)Oc1ccccc1C(=O)O", "[Na+].[Cl-]"]


def run(folder, *options):
    return run_smallest(folder, "method=direct", "finetune.epochs=1", *options)


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    return run(tmp_path_factory.mktemp("regression") / "run")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another seed, and pictures of another size."""
    return run(tmp_path_factory.mktemp("other") / "run", "seed=1", "backbone.image_size=48")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Two yes/no targets; one of them has a name that a spreadsheet would run."""
    return run_labelled(tmp_path_factory.mktemp("classification"), "method=direct", "finetune.epochs=1")


def scored_rows(folder, part):
    table = read_table(folder / "predictions.csv")
    return table[table.part == part]


def said(capsys, *arguments):
    """Exit code, the rows that were printed, and what was said beside them."""
    code = main(["predict", *map(str, arguments)])
    done = capsys.readouterr()
    return code, list(csv.DictReader(io.StringIO(done.out))), done.err


# The same numbers


@pytest.mark.parametrize("part", ["valid", "test"])
def test_predictions_are_those_of_the_run(regression, part):
    theirs = scored_rows(regression, part)
    ours = predict(regression, theirs.smiles)
    assert len(theirs) > 50
    assert (
        np.abs(ours["Act"].to_numpy() - theirs["Act"].to_numpy()).max() < 2e-5
    )  # six digits of values near 7


def test_probabilities_of_the_network_are_those_of_the_run(labelled):
    theirs = scored_rows(labelled, "test")
    ours = predict(labelled, theirs.smiles)
    for target in ("=polar", "long"):
        np.testing.assert_allclose(ours[f"{target}_uncalibrated"], theirs[target], atol=2e-6)


def test_calibrated_probabilities_are_scaled_logits(labelled):
    model, table = load_model(labelled), predict(labelled, GOOD)
    for target, temperature in zip(model.task.names, model.temperature.tolist(), strict=True):
        raw = table[f"{target}_uncalibrated"].to_numpy()
        logit = np.log(raw / (1 - raw))
        np.testing.assert_allclose(table[target], 1 / (1 + np.exp(-logit / temperature)), atol=1e-6)
    assert (model.temperature != 1).all()


def test_a_model_without_temperatures_has_them_at_one(labelled, tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(labelled, folder)
    card = json.loads((folder / "model.json").read_text())
    del card["temperature"]
    (folder / "model.json").write_text(json.dumps(card))
    table = predict(folder, GOOD)
    np.testing.assert_allclose(table["long"], table["long_uncalibrated"], atol=1e-7)


def test_a_spelling_does_not_matter(regression):
    mol = Chem.MolFromSmiles(GOOD[2])
    spellings = [Chem.MolToSmiles(mol, rootedAtAtom=atom) for atom in range(5)]
    assert len(set(spellings)) == 5 and predict(regression, spellings)["Act"].nunique() == 1


def test_molecules_are_standardised_as_in_the_run(tmp_path):
    folder = run(tmp_path / "run", "standardise.largest_fragment=true", "standardise.uncharge=true")
    table = predict(folder, ["CC(=O)[O-].[Na+]", "CC(=O)O"])
    assert table["Act"].nunique() == 1
    assert predict(folder, ["CC(=O)[O-].[Na+]", "CC(=O)O"], workers=1)["Act"].nunique() == 1


def test_several_models_are_their_mean_and_spread(regression, other):
    one, two = predict(regression, GOOD)["Act"], predict([other], GOOD)["Act"]
    both = predict([regression, other], [*GOOD, "bad"])
    np.testing.assert_allclose(both["Act"][:-1], (one + two) / 2, rtol=1e-6)
    np.testing.assert_allclose(both["Act_std"][:-1], np.abs(one - two) / np.sqrt(2), rtol=1e-4)
    assert both.iloc[-1].isna().sum() == 2


def test_several_classifiers_are_the_mean_of_both_probabilities(labelled):
    table, alone = predict([labelled, labelled], GOOD), predict(labelled, GOOD)
    assert list(table)[3:6] == ["=polar", "=polar_uncalibrated", "=polar_std"]
    np.testing.assert_allclose(table["long_uncalibrated"], alone["long_uncalibrated"], rtol=1e-6)
    assert (table["long_std"] == 0).all()


# A row for every row


@pytest.mark.parametrize("workers", [None, 2])
def test_every_row_is_answered_in_its_place(regression, workers):
    queries = [GOOD[0], *BAD, *GOOD[1:]]
    table = predict(regression, queries, workers=workers)
    assert table["input"].tolist() == queries and table.index.tolist() == list(range(1, len(queries) + 1))
    assert table["status"].tolist() == ["ok", *BAD.values(), "ok", "ok", "ok"]
    assert (table["reason"].ne("") == table["status"].ne("ok")).all()
    assert (table["Act"].isna() == table["status"].ne("ok")).all()


def test_batches_do_not_matter(regression, monkeypatch):
    queries = [one for one in scored_rows(regression, "test").smiles for _ in range(2)]
    whole = predict(regression, queries)
    monkeypatch.setattr(pipeline, "PIXELS", 32 * 32 * 7)
    pieces = predict(regression, queries)
    assert pieces.index.is_unique and np.abs(pieces["Act"] - whole["Act"]).max() < 1e-5


def test_rows_are_read_as_needed(regression):
    """Memory cannot grow with the number of rows: few are ahead of what is answered."""
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield GOOD[read % 4]

    tables = Ensemble([load_model(regression)]).tables(endless(), workers=2)
    for _ in range(3):
        answered = next(tables)["row"].iloc[-1]
    tables.close()
    batch = pipeline.PIXELS // 32**2
    assert answered == 3 * batch and read <= answered + batch + 64 * 8


def test_no_rows_are_no_error(regression):
    table = predict(regression, [])
    assert len(table) == 0 and "Act" in table


def test_an_index_is_kept(regression):
    frame = pd.DataFrame({"name": ["a", "b"], "mol": ["CCO", "x"]}, index=["first", "second"])
    table = predict(regression, frame, smiles_column="mol")
    assert table.index.tolist() == ["first", "second"] and table["status"].tolist() == ["ok", "invalid"]
    assert predict(regression, frame["mol"]).equals(table)


FILES = {
    "list.smi": "CCO ethanol\nbad\nCCN\n",
    "table.csv": "id,smiles\n1,CCO\n2,bad\n3,CCN\n",
    "table.tsv": "smiles\tid\nCCO\t1\nbad\t2\nCCN\t3\n",
    "one.csv": "structure\nCCO\nbad\nCCN\n",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("packed", [False, True])
def test_text_files_are_read(regression, tmp_path, name, packed):
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(FILES[name].encode()) if packed else FILES[name].encode())
    table = predict(regression, path)
    assert table["input"].tolist() == ["CCO", "bad", "CCN"] and table["Act"].isna().tolist() == [0, 1, 0]


def test_structures_and_parquet_are_read(regression, tmp_path):
    block = Chem.MolToMolBlock(Chem.MolFromSmiles("CCO"))
    (tmp_path / "two.sdf").write_text(f"{block}$$$$\nrubbish\n$$$$\n")
    pd.DataFrame({"smiles": ["CCO", "bad"], "x": [1, 2]}).to_parquet(tmp_path / "two.parquet")
    for name in ("two.sdf", "two.parquet"):
        assert predict(regression, tmp_path / name)["status"].tolist() == ["ok", "invalid"]


def test_a_row_that_does_not_fit_its_header_is_a_row(regression, tmp_path):
    (tmp_path / "odd.csv").write_text("id,smiles\n1,CCO\n2\n3,CC,N\n4,CCN\n")
    table = predict(regression, tmp_path / "odd.csv")
    assert table["status"].tolist() == ["ok", "invalid", "invalid", "ok"]
    assert table["input"].tolist() == ["CCO", "2", "3,CC,N", "CCN"]
    assert table["reason"].tolist()[1:3] == [
        "1 cell where the header names 2 columns",
        "3 cells where the header names 2 columns",
    ]


# The command


def test_the_command_prints_a_table(regression, capsys):
    code, rows, err = said(capsys, regression, "CCO", "-o", "-", "nonsense")
    assert code == 0 and [row["status"] for row in rows] == ["ok", "invalid"]
    assert list(rows[0]) == ["row", "input", "status", "reason", "Act"]
    assert float(rows[0]["Act"]) == pytest.approx(predict(regression, ["CCO"])["Act"][1], rel=1e-5)
    assert "2 rows (1 ok, 1 invalid), in pIC50" in err


def test_a_long_molecule_is_no_folder(regression, capsys):
    """A name of a file ends after 255 bytes, a peptide does not."""
    code, rows, _ = said(capsys, regression, "N" + "CC(=O)N" * 50 + "C", "F/C=C/F")
    assert code == 0 and [row["status"] for row in rows] == ["ok", "ok"]


def test_strict_says_so_in_its_exit_code(regression, capsys):
    assert said(capsys, regression, "CCO", "bad")[0] == 0
    assert said(capsys, regression, "CCO", "bad", "--strict")[0] == 3
    assert said(capsys, regression, "--strict", "CCO")[0] == 0


def test_folders_in_a_row_are_an_ensemble(regression, other, capsys):
    _, rows, _ = said(capsys, regression, other, "CCO")
    assert list(rows[0])[4:] == ["Act", "Act_std"]


PIPES = {
    "smi": ("CCO\nbad\n", ()),
    "a header": ("id,SMILES\n1,CCO\n2,bad\n", ("--smiles-column", "SMILES")),
    "a byte-order mark": ("\ufeffsmiles,id\nCCO,1\nbad,2\n", ()),
    "tabs": ("smiles\tid\nCCO\t1\nbad\t2\n", ()),
    "another name": ("id,mol\n1,CCO\n2,bad\n", ("--input-format", "csv", "--smiles-column", "mol")),
}


@pytest.mark.parametrize("kind", PIPES)
def test_standard_input_is_read(regression, capsys, monkeypatch, kind):
    text, options = PIPES[kind]
    for more in ((), ("-i", "-")):
        pipe = io.TextIOWrapper(io.BufferedReader(io.BytesIO(text.encode())))
        monkeypatch.setattr(sys, "stdin", pipe)
        code, rows, _ = said(capsys, regression, *more, *options)
        assert code == 0 and [row["input"] for row in rows] == ["CCO", "bad"]


def test_a_real_pipe(regression):
    command = [sys.executable, "-m", "molweight", "predict", str(regression)]
    done = subprocess.run(command, input="CCO\nbad\n", capture_output=True, text=True)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 3 and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{run}", "CCO", "-i", "x.csv"], 2, "not both"),
        (["{run}", "-i", "{data}", "-o", "{data}"], 2, "is the input as well"),
        (["{run}", "CCO", "-o", "x.xlsx"], 2, "names no format"),
        (["{run}", "CCO", "--format", "parquet"], 2, "goes into a file"),
        (["{run}", "CCO", "--format", "jsn"], 2, "Did you mean 'jsonl'"),
        (["{run}", "-i", "{data}", "--input-format", "xls"], 2, "csv, tsv, smi, sdf, parquet"),
        (
            ["{run}", "-i", "{data}", "--smiles-column", "smile"],
            5,
            r"--smiles-column\).* Did you mean 'smiles'",
        ),
        (["{run}", "-i", "missing.csv"], 5, "does not exist"),
        (["{run}", "CCO", "-o", "/nowhere/x.csv"], 5, "cannot write"),
        (["missing", "CCO"], 5, "give the folder of a finished run"),
        (["C" * 300], 5, "cannot be read"),
        (["{run}", "{run}/../missing", "CCO"], 5, "missing does not exist: give the folder"),
        (["{run}", "CCO", "{empty}"], 2, "is no SMILES but a folder"),
        (["{data}", "CCO"], 5, "is a file"),
        (["{empty}", "CCO"], 5, "holds no run"),
        (["{run}", "{labelled}", "CCO"], 2, "do not predict the same: their targets"),
        (["{run}", "CCO", "--device", "tpu"], 2, "--device tpu cannot .*: --device cpu always can"),
        (["{run}", "CCO", "--workers", "0"], 2, "at least 1"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(regression, labelled, tmp_path, capsys, arguments, code, words):
    data, nothing = tmp_path / "data.csv", tmp_path / "empty"
    data.write_text("id,smiles\n1,CCO\n")
    nothing.mkdir()
    places = {"run": regression, "labelled": labelled, "data": data, "empty": nothing}
    found, _, err = said(capsys, *[one.format(**places) for one in arguments])
    assert found == code and err.startswith("molweight: ") and err.count("\n") == 1
    assert re.search(words, err), err
    assert data.read_text() == "id,smiles\n1,CCO\n"


def test_a_terminal_without_molecules_is_told(regression, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    assert said(capsys, regression)[0] == 2


def test_help_shows_how(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["predict", "--help"])
    out = capsys.readouterr().out
    assert stop.value.code == 0 and out.count("python -m molweight predict") >= 6


# What is written


def test_text_is_no_formula(labelled, tmp_path):
    queries = ["=1+1", "+CC", "@SUM", "-C", "CCO"]
    with open_output(labelled, tmp_path / "out.csv") as output:
        for table in Ensemble([load_model(labelled)]).tables(requests(queries)):
            output.write(table)
    rows = list(csv.reader((tmp_path / "out.csv").read_text().splitlines()))
    assert [row[1] for row in rows[1:]] == ["'=1+1", "'+CC", "'@SUM", "'-C", "CCO"]
    assert not [cell for row in rows for cell in row if cell[:1] in ("=", "+", "@")]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "npz"])
def test_text_that_utf8_cannot_hold_is_written(labelled, tmp_path, ending):
    path = tmp_path / f"out.{ending}"
    with open_output(labelled, path) as output:
        for table in Ensemble([load_model(labelled)]).tables(requests(["CC\ud800", "CCO"])):
            output.write(table)
    read = {
        "csv": lambda: list(pd.read_csv(path).input),
        "jsonl": lambda: [json.loads(line)["input"] for line in path.read_text().splitlines()],
        "parquet": lambda: list(pd.read_parquet(path).input),
        "npz": lambda: np.load(path)["input"].tolist(),
    }[ending]
    assert read() == ["CC\ud800" if ending in ("jsonl", "npz") else "CC\\ud800", "CCO"]


def open_output(folder, path, **about):
    return Output(
        path,
        kind=output_format(path, None),
        empty=empty_table(Ensemble([load_model(folder)]).columns),
        about=about,
    )


def test_formats_hold_the_same(regression, tmp_path, capsys):
    table = predict(regression, [*GOOD, "bad"])
    for name in ("x.csv", "x.jsonl", "x.parquet"):
        assert said(capsys, regression, *GOOD, "bad", "-o", tmp_path / name)[0] == 0
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert lines[-1]["Act"] is None and lines[0]["row"] == 1
    import pyarrow.parquet

    columns = pyarrow.parquet.read_table(tmp_path / "x.parquet")
    assert columns.schema.metadata[b"units"] == b"pIC50"
    for found in (pd.read_csv(tmp_path / "x.csv"), pd.DataFrame(lines), columns.to_pandas()):
        assert list(found) == ["row", *table]
        np.testing.assert_allclose(found["Act"].astype(float), table["Act"], rtol=1e-5)


def test_without_pyarrow_nothing_is_left(regression, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = said(capsys, regression, "CCO", "-o", tmp_path / "x.parquet")
    assert code == 5 and "pip install pyarrow" in err and list(tmp_path.iterdir()) == []


def test_an_output_that_was_cut_short_is_not_taken_for_whole(regression, tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("what was there before")
    table = next(Ensemble([load_model(regression)]).tables(GOOD))
    with pytest.raises(KeyboardInterrupt), open_output(regression, path) as output:
        output.write(table)
        raise KeyboardInterrupt
    assert path.read_text() == "what was there before"
    assert len(pd.read_csv(tmp_path / "out.csv.partial")) == len(GOOD)


@pytest.mark.parametrize("name", ["x.parquet", "x.npz"])
def test_what_cannot_be_read_in_parts_does_not_stay(regression, tmp_path, name):
    table = next(Ensemble([load_model(regression)]).tables(GOOD))
    with pytest.raises(KeyboardInterrupt), open_output(regression, tmp_path / name) as output:
        output.write(table)
        assert not output.left
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_option_leaves_nothing(regression, tmp_path, capsys):
    code, _, _ = said(capsys, regression, "CCO", "--workers", "0", "-o", tmp_path / "x.csv")
    assert code == 2 and list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_loses_nothing(regression, tmp_path):
    """A limit on the size of files stands in for the disk."""
    code = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
from molweight.__main__ import main
sys.exit(main(["predict", {str(regression)!r}, *["CCO"] * 60, "-o", {str(tmp_path / "out.jsonl")!r}]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 5 and "could not write" in done.stderr and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl.partial"]


# Embeddings


def test_an_embedding_and_the_head_are_the_prediction(regression):
    model, found = load_model(regression), embed(regression, [*GOOD, "bad"])
    assert list(found)[:4] == ["input", "status", "reason", "e0"] and found.iloc[-1, 3:].isna().all()
    values = torch.tensor(found.iloc[:-1, 3:].to_numpy(np.float32))
    predicted = model.values(model.module.head(values)).squeeze(1)
    np.testing.assert_allclose(predicted, predict(regression, GOOD)["Act"], rtol=1e-5)


def test_adapted_weights_are_those_before_finetuning(tmp_path):
    folder = run(tmp_path / "run", "method=equal")
    adapted = embed(folder, GOOD, weights="adapted")
    card = json.loads((folder / "model.json").read_text())
    backbone = ResNet18(width=card["width"])
    backbone.load_state_dict(load_file(folder / "backbone.safetensors"))
    drawn = [render(canonical(one), 32) for one in adapted["input"]]
    pictures = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = backbone.eval()(normalised(pictures))
    np.testing.assert_allclose(adapted.iloc[:, 3:].to_numpy(np.float32), expected, atol=1e-5)
    assert not np.allclose(adapted.iloc[:, 3:], embed(folder, GOOD).iloc[:, 3:], atol=1e-3)


def test_the_embed_command_writes_arrays(regression, tmp_path, capsys):
    assert main(["embed", str(regression), "CCO", "bad", "-o", str(tmp_path / "x.npz"), "--strict"]) == 3
    with np.load(tmp_path / "x.npz", allow_pickle=False) as found:
        assert found["values"].shape == (2, 32) and found["values"].dtype == np.float32
        assert found["status"].tolist() == ["ok", "invalid"] and found["columns"][31] == "e31"
        np.testing.assert_allclose(
            found["values"][0], embed(regression, ["CCO"]).iloc[0, 3:].astype(float), rtol=1e-6
        )
    assert "2 rows (1 ok, 1 invalid)" in capsys.readouterr().err


def test_embed_says_what_it_cannot_do(regression, capsys):
    for arguments, code, words in (
        (["--weights", "adapted"], 5, "has no backbone.safetensors"),
        (["--weights", "adpted"], 2, "Did you mean 'adapted'"),
        (["--format", "npz"], 2, "goes into a file"),
    ):
        assert main(["embed", str(regression), "CCO", *arguments]) == code
        assert words in capsys.readouterr().err


# Folders of strangers


def spoiled(regression, tmp_path, change):
    folder = tmp_path / "stranger"
    shutil.copytree(regression, folder, ignore=shutil.ignore_patterns("checkpoint"))
    change(folder)
    return folder


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", 2),
        ("width", 10**9),
        ("width", True),
        ("image_size", 10**9),
        ("image_size", "64"),
        ("targets", []),
        ("targets", ["a", "a"]),
        ("targets", "Act"),
        ("mean", [float("nan")]),
        ("std", [0.0]),
        ("std", [1.0, 1.0]),
        ("mean", [10**400]),
        ("metric", "accuracy"),
        ("task_type", "_target_: os.system"),
        ("standardise", {"cleanup": "yes"}),
        ("standardise", {"_target_": True}),
        ("normalisation", {"mean": [0, 0, 0], "std": [1, 1, 1]}),
        ("units", 3),
    ],
)
def test_a_model_card_is_checked_field_by_field(regression, tmp_path, field, value):
    def change(folder):
        card = json.loads((folder / "model.json").read_text())
        (folder / "model.json").write_text(json.dumps(card | {field: value}))

    with pytest.raises(DataError, match=r"model\.json"):
        load_model(spoiled(regression, tmp_path, change))


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_model_card_that_is_none_is_refused(regression, tmp_path, content):
    with pytest.raises(DataError, match=r"model\.json"):
        load_model(spoiled(regression, tmp_path, lambda f: (f / "model.json").write_bytes(content)))


def test_tensors_must_be_those_of_the_network(regression, tmp_path):
    def widen(folder):
        tensors = load_file(folder / "model.safetensors")
        save_file(tensors | {"head.weight": torch.zeros(2, 32)}, folder / "model.safetensors")

    with pytest.raises(DataError, match=r"head\.weight is \[2, 32\], expected \[1, 32\]"):
        load_model(spoiled(regression, tmp_path, widen))


def test_a_pickle_is_not_opened(regression, tmp_path):
    def pickled(folder):
        torch.save({"head.weight": torch.zeros(1, 32)}, folder / "model.safetensors")

    with pytest.raises(DataError, match="not a safetensors file"):
        load_model(spoiled(regression, tmp_path, pickled))


def test_a_card_cannot_ask_for_memory(regression, tmp_path):
    """A network of 16 times ResNet-18's width would take 11 GB; it is compared without being made."""

    def change(folder):
        card = json.loads((folder / "model.json").read_text())
        (folder / "model.json").write_text(json.dumps(card | {"width": 1024}))

    with pytest.raises(DataError, match="does not hold the network"):
        load_model(spoiled(regression, tmp_path, change))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: (f / "model.json").unlink(), "run without a network"),
        (
            lambda f: [(f / "model.json").unlink(), (f / "status.json").write_text('{"state": "running"}')],
            "not finished .*repeat its command",
        ),
        (lambda f: (f / "model.json").write_text('{"schema": 1, "tokens": {}}'), "model of text"),
        (lambda f: (f / "model.safetensors").unlink(), "cannot read"),
    ],
)
def test_a_folder_without_a_model_is_told_apart(regression, tmp_path, change, words):
    with pytest.raises(DataError, match=words):
        load_model(spoiled(regression, tmp_path, change))


def test_columns_that_would_have_one_name_are_refused(labelled):
    model = load_model(labelled)
    model = replace(model, task=replace(model.task, names=("status", "x")))
    with pytest.raises(ConfigError, match=r"two columns .* 'status'"):
        list(Ensemble([model]).tables(GOOD))
