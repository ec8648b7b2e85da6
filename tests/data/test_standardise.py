"""Standardising, and what must not change a picture: the way a molecule is spelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from molweight.config.image_run import load_config
from molweight.data.datasets import load_dataset
from molweight.data.smiles import InvalidSmilesError, canonical, parse
from molweight.data.specs import DatasetSpec
from molweight.data.standardise import AS_GIVEN, Standardisation, standard_smiles
from molweight.images.render import render

ALL = Standardisation(cleanup=True, largest_fragment=True, uncharge=True)


@pytest.fixture(scope="module")
def molecules(moleculenet: Path) -> list[str]:
    """60 SMILES of BACE (chiral, large), SIDER (drugs, salts) and Tox21 (metals, mixtures)."""
    found: list[str] = []
    for name in ("bace", "sider", "tox21"):
        raw = pd.read_csv(moleculenet / f"{name}.csv")["smiles"]
        found += raw.iloc[:: len(raw) // 20].head(20).tolist()
    return found


@pytest.mark.parametrize("standardise", [AS_GIVEN, ALL], ids=["as given", "standardised"])
def test_no_spelling_changes_the_picture(molecules: list[str], standardise: Standardisation) -> None:
    """Random orders of atoms, Kekulé structures, explicit hydrogens."""
    visible = 0
    for text in molecules:
        mol = parse(text)
        spellings = set(Chem.MolToRandomSmilesVect(mol, 4, 1))
        spellings.add(Chem.MolToSmiles(Chem.AddHs(mol)))
        kekulised = Chem.Mol(mol)
        Chem.Kekulize(kekulised, clearAromaticFlags=True)
        spellings.add(Chem.MolToSmiles(kekulised, kekuleSmiles=True))
        expected = standard_smiles(text, standardise)
        for spelling in spellings:
            assert standard_smiles(spelling, standardise) == expected, spelling
        picture = render(expected, 32)
        visible += any((render(spelling, 32) != picture).any() for spelling in spellings)
        np.testing.assert_array_equal(picture, render(standard_smiles(expected, standardise), 32))
    assert visible > 40, "without canonicalising the spelling must be visible"


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        ({}, "[Na+].CC(=O)[O-]", "CC(=O)[O-].[Na+]"),
        ({"largest_fragment": True}, "[Na+].CC(=O)[O-]", "CC(=O)[O-]"),
        ({"uncharge": True}, "C[NH3+]", "CN"),
        ({"largest_fragment": True, "uncharge": True}, "[Na+].CC(=O)[O-]", "CC(=O)O"),
        ({"cleanup": True}, "CN(=O)=O", "C[N+](=O)[O-]"),
        ({"cleanup": True}, "CC(=O)O[Na]", "CC(=O)[O-].[Na+]"),
        ({}, "CC(=O)O[Na]", "CC(=O)O[Na]"),
    ],
)
def test_each_step_does_what_it_says(options: dict[str, bool], text: str, expected: str) -> None:
    assert standard_smiles(text, Standardisation(**options)) == canonical(expected)


def test_what_is_no_molecule_stays_invalid() -> None:
    with pytest.raises(InvalidSmilesError, match="Explicit valence"):
        standard_smiles("C(C)(C)(C)(C)C", ALL)


def test_salts_of_one_molecule_become_duplicates(tmp_path: Path) -> None:
    table = tmp_path / "salts.csv"
    table.write_text("smiles,y\n[Na+].CC(=O)[O-],1.5\nCC(=O)O,2.5\nCCO,3.5\n")
    card = DatasetSpec(name="csv", path=str(table), targets=["y"], smiles_column="smiles")
    assert load_dataset(card).n_duplicates == 0
    found = load_dataset(card, standardise=ALL)
    assert found.smiles == ["CC(=O)O", "CC(=O)O", "CCO"] and found.n_conflicting == 1


def test_it_is_an_option_of_a_run() -> None:
    assert load_config("run_dir=x").samples.standardise == AS_GIVEN
    chosen = load_config("run_dir=x", "standardise.uncharge=true").samples.standardise
    assert chosen == Standardisation(uncharge=True)
