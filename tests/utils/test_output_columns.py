"""No target can overwrite a column that files of predictions have, whoever asks for it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from smallest import SMALLEST, run_labelled, run_smallest

from molweight import MolWeightRegressor, from_deepchem, load_config, run_experiment
from molweight.__main__ import main
from molweight.config.named_specs import dataset_spec
from molweight.errors import DataError
from molweight.inference.model import load_model
from molweight.inference.pipeline import empty_table
from molweight.inference.prediction import Ensemble
from molweight.inference.predictions_file import read_table
from molweight.utils.output_columns import ENDINGS, FIXED, check_target_names
from molweight.utils.spreadsheets import as_it_was, no_formula

QUICK = ("method=direct", "finetune.epochs=1")
WRONG = (
    *(["status"], ["row"], ["reason"], ["input"], ["similarity"], ["part"], ["smiles"], ["logS", "Status"]),
    *(["y", "y_std"], ["y_low", "y"], ["y", "y_true"], ["y", "y_logit"], ["a", "y", "Y_UNCALIBRATED"]),
    ["y", "y_may_be_0"],
)
FINE = (["y"], ["y_std"], ["x_true"], ["smiles_true"], ["y", "Y"], ["row 1", "input2"], ["p(status)"])


@pytest.mark.parametrize("names", WRONG, ids=" ".join)
def test_a_target_with_the_name_of_a_column_is_refused_with_both_names(names):
    with pytest.raises(DataError, match="a target cannot be called") as caught:
        check_target_names(names)
    clashing = [name for name in names if repr(name) in str(caught.value)]
    assert clashing and "which it would overwrite; rename the column" in str(caught.value)
    column = next(c for c in (*FIXED, *(f"{n}{e}" for n in names for e in ENDINGS)) if c in str(caught.value))
    assert column.casefold() in [name.casefold() for name in names]


@pytest.mark.parametrize("names", FINE, ids=" ".join)
def test_other_names_are_not(names):
    check_target_names(names)


def test_no_data_set_that_is_known_by_name_is_refused():
    folder = Path(__file__).parents[2] / "configs" / "dataset"
    cards = [dataset_spec(path.stem) for path in folder.glob("*.yaml") if path.stem != "csv"]
    assert len(cards) > 10
    for card in cards:
        check_target_names(card.targets or ())


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [run_smallest(folder / "values", *QUICK), run_labelled(folder, *QUICK)]


def test_every_column_that_is_written_is_known(runs):
    """A writer that invents a name without telling would let a target overwrite it."""
    for run in runs:
        model = load_model(run)
        every = Ensemble([model, model], 0.5, similarity=True).columns
        written = [*read_table(run / "predictions.csv").columns, *empty_table(every).columns]
        known = {*FIXED, *(f"{name}{end}" for name in model.task.names for end in ("", *ENDINGS))}
        assert set(written) <= known
        derived = [name.removeprefix("Act") for name in written if name.startswith("Act_")]
        assert set(derived) <= set(ENDINGS)


CASES = {
    "status": "smiles,status,row,reason,input,similarity,part,smiles_true",
    "y_std": "smiles,y,y_std,y_low,y_true",
}


@pytest.mark.parametrize("name", CASES)
def test_a_run_refuses_before_anything_is_drawn(name, tmp_path, capsys):
    lines = [
        CASES[name],
        *(f"{'C' * i},{','.join([f'{i}.5'] * CASES[name].count(','))}" for i in range(1, 30)),
    ]
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    options = (f"dataset={tmp_path / 'mine.csv'}", "split=random", f"run_dir={tmp_path / 'run'}")
    with pytest.raises(DataError, match=f"cannot be called '{name}'.* column '{name}'"):
        run_experiment(load_config(*SMALLEST, *options))
    assert not {"splits.json", "excluded.csv", "model.json"} & {
        one.name for one in (tmp_path / "run").iterdir()
    }


def test_estimators_and_deepchem_have_the_same_rule():
    smiles = ["C" * i for i in range(1, 9)]
    with pytest.raises(DataError, match="cannot be called 'status'"):
        MolWeightRegressor().fit(smiles, pd.DataFrame({"logS": np.arange(8.0), "status": np.arange(8.0)}))
    y = np.arange(16.0).reshape(8, 2)
    dataset = SimpleNamespace(ids=smiles, y=y, w=np.ones_like(y), get_task_names=lambda: ["smiles", "a"])
    with pytest.raises(DataError, match="cannot be called 'smiles'"):
        from_deepchem(dataset)
    assert list(from_deepchem(dataset, targets=["a", "b"]).columns) == ["smiles", "a", "b"]


def test_an_apostrophe_is_added_and_taken_away_without_loss(tmp_path):
    texts = [
        f"{quotes}{rest}" for quotes in ("", "'", "''") for rest in ("=1", "+x", "-", "@a", "y", "", "'")
    ]
    assert [as_it_was(no_formula(one)) for one in texts] == texts
    assert len({no_formula(one) for one in texts}) == len(set(texts))
    assert not any(no_formula(one).startswith(("=", "+", "-", "@")) for one in texts)
    frame = pd.DataFrame({"smiles": ["C" * i for i in range(1, 41)]})
    frame["=y"], frame["'=y"] = np.arange(40) + 0.5, -np.arange(40) - 0.5
    options = ("dataset=csv", "split=random", "split.seed=0", f"run_dir={tmp_path / 'run'}")
    run_experiment(load_config(*SMALLEST, *QUICK, *options), table=frame, page=False)
    table = read_table(tmp_path / "run" / "predictions.csv")
    rows = table["row"].to_numpy() - 1
    assert (table["=y_true"] == frame["=y"].to_numpy()[rows]).all()
    assert (table["'=y_true"] == frame["'=y"].to_numpy()[rows]).all()
    assert main(["predict", str(tmp_path / "run"), "CCO", "--confidence", "0.2"]) == 0
