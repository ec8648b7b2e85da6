"""What may be done to a molecule before it is spelled and drawn."""

from __future__ import annotations

from dataclasses import dataclass

from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize

from molweight.data.smiles import (
    ATOM_NUMBER,
    MOST_SPELLINGS,
    InvalidSmilesError,
    canonical,
    canonical_of,
    parse,
)


@dataclass(frozen=True, kw_only=True)
class Standardisation:
    """RDKit's MolStandardize, step by step; published results use none of it.

    Args:
        cleanup: normalise functional groups (a pentavalent nitro group becomes charged), disconnect metals,
            reionise.
        largest_fragment: keep the largest part of a salt or mixture.
        uncharge: neutralise charges by adding or removing hydrogens.
    """

    cleanup: bool = False
    largest_fragment: bool = False
    uncharge: bool = False

    def __bool__(self) -> bool:
        return self.cleanup or self.largest_fragment or self.uncharge

    def __call__(self, mol: Chem.Mol) -> Chem.Mol:
        """The standardised molecule.

        Raises:
            InvalidSmilesError: RDKit cannot standardise it.
        """
        try:
            with rdBase.BlockLogs():
                if self.cleanup:
                    mol = rdMolStandardize.Cleanup(mol)
                if self.largest_fragment:
                    mol = rdMolStandardize.FragmentParent(mol, skipStandardize=True)
                if self.uncharge:
                    mol = rdMolStandardize.Uncharger().uncharge(mol)
                Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
        except Exception as error:  # RDKit raises several unrelated classes here
            raise InvalidSmilesError(f"cannot be standardised: {error}") from None
        return mol


AS_GIVEN = Standardisation()


def standard_smiles(smiles: object, standardise: Standardisation = AS_GIVEN) -> str:
    """The canonical SMILES of a string, standardised.

    Raises:
        InvalidSmilesError: not a molecule, or one that cannot be standardised.

    >>> standard_smiles("CC(=O)[O-].[Na+]")
    'CC(=O)[O-].[Na+]'
    >>> standard_smiles("CC(=O)[O-].[Na+]", Standardisation(largest_fragment=True, uncharge=True))
    'CC(=O)O'
    """
    if not standardise:
        return canonical(smiles)
    return canonical_of(standardise(parse(smiles)))


def input_atoms(text: str, smiles: str, standardise: Standardisation = AS_GIVEN) -> list[int]:
    """Where the atoms of a canonical SMILES stand in the string that it was made of.

    Args:
        text: that string.
        smiles: what :func:`standard_smiles` makes of it.
        standardise: as there.

    Returns:
        For every atom its number in ``text``, counted from 0 with explicit hydrogens.
    """
    mol = standardise(parse(text, numbered=True))
    numbers = [atom.GetIntProp(ATOM_NUMBER) for atom in mol.GetAtoms()]
    for _ in range(MOST_SPELLINGS + 1):  # the way of canonical_of
        spelling = Chem.MolToSmiles(mol)
        numbers = [numbers[atom] for atom in mol.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"]]
        if spelling == smiles:
            break
        mol = parse(spelling, numbered=True)
        numbers = [numbers[atom.GetIntProp(ATOM_NUMBER)] for atom in mol.GetAtoms()]
    return numbers
