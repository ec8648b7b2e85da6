"""From a string to a molecule and back to the one spelling that the project uses."""

from __future__ import annotations

from rdkit import Chem, rdBase

from molweight.errors import NO_SMILES

LONGEST = 5_000  # characters; ten for each of the most atoms that are drawn
HEAVIEST = 500  # heavy atoms (the largest drug in SIDER has 492); laying out 1,000 takes seconds


class InvalidSmilesError(ValueError):
    """A string that is not a molecule; the message says why."""

    status = "invalid"


class UnsupportedMoleculeError(InvalidSmilesError):
    """Possibly a molecule, but too large to be one picture; the message says by how much."""

    status = "unsupported"


def advice(name: str) -> str:
    """What to add to the sentence on a file that is not there, if its name is a molecule; else nothing."""
    try:
        parse(name)
    except InvalidSmilesError:
        return ""
    return f". {NO_SMILES}"


def parse(smiles: object) -> Chem.Mol:
    """The sanitised molecule that a SMILES string spells.

    Args:
        smiles: what stood in the cell; anything but a non-empty string is invalid.

    Raises:
        InvalidSmilesError: empty, not a string, not a SMILES, or chemically impossible.
        UnsupportedMoleculeError: longer than 5,000 characters, or of more than 500 heavy atoms.
    """
    if not isinstance(smiles, str) or not smiles.strip():
        raise InvalidSmilesError("empty")
    smiles = smiles.strip()
    if len(smiles) > LONGEST:
        raise UnsupportedMoleculeError(f"{len(smiles):,} characters, at most {LONGEST:,} are read")
    if not smiles.isprintable():
        raise InvalidSmilesError("holds a control character")
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles, sanitize=False)
        if mol is None:
            raise InvalidSmilesError("not a SMILES string")
        try:
            Chem.SanitizeMol(mol)
        except Exception as error:  # RDKit raises several unrelated classes here
            reason = str(error).strip().splitlines()[0] if str(error).strip() else "cannot be sanitised"
            raise InvalidSmilesError(reason) from None
        Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
        mol = Chem.RemoveHs(mol)
    if mol.GetNumAtoms() == 0:
        raise InvalidSmilesError("no atoms")
    if mol.GetNumHeavyAtoms() > HEAVIEST:
        raise UnsupportedMoleculeError(
            f"{mol.GetNumHeavyAtoms():,} heavy atoms, at most {HEAVIEST:,} are drawn"
        )
    return mol


def canonical(smiles: object) -> str:
    """RDKit's canonical isomeric SMILES of a SMILES string.

    A picture depends on how a SMILES is spelled, so everything downstream sees this spelling.

    Raises:
        InvalidSmilesError: as :func:`parse`.
    """
    return str(Chem.MolToSmiles(parse(smiles)))


def flat(smiles: str) -> str:
    """The canonical SMILES of a valid one without stereochemistry: the same for all stereoisomers."""
    with rdBase.BlockLogs():
        return str(Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False))
