"""DeepChem's data sets come in and go out, and its splitters divide as they do alone."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from smallest import SMALLEST

from molweight import from_deepchem, load_config, run_experiment, to_deepchem
from molweight.config.named_specs import dataset_spec
from molweight.data.datasets import load_dataset
from molweight.data.deepchem_data import deepchem
from molweight.data.smiles import canonical
from molweight.data.splits.splits import split
from molweight.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def series():
    """A hundred and twenty of the series that RDKit ships, two of them twice."""
    data = load_dataset(dataset_spec("chembl2321810"))
    smiles, y = data.smiles[:120], data.targets[:120, 0].astype(float)
    return [*smiles, smiles[3], smiles[50]], np.array([*y, y[3], y[50]])


@pytest.fixture(scope="module")
def various(moleculenet):
    """A hundred and twenty different molecules, two of them twice."""
    frame = pd.read_csv(moleculenet / "esol.csv")
    smiles = list(dict.fromkeys(map(canonical, frame.iloc[:150, 0])))[:120]
    y = np.arange(120.0)
    return [*smiles, smiles[3], smiles[50]], np.array([*y, y[3], y[50]])


def alone(name, smiles, y, fractions, seed):
    """What the splitter makes of different molecules, without us."""
    dataset = deepchem("data").NumpyDataset(X=np.zeros(len(smiles)), y=y, ids=np.array(smiles, dtype=object))
    shares = dict(zip(("frac_train", "frac_valid", "frac_test"), fractions, strict=True))
    return getattr(deepchem("splits"), name)().split(dataset, **shares, seed=seed)


SPLITTERS = [f"{name}Splitter" for name in ("Scaffold", "Butina", "Random", "MolecularWeight", "MaxMin")]


@pytest.mark.parametrize("name", SPLITTERS)
def test_parts_are_those_of_the_splitter(various, name):
    smiles, y = various
    fractions = (0.7, 0.2, 0.1)
    found = split(smiles, y, kind=f"deepchem:{name}", seed=5, fractions=fractions)
    expected = alone(name, smiles[:120], y[:120], fractions, 5)
    ours = {"train": set(found.train), "valid": set(found.valid), "test": set(found.test)}
    for part, theirs in zip(ours.values(), expected, strict=True):
        assert {i for i in part if i < 120} == {int(i) for i in theirs}
    for twin, first in ((120, 3), (121, 50)):
        assert [twin in part for part in ours.values()] == [first in part for part in ours.values()]


def test_missing_labels_are_weights_of_zero():
    frame = pd.DataFrame({"smiles": ["C", "CC", "CCC"], "a": [1.0, np.nan, 0.0], "b": [0.5, 2.0, np.nan]})
    dataset = to_deepchem(frame)
    assert dataset.ids.tolist() == frame.smiles.tolist()
    assert dataset.w.tolist() == [[1, 1], [0, 1], [1, 0]] and np.isfinite(dataset.y).all()
    pd.testing.assert_frame_equal(from_deepchem(dataset, ["a", "b"]), frame)
    assert list(from_deepchem(dataset).columns) == ["smiles", "y0", "y1"]
    with pytest.raises(DataError, match="2 tasks, and there are 1 names"):
        from_deepchem(dataset, ["a"])


def test_from_a_disk_data_set(tmp_path):
    data = deepchem("data")
    arrays = {"X": np.zeros((3, 4)), "y": np.array([[1.0], [2.0], [3.0]]), "w": np.ones((3, 1))}
    ids = np.array(["C", "CC", "CCC"])
    disk = data.DiskDataset.from_numpy(**arrays, ids=ids, tasks=["logD"], data_dir=str(tmp_path))
    frame = from_deepchem(disk)
    assert frame.smiles.tolist() == ["C", "CC", "CCC"] and frame.logD.tolist() == [1, 2, 3]


def test_a_run_learns_from_a_deepchem_data_set(series, tmp_path):
    smiles, y = series
    dataset = to_deepchem(pd.DataFrame({"smiles": smiles, "activity": y}))
    options = ("dataset=csv", "dataset.targets=[activity]", "split=deepchem:ButinaSplitter", "method=direct")
    config = load_config(*SMALLEST, *options, f"run_dir={tmp_path / 'run'}")
    report = run_experiment(config, table=from_deepchem(dataset, ["activity"]), page=False).content
    assert report["split"]["kind"] == "deepchem:ButinaSplitter" and report["n_rows"] == 122
    assert report["test_per_task"].keys() == {"activity"}


def test_no_smiles_and_no_labels_are_said():
    data = deepchem("data")
    with pytest.raises(DataError, match="ids of the DeepChem data set are no SMILES"):
        from_deepchem(data.NumpyDataset(X=np.zeros((2, 1)), y=np.zeros(2)))
    with pytest.raises(ConfigError, match="Did you mean 'smiles'"):
        to_deepchem(pd.DataFrame({"smiles": ["C"]}), smiles_column="smile")


@pytest.mark.parametrize(
    "kind, error, words",
    [
        ("deepchem:ButinaSpliter", ConfigError, "Did you mean 'ButinaSplitter'"),
        ("deepchem:SpecifiedSplitter", DataError, "leaves a part empty"),
        ("deepchem:TaskSplitter", DataError, "split=deepchem:TaskSplitter"),
    ],
)
def test_splitters_that_cannot_be_used_are_said(series, kind, error, words):
    with pytest.raises(error, match=words):
        split(*series, kind=kind, seed=0)


def test_the_seed_is_checked(series):
    with pytest.raises(ConfigError, match="a seed must be an integer"):
        split(*series, kind="deepchem:RandomSplitter", seed=-1)


def test_without_deepchem_a_sentence_says_how_to_have_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "deepchem", None)  # as where pip refuses it, on Python 3.12 and newer
    for name in [name for name in sys.modules if name.startswith("deepchem.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigError, match=r"ignore-requires-python deepchem==2\.8\.0"):
        to_deepchem(pd.DataFrame({"smiles": ["CCO"], "y": [1.0]}))
