"""What the columns of a table mean: nothing that can be read in two ways is guessed without a word."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from smallest import SMALLEST

from molweight import load_config, run_experiment
from molweight.__main__ import main
from molweight.config.named_specs import dataset_spec
from molweight.data.columns import is_identifier_name
from molweight.data.datasets import load_dataset
from molweight.data.labels import in_order
from molweight.data.table import read_table
from molweight.errors import DataError
from molweight.inference.requests import requests

CHAINS = [f"{'C' * length}{end}" for length in range(1, 11) for end in ("O", "N", "F", "")]


def table(**columns):
    """40 molecules beside columns of labels; a shorter one begins again."""
    rows = {name: np.resize(np.array(values, dtype=object), len(CHAINS)) for name, values in columns.items()}
    return pd.DataFrame({"smiles": CHAINS, **rows})


def read(frame, **options):
    return read_table(frame, **options)


def refusal(frame, **options):
    with pytest.raises(DataError) as caught:
        read_table(frame, **options)
    return str(caught.value)


LOG_S = np.linspace(-5.3, 0.9, len(CHAINS))


@pytest.mark.parametrize(
    "name",
    ["ID", "id", "Compound ID", "CompoundId", "mol_id", "Unnamed: 0.1", "index", "row", "CID", "#", ""],
)
@pytest.mark.parametrize("values", [range(1001, 1041), [7, 7, 8, 8]], ids=["counted", "repeated"])
def test_identifiers_are_no_targets(name, values):
    found = read(table(**{name: list(values), "logS": LOG_S}))
    assert list(found.frame.columns) == ["smiles", "logS"] and found.task_type == "regression"
    assert found.notes[2] == f"not used {name!r} (an identifier by its name)"


def test_whole_numbers_that_all_differ_are_no_targets_unless_they_are_named():
    frame = table(batch=range(40, 0, -1), logS=LOG_S, sequence=[f"{n}.0" for n in range(40)])
    found = read(frame)
    why = "(whole numbers, all different: an identifier?)"
    assert found.notes == (
        "SMILES in 'smiles'",
        "target 'logS'",
        f"not used 'batch' {why}, 'sequence' {why}",
        "regression",
    )
    assert list(read(frame, targets=["batch"]).frame["batch"]) == list(range(40, 0, -1))
    assert "no column that is certain to hold labels: 'batch'" in refusal(frame[["smiles", "batch"]])
    assert "dataset.targets=[batch]" in refusal(frame[["smiles", "batch"]])


@pytest.mark.parametrize("name", ["logD", "Ki", "pIC50", "acid", "solid", "grid", "covid", "HIV"])
def test_names_of_properties_are_no_identifiers(name):
    assert not is_identifier_name(name)


def test_texts_are_no_targets_and_a_bad_cell_still_is_an_error():
    frame = table(name=[f"compound {n}" for n in range(40)], who=["Anna", "Bob", "Eve"], logS=LOG_S)
    found = read(frame)
    assert list(found.frame.columns) == ["smiles", "logS"]
    assert "not used 'name' (text), 'who' (text)" in found.notes
    frame.loc[7, "logS"] = "n.d."
    text = refusal(frame)
    assert "column 'logS', row 8 (line 8): 'n.d.' is not a number" in text
    assert "dataset.missing_values=[n.d.]" in text
    assert np.isnan(read(frame, missing_values=["n.d."]).frame["logS"].iloc[7])


@pytest.mark.parametrize(
    ("zero", "one"),
    [
        ("inactive", "active"),
        ("No", "yes"),
        ("False", "True"),
        ("non-toxic", "toxic"),
        ("insoluble", "soluble"),
        ("negative", "positive"),
        ("-", "+"),
        ("low", "high"),
        ("agonist", "antagonist"),
        ("A", "B"),
        (-1, 1),
        (1, 2),
        (0.5, 12),
        (False, True),
    ],
)
@pytest.mark.parametrize("task_type", [None, "classification"])
def test_two_values_are_two_classes(zero, one, task_type):
    found = read(table(y=[one, zero, zero, None, one]), task_type=task_type)
    np.testing.assert_array_equal(found.frame["y"][:5], [1, 0, 0, np.nan, 1])
    assert found.task_type == "classification"
    if isinstance(zero, bool):  # as numbers they are 0 and 1
        return
    words = (f"{zero:g}", f"{one:g}") if not isinstance(zero, str) else (zero, one)
    assert found.classes == {"y": words}
    assert found.notes[-1] == f"in 'y' 0 is {words[0]!r} and 1 is {words[1]!r}"


def test_the_order_of_words_is_that_of_their_meaning():
    for zero, one in (("unstable", "stable"), ("not active", "active"), ("off", "on"), ("fail", "pass")):
        assert in_order([zero, one]) == in_order([one, zero]) == (zero, one)


def test_capitals_make_no_third_word():
    found = read(table(y=["Yes", "no", "YES ", "No"]))
    assert list(found.frame["y"][:4]) == [1, 0, 1, 0] and found.classes == {"y": ("no", "Yes")}


@pytest.mark.parametrize("sentinel", [-1, 999, 2])
def test_a_third_value_beside_two_classes_is_refused(sentinel):
    frame = table(y=[0, 1, 0, 1, 1, 0, sentinel, 1])
    text = refusal(frame)
    assert "column 'y' holds three values" in text and f"{sentinel} (5 rows)" in text
    assert f"dataset.missing_values=[{sentinel}]" in text and "dataset.task_type=regression" in text
    found = read(frame, missing_values=[str(sentinel)])
    assert found.task_type == "classification" and np.isnan(found.frame["y"].iloc[6])
    assert read(frame, task_type="regression", missing_values=[]).frame["y"].iloc[6] == sentinel
    assert f"'{sentinel}' is neither 0 nor 1" in refusal(frame, task_type="classification")


def test_a_third_value_beside_other_classes_is_refused_too():
    assert "dataset.missing_values=[0]" in refusal(table(y=[-1, 1, 1, -1, 0, 1, -1, 1]))
    words = table(y=["active", "inactive", "inconclusive"])
    assert "there are more: 'active', 'inactive', 'inconclusive'" in refusal(words, targets=["y"])
    found = read(words, missing_values=["Inconclusive"])
    assert found.classes == {"y": ("inactive", "active")}
    np.testing.assert_array_equal(found.frame["y"][:3], [1, 0, np.nan])


@pytest.mark.parametrize("sentinel", [-999, 9999, -99])
def test_a_number_that_stands_for_missing_far_from_all_others_is_refused(sentinel):
    labels = [*LOG_S[:-2], sentinel, sentinel]
    text = refusal(table(y=labels))
    assert f"holds {sentinel} (2 rows) far from all other values" in text
    assert np.isnan(read(table(y=labels), missing_values=[f"{sentinel}.0"]).frame["y"].iloc[-1])
    assert read(table(y=labels), missing_values=[]).frame["y"].iloc[-1] == sentinel
    near = [*np.linspace(-2_000, 20_000, 39), sentinel]
    assert read(table(y=near)).frame["y"].iloc[-1] == sentinel, "a value among others"


@pytest.mark.parametrize("text", ["", " ", "NA", "nan", "-", "-1", "n/a"])
def test_missing_values_are_texts_or_numbers(text):
    found = read(table(y=[*LOG_S[:-1], text]), missing_values=["-", "-1"])
    assert np.isnan(found.frame["y"].iloc[-1]) and np.isnan(found.frame["y"]).sum() == 1


def test_columns_of_both_kinds_are_numbers_and_it_is_said():
    frame = table(active=[0, 1], who=["Anna", "Bob"], scale=[1, 2], logS=LOG_S)
    found = read(frame)
    assert found.task_type == "regression" and found.classes == {}
    assert list(found.frame.columns) == ["smiles", "active", "scale", "logS"]
    assert list(found.frame["scale"][:2]) == [1, 2]
    assert "regression, also of 'active', 'scale'" in found.notes
    assert "not used 'who' (two words, beside quantities)" in found.notes
    assert read(table(who=["Anna", "Bob"], logS=LOG_S)).notes[-1] == "regression"
    assert "'Anna' is not a number" in refusal(frame, targets=["who", "logS"])


def test_limits_are_no_numbers_and_the_sentence_says_what_to_do():
    text = refusal(table(y=[*LOG_S[:-1], ">10000"]))
    assert "'>10000' is not a number; it is a limit (a censored value): write the limit alone" in text


@pytest.mark.parametrize("names", [("mol", "SMILES"), ("smiles", "Smiles"), ("canonical_smiles", "smiles")])
def test_two_columns_of_smiles_are_refused_by_every_command(names, tmp_path, capsys):
    first, second = names
    frame = pd.DataFrame({first: ["C"] * 40, second: CHAINS, "y": LOG_S})
    for text in (refusal(frame), _refusal_of_predict(frame)):
        assert f"2 columns that may hold the SMILES, {first!r}, {second!r}" in text
    assert list(read(frame, smiles_column=second).frame["smiles"]) == CHAINS
    assert list(requests(frame, smiles_column=second)) == list(requests(frame, preferred=[second])) == CHAINS
    frame.to_csv(tmp_path / "two.csv", index=False)
    assert main(["datasets", "show", str(tmp_path / "two.csv")]) == 5
    assert f"--smiles-column={first}" in capsys.readouterr().err
    with pytest.raises(DataError, match=r"dataset\.smiles_column="):
        run_experiment(
            load_config(*SMALLEST, f"dataset={tmp_path / 'two.csv'}", f"run_dir={tmp_path / 'run'}")
        )


def _refusal_of_predict(frame):
    with pytest.raises(DataError) as caught:
        list(requests(frame))
    return str(caught.value)


def test_a_run_remembers_its_column_its_classes_and_what_was_guessed(tmp_path, caplog, capsys):
    caplog.set_level("INFO")
    frame = table(activity=["active", "inactive", "inactive"], ID=range(40)).rename(columns={"smiles": "mol"})
    frame.to_csv(tmp_path / "mine.csv", index=False)
    run = tmp_path / "run"
    options = (f"dataset={tmp_path / 'mine.csv'}", "split=random", "corpus.limit=60", f"run_dir={run}")
    report = run_experiment(load_config(*SMALLEST, *options))
    guesses = [
        "SMILES in 'mol'",
        "target 'activity'",
        "not used 'ID' (an identifier by its name)",
        "classification",
        "in 'activity' 0 is 'inactive' and 1 is 'active'",
    ]
    assert json.loads((run / "data.json").read_text())["read_as"] == guesses == report.content["read_as"]
    assert f"read as: {'; '.join(guesses)}" in caplog.text
    model = json.loads((run / "model.json").read_text())
    assert (model["smiles_column"], model["classes"]) == ("mol", {"activity": ["inactive", "active"]})
    assert "1 is &#x27;active&#x27;" in (run / "report.html").read_text().replace("&#39;", "&#x27;")
    assert "1 is 'active'" in (run / "MODEL_CARD.md").read_text()
    frame.assign(SMILES="C").to_csv(tmp_path / "two.csv", index=False)
    assert main(["predict", str(run), "-i", str(tmp_path / "two.csv")]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split(",")[1] for row in rows[1:4]] == CHAINS[:3]


def test_options_of_a_command_line_reach_the_reader(tmp_path):
    table(y=[0, 1, -1, 1, 0]).to_csv(tmp_path / "mine.csv", index=False)
    config = load_config(f"dataset={tmp_path / 'mine.csv'}", "dataset.missing_values=[-1]")
    data = load_dataset(config.samples.dataset)
    assert data.task_type == "classification" and len(data) == 32
    assert data.n_unlabelled == 8


def test_the_classes_of_a_known_data_set_are_told_if_they_are_not_0_and_1(moleculenet, tmp_path):
    frame = pd.read_csv(moleculenet / "bace.csv").iloc[::20]
    frame["Class"] = np.where(frame["Class"] == 1, "yes", "no")
    frame.to_csv(tmp_path / "bace.csv", index=False)
    data = load_dataset(dataset_spec("bace"), folder=tmp_path)
    assert data.classes == {"Class": ("no", "yes")} and "in 'Class' 0 is 'no' and 1 is 'yes'" in data.notes


def test_known_data_sets_are_not_guessed_at(moleculenet):
    data = load_dataset(dataset_spec("bace"), folder=moleculenet)
    assert data.notes == () and data.smiles_column == "smiles" and data.classes == {}
