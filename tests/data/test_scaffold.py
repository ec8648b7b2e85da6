"""Scaffolds whose answer is known from the definition of Bemis and Murcko."""

from __future__ import annotations

import pytest
from rdkit import Chem

from molweight.data.smiles import InvalidSmilesError, canonical
from molweight.data.splits.scaffold import scaffold


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        ("CCO", ""),  # acyclic
        ("[Na+].[Cl-]", ""),
        ("Cc1ccccc1", "c1ccccc1"),  # side chains go
        ("OCCc1ccccc1CCC1CCNCC1", "c1ccc(CCC2CCNCC2)cc1"),  # linkers stay
        ("O=C1CCCCC1C", "O=C1CCCCC1"),  # so do exocyclic double bonds
    ],
)
def test_known_scaffold(smiles: str, expected: str) -> None:
    for chirality in (True, False):
        assert scaffold(smiles, chirality=chirality) == canonical_or_empty(expected)


def test_chirality_tells_stereoisomers_apart_or_not() -> None:
    left, right = "C1C[C@H](c2ccccc2)CO1", "C1C[C@@H](c2ccccc2)CO1"
    assert scaffold(left, chirality=True) != scaffold(right, chirality=True)
    assert scaffold(left, chirality=False) == scaffold(right, chirality=False)
    assert "@" in scaffold(left, chirality=True)
    assert "@" not in scaffold(left, chirality=False)


def test_a_scaffold_is_its_own_scaffold() -> None:
    once = scaffold("CC(=O)Nc1ccc(Oc2ncnc3[nH]ccc23)cc1", chirality=True)
    assert once and scaffold(once, chirality=True) == once


@pytest.mark.parametrize("smiles", ["", "not a molecule", "c1ccccc", "C(C)(C)(C)(C)C"])
def test_no_molecule_is_an_error_without_noise(smiles: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidSmilesError, match="has no scaffold"):
        scaffold(smiles, chirality=True)
    assert capfd.readouterr().err == ""


def canonical_or_empty(smiles: str) -> str:
    assert not smiles or Chem.MolFromSmiles(smiles) is not None
    return canonical(smiles) if smiles else ""
