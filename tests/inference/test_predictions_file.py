"""What is written is read back without loss: digits of numbers, and the ranks behind probabilities."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.metrics import roc_auc_score
from smallest import SMALLEST, run_labelled

from molweight import MolWeightClassifier, draw_pictures, embed, load_config, predict, run_experiment
from molweight.__main__ import main
from molweight.errors import DataError
from molweight.inference.exporting import ExportModule
from molweight.inference.model import load_model
from molweight.inference.predictions_file import part_of, read_predictions, read_table
from molweight.leaderboard.predictions import load_predictions, save_predictions
from molweight.reporting.coverage import coverage
from molweight.reporting.page import test_interval as interval_of
from molweight.reporting.run_files import read_run
from molweight.training.bootstrap import Predictions, bootstrap, resampled

ENERGIES = """\
CC(C)CC(C)(C)O,-40478.9392 C1SC(=S)NC1(=O),-40478.9477 CCBr,-40478.9409
CC(C)OC(=O)Nc1cccc(Cl)c1,-40478.9638 CCSCC,-40478.943400000004 Cc1cccc(c1)N(=O)=O,-40478.9544
Cc1cc(=O)n(c2ccccc2)n1C,-40478.92285 CCCC(C)C,-40478.9674 c1(OC)ccc(CC=C)cc1,-40478.9592
CC1=C(C(=O)Nc2ccccc2)S(=O)(=O)CCO1,-40478.95281 COc1ccc(NC(=O)N(C)C)cc1Cl,-40478.95564
CC(C)C,-40478.955500000004 Clc1ccc(I)cc1,-40478.9703 CCCCO,-40478.93 COc2cnc1ncncc1n2,-40478.94139
O=C1CCC(=O)N1,-40478.927 CCN2c1cc(N(C)C)cc(C)c1NC(=O)c3cccnc23,-40478.97871 CC(=C)C,-40478.9533
OC(c1ccc(Cl)cc1)(c2cncnc2)c3ccccc3Cl,-40478.9738 COC(=O)Nc2nc1ccc(cc1[nH]2)C(=O)c3ccccc3,-40478.9688
Oc1cc(Cl)cc(Cl)c1Cl,-40478.9567 Nc2cnn(c1ccccc1)c(=O)c2Cl,-40478.95878 NC(=O)NCc1ccccc1,-40478.9395
O=N(=O)c1cccc(c1)N(=O)=O,-40478.952900000004 CC(=O)c1ccccc1,-40478.9428
NC(=N)NS(=O)(=O)c1ccc(N)cc1,-40478.9499 O2c1ccccc1N(C)C(=O)c3cccnc23,-40478.96672
"""
"""Total energies of molecules lie far from zero and near each other: their spread is 0.016."""
LABELS = {text.split(",")[0]: float(text.split(",")[1]) for text in ENERGIES.split()}
ASKED = list(LABELS)[:9]


@pytest.fixture(scope="module")
def energies(tmp_path_factory):
    """A run on them, from a file."""
    folder = tmp_path_factory.mktemp("energies")
    (folder / "mine.csv").write_text("smiles,E\n" + "\n".join(ENERGIES.split()))
    options = ("method=direct", "finetune.epochs=2", "split=random", "split.seed=0")
    parts = ("split.fractions=[0.4,0.4,0.2]", f"dataset={folder / 'mine.csv'}", f"run_dir={folder / 'run'}")
    run_experiment(load_config(*SMALLEST, *options, *parts), page=False)
    return folder / "run"


def test_labels_and_predictions_are_written_with_all_digits(energies):
    table, report = (
        read_table(energies / "predictions.csv"),
        json.loads((energies / "report.json").read_text()),
    )
    labels = np.array(list(LABELS.values()))
    assert table.E_true.tolist() == labels[table.row - 1].tolist()
    for part in ("valid", "test"):
        own = table[table.part == part]
        rmse = math.sqrt(np.mean(np.square(own.E - own.E_true)))
        assert rmse == pytest.approx(report[part], rel=1e-12) and rmse < 0.1
    train = [row - 1 for row in range(1, len(labels) + 1) if row not in set(table.row)]
    card = json.loads((energies / "model.json").read_text())
    assert card["mean"] == pytest.approx([labels[train].mean()], rel=1e-15)
    assert card["std"] == pytest.approx([labels[train].std(ddof=1)], rel=1e-9)
    again = predict(energies, table.smiles)
    assert np.abs(again.E.to_numpy() - table.E).max() < 1e-6 and table.E.nunique() > 5


READERS = {
    "csv": lambda path: pd.read_csv(path, float_precision="round_trip"),
    "jsonl": lambda path: pd.DataFrame(map(json.loads, path.read_text().splitlines())),
    "parquet": pd.read_parquet,
    "npz": lambda path: pd.DataFrame(np.load(path)["values"], columns=np.load(path)["columns"]),
}


@pytest.mark.parametrize("kind", READERS)
def test_files_of_predictions_and_embeddings_hold_the_very_numbers(energies, tmp_path, kind):
    for command, expected in (("predict", predict(energies, ASKED)), ("embed", embed(energies, ASKED))):
        path = tmp_path / f"{command}.{kind}"
        assert main([command, str(energies), *ASKED, "-o", str(path)]) == 0
        names = [name for name in expected.columns if name not in ("input", "status", "reason")]
        found = READERS[kind](path)[names].astype(expected[names[0]].dtype)
        np.testing.assert_array_equal(found, expected[names])
    if kind == "csv":
        digits = pd.read_csv(path, dtype=str)[names].map(len)
        assert digits.max().max() < 16, "a float32 needs nine digits at most"


def test_intervals_are_computed_from_all_digits(energies, tmp_path):
    table = read_table(energies / "predictions.csv")
    valid = table[table.part == "valid"]
    labels = np.array(list(LABELS.values()))[valid.row - 1]
    residuals = np.sort(np.abs(labels - predict(energies, valid.smiles).E.to_numpy()))
    half = residuals[math.ceil((len(valid) + 1) * 0.7) - 1]
    found = predict(energies, ["CCO"], confidence=0.7)
    assert (found.E_high - found.E).item() == pytest.approx(half, abs=1e-7) and half < 0.05

    old = tmp_path / "old"
    shutil.copytree(energies, old)
    table.to_csv(old / "predictions.csv", index=False, float_format="%.6g")
    with pytest.raises(DataError, match="its six digits are too few for 'E'; run again"):
        predict(old, ["CCO"], confidence=0.7)
    assert read_predictions(energies) is not None and read_predictions(old) is None
    assert coverage(read_run(energies)) and coverage(read_run(old)) == {}
    assert interval_of(read_run(energies), "rmse") and interval_of(read_run(old), "rmse") is None
    assert predict(old, ["CCO"]).E.item() == predict(energies, ["CCO"]).E.item()


def test_an_exported_model_ends_in_float64(energies):
    model = load_model(energies)
    with torch.inference_mode():
        found = ExportModule(model).eval()(torch.from_numpy(draw_pictures(ASKED, 32)))
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found[:, 0], predict(energies, ASKED).E, rtol=0, atol=1e-5)


# Ranks


@pytest.fixture(scope="module")
def saturated(tmp_path_factory):
    """A classification whose probabilities are 0 and 1 and nothing between: its head is scaled up."""
    folder = run_labelled(tmp_path_factory.mktemp("saturated"), "method=direct", "finetune.epochs=1")
    tensors = load_file(folder / "model.safetensors")
    bias = tensors["head.bias"]
    tensors["head.bias"] = 1e5 * (bias + 1)  # all on one side: probabilities of 1 alone
    tensors["head.weight"] = 1e4 * tensors["head.weight"]
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_a_metric_ranks_by_logits_and_not_by_saturated_probabilities():
    task = load_task()
    truth = torch.tensor([[0.0], [1.0], [0.0], [1.0], [0.0], [1.0]], dtype=torch.float64)
    for shift in (0, 20, 100, -200):
        logits = shift + torch.tensor([[0.1], [0.3], [0.2], [5.0], [0.15], [0.16]])
        found = task.predicted(logits, truth)
        assert (found.values.unique().numel() == 1) == (shift == 100)
        assert task.score(found.ranked, truth).value == roc_auc_score(truth, logits.double()) > 0.7


def load_task():
    from molweight.training.task import Task

    return Task.fit(kind="classification", metric=None, names=("y",), train=torch.zeros(2, 1))


def test_the_best_epoch_is_chosen_by_logits():
    """Two epochs whose float32 probabilities are all 1; the first ranks well."""
    from molweight.training.finetune import FinetuneConfig, finetune
    from molweight.training.optimisers import OptimiserConfig
    from molweight.training.streams import Stream

    truth = torch.tensor([[0.0], [0.0], [1.0], [1.0]], dtype=torch.float64)
    epochs = iter([torch.tensor([[60.0], [61], [70], [71]]), torch.tensor([[60.0], [62], [61], [71]])])

    class Scripted(torch.nn.Linear):
        def forward(self, batch):
            return super().forward(batch["x"]) if self.training else next(epochs)

    def fetch(positions, draws):
        return {"x": torch.ones(len(positions), 1), "targets": truth[positions]}

    found = finetune(
        Scripted(1, 1),
        load_task(),
        Stream(fetch, torch.arange(4), batch_size=4, seed=0, name="train"),
        lambda: iter([{"targets": truth}]),
        FinetuneConfig(epochs=2, batch_size=4, patience=2, optimiser=OptimiserConfig(name="sgd", lr=0.1)),
        steps_per_epoch=1,
    )
    assert (found.best_epoch, found.valid) == (1, 1.0)
    assert [entry["valid"] for entry in found.history] == [1.0, 0.75]


def test_the_file_the_page_and_the_leaderboard_rank_like_the_run(tmp_path):
    """The run's network is saturated by its learning rate alone."""
    loud = ("method=direct", "finetune.epochs=2", "finetune.optimiser.lr=3", "finetune.optimiser.clip=null")
    folder = run_labelled(tmp_path, *loud)
    report, table = json.loads((folder / "report.json").read_text()), read_table(folder / "predictions.csv")
    test = part_of(table, "test")
    ones = np.ones((1, len(test.rows)))
    assert resampled("roc_auc", test.y_true, test.ranked, ones)[0] == pytest.approx(report["test"], abs=1e-12)
    for name, auc in report["test_per_task"].items():
        own = table[(table.part == "test") & table[f"{name}_true"].notna()]
        assert roc_auc_score(own[f"{name}_true"], own[f"{name}_logit"]) == auc
    save_predictions(tmp_path / "kept.npz", {"a/b": test})
    kept = load_predictions(tmp_path / "kept.npz")["a/b"]
    np.testing.assert_array_equal(bootstrap("roc_auc", [kept], resamples=100), bootstrap_of(test))
    low, high = interval_of(read_run(folder), "roc_auc")
    assert low <= report["test"] <= high


def bootstrap_of(found):
    return bootstrap("roc_auc", [found], resamples=100)


def test_kept_predictions_of_earlier_versions_are_read(tmp_path):
    arrays = {
        "rows": np.arange(3),
        "predicted": np.float32([0.1, 0.2, 0.3])[:, None],
        "truth": np.eye(3)[:, :1],
    }
    np.savez(tmp_path / "old.npz", **{f"a/b/{name}": value for name, value in arrays.items()})
    found = load_predictions(tmp_path / "old.npz")["a/b"]
    assert found.logits is None and found.ranked.dtype == np.float64
    assert isinstance(found, Predictions)


def test_a_saturated_classifier_is_ranked_by_its_decision_function(saturated):
    model = MolWeightClassifier.load(saturated)
    smiles = ["C" * length for length in range(2, 9)]
    chances, logits = model.predict_proba(smiles), model.decision_function(smiles)
    assert (chances == 1).all() and logits.shape == (7, 2)
    assert all(len(np.unique(column)) == 7 for column in logits.T)
