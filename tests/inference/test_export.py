"""Exported models say what predict says; a file that would not is not written."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from smallest import run_labelled, run_smallest

from molweight import draw_pictures, predict
from molweight.__main__ import main
from molweight.config.named_specs import dataset_spec
from molweight.data.datasets import load_dataset
from molweight.errors import DataError
from molweight.inference import exporting
from molweight.inference.exporting import export

FORMATS = ["onnx", "pt2"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    quick = ("method=direct", "finetune.epochs=1")
    return {
        "regression": run_smallest(folder / "regression", *quick),
        "classification": run_labelled(folder, *quick),
        "standardised": run_smallest(folder / "standardised", *quick, "standardise.largest_fragment=true"),
    }


@pytest.fixture(scope="module")
def molecules():
    """A hundred of the series that RDKit ships."""
    return load_dataset(dataset_spec("chembl2321810")).smiles[:100]


def answered(path, pictures):
    """What another program makes of the pictures, and what the file says about itself."""
    if path.suffix == ".onnx":
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        metadata = session.get_modelmeta().custom_metadata_map["molweight"]
        return session.run(None, {"pictures": pictures})[0], json.loads(metadata)
    files = {"molweight": ""}
    program = torch.export.load(path, extra_files=files)
    return program.module()(torch.from_numpy(pictures)).numpy(), json.loads(files["molweight"])


@pytest.mark.parametrize("kind", ["regression", "classification"])
@pytest.mark.parametrize("ending", FORMATS)
def test_a_hundred_molecules_have_the_predictions_of_predict(runs, molecules, tmp_path, kind, ending):
    said = export(runs[kind], tmp_path / f"model.{ending}")
    assert 0 <= said <= 1e-4
    found, about = answered(tmp_path / f"model.{ending}", draw_pictures(molecules, 32))
    table = predict(runs[kind], molecules)
    assert about["targets"] == (["Act"] if kind == "regression" else ["=polar", "long"])
    assert about["kind"] == kind and about["pictures"] == [3, 32, 32]
    assert found.shape == (100, len(about["targets"]))
    np.testing.assert_allclose(found, table[about["targets"]], atol=1e-4)
    assert np.ptp(found, axis=0).min() > 1e-3  # the model does tell molecules apart


@pytest.mark.parametrize("ending", FORMATS)
def test_any_number_of_pictures_passes(runs, molecules, tmp_path, ending):
    export(runs["regression"], tmp_path / f"model.{ending}")
    whole, _ = answered(tmp_path / f"model.{ending}", draw_pictures(molecules[:9], 32))
    for place in range(2):
        one, _ = answered(tmp_path / f"model.{ending}", draw_pictures(molecules[place : place + 1], 32))
        np.testing.assert_allclose(one[0], whole[place], rtol=1e-5)


def test_the_file_says_how_molecules_are_standardised(runs, tmp_path):
    export(runs["standardised"], tmp_path / "model.onnx")
    pictures = draw_pictures(["CCO.Cl"], 32)
    _, about = answered(tmp_path / "model.onnx", pictures)
    assert about["standardise"]["largest_fragment"] is True
    assert about["drawn by"] == "molweight.draw_pictures"


def test_pictures_to_run_it_with(molecules):
    from molweight.data.standardise import Standardisation

    alone = draw_pictures(["CCO"], 64)
    assert alone.shape == (1, 3, 64, 64) and alone.dtype == np.uint8
    np.testing.assert_array_equal(draw_pictures(["OCC"], 64), alone)  # whatever the spelling
    salt = draw_pictures(["CCO.Cl"], 64, standardise=Standardisation(largest_fragment=True))
    np.testing.assert_array_equal(salt, alone)
    assert draw_pictures([], 64).shape == (0, 3, 64, 64)
    with pytest.raises(DataError, match=r"'C1CC' has no picture: "):
        draw_pictures(["CCO", "C1CC"], 64)


def test_the_command(runs, tmp_path, capsys):
    target = tmp_path / "model.onnx"
    assert main(["export", str(runs["regression"]), str(target)]) == 0
    assert f"{target}: differs from predict by" in capsys.readouterr().out
    assert main(["export", str(runs["regression"]), str(tmp_path / "model.tflite")]) == 2
    assert "must end with .onnx or .pt2" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "none"), str(tmp_path / "b.onnx")]) == 5
    assert "give the folder of a finished run" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["export", str(runs["regression"]), str(tmp_path / "file" / "b.pt2")]) == 5
    assert "could not write" in capsys.readouterr().err


@pytest.mark.parametrize("ending", FORMATS)
def test_a_model_that_would_say_something_else_is_not_written(runs, tmp_path, monkeypatch, ending):
    real = exporting.ExportModule.forward
    monkeypatch.setattr(
        exporting.ExportModule, "forward", lambda self, pictures: real(self, pictures) * 1.001
    )
    with pytest.raises(DataError, match="would differ by"):
        export(runs["regression"], tmp_path / f"model.{ending}")
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_there_is_a_sentence(runs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DataError, match=r"needs onnxruntime: pip install 'molweight\[export\]'"):
        export(runs["regression"], tmp_path / "model.onnx")
    export(runs["regression"], tmp_path / "model.pt2")  # needs torch alone


def test_drawing_for_an_exported_model_needs_no_torch():
    program = "import sys, molweight; molweight.draw_pictures(['CCO'], 64); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
