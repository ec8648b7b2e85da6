"""Options that are text keep the text; all others are what Hydra makes of them."""

from __future__ import annotations

import pytest

from molweight.config.composition import MOLECULES, spelled_out
from molweight.config.image_run import load_config
from molweight.nlp.config import TEXT
from molweight.runs.sweep import combinations

OWN = ("dataset=csv", "dataset.path=my.csv")
NAMES = ("1e5", "1_1", "null", "true", "False", "NULL", "nan", "-inf", "+5", "007", "1.10", "1.", "12")


def test_columns_are_matched_by_their_text():
    """``NULL``, ``nan`` and the like differ by their letters only, and all are different names."""
    options = [f"dataset.{option}=[{', '.join(NAMES)}]" for option in ("targets", "ignore", "smiles_aliases")]
    options += ["+dataset.aliases.logD=[1e5,null]", "dataset.units=1_1"]
    card = load_config(*OWN, *options).samples.dataset
    assert card.targets == card.ignore == card.smiles_aliases == NAMES
    assert card.aliases == {"logD": ("1e5", "null")} and card.units == "1_1"


@pytest.mark.parametrize("name", ["1e5", "nan", "true", "1.10"])
def test_the_smiles_column_is_matched_by_its_text(name):
    assert load_config(*OWN, f"dataset.smiles_column={name}").samples.dataset.smiles_column == name


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("dataset.targets=['1e5', a\\,1e5 ,\"1_1\"]", ("1e5", "a,1e5", "1_1")),
        ("dataset.targets=[ 1e5 ]", ("1e5",)),
        ("dataset.targets=null", None),
        ("dataset.targets=NULL", None),
    ],
)
def test_quotes_escapes_and_the_absence_of_a_value_stay(option, expected):
    assert load_config(*OWN, option).samples.dataset.targets == expected


def test_options_that_are_no_text_stay_what_they_are():
    config = load_config(*OWN, "dataset.threshold=1e1", "corpus.limit=1_000", "learn.pretrain.lr=1e-2")
    assert config.samples.dataset.threshold == 10.0 and config.samples.corpus.limit == 1000
    assert config.samples.corpus.smiles_column is None and config.learn.pretrain.lr == 0.01
    config = load_config("corpus.smiles_column=null", "split.path=null", "backbone.init=null", "run_dir=1e5")
    assert config.samples.backbone.init is None and config.run_dir.name == "1e5"


@pytest.mark.parametrize(
    "option",
    ["dataset.targets=[1,1.5,logD]", "dataset.targets=null", "seed=1e5", "dataset=1e5", "--cfg", "=1e5"],
)
def test_what_was_right_is_passed_on_as_it_was(option):
    """The hash of a run, by which it is continued, knows a number from its text."""
    assert spelled_out([option]) == [option]


def test_a_sweep_lists_names_too():
    choices = combinations(["dataset.smiles_column=1e5,nan,a", "seed=0,1"], MOLECULES)
    swept = [choice.options[0] for choice in choices[::2]]
    assert [load_config(*OWN, one).samples.dataset.smiles_column for one in swept] == ["1e5", "nan", "a"]


def test_text_has_names_of_its_own():
    found = spelled_out(["corpus.path=1e5", "backbone.name=1_1"], TEXT)
    assert found == ["corpus.path='1e5'", "backbone.name='1_1'"]


@pytest.mark.parametrize("tree", [MOLECULES, TEXT])
def test_every_section_of_a_schema_is_there(tree):
    for section in tree.schema:
        assert spelled_out([f"{section}.name=1e5", f"{section}.none=1e5"], tree)[1] == f"{section}.none=1e5"
