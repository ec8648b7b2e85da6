"""The ring systems and linkers of a molecule, which decide who may learn from whom."""

from __future__ import annotations

from functools import lru_cache

from rdkit import rdBase
from rdkit.Chem.Scaffolds import MurckoScaffold

from molweight.data.smiles import InvalidSmilesError


@lru_cache(maxsize=1 << 17)  # the split, the report and every further run on the same molecules ask again
def scaffold(smiles: str, *, chirality: bool) -> str:
    """Bemis-Murcko scaffold SMILES: the rings and the chains between them, without side chains.

    Every acyclic molecule has the scaffold ``""``, so all of them form one scaffold set.

    Args:
        smiles: a valid SMILES.
        chirality: tell stereoisomers of a scaffold apart (ImageMol, utils/splitter.py: True;
            DeepChem, splits/splitters.py: False). The flag alone changes a fifth of BACE's test part.

    Raises:
        InvalidSmilesError: ``smiles`` is empty or not a molecule.

    >>> scaffold("CCc1ccc(O)cc1", chirality=False)
    'c1ccccc1'
    >>> scaffold("CCO", chirality=False)
    ''
    """
    with rdBase.BlockLogs():
        try:
            rings = MurckoScaffold.MurckoScaffoldSmiles(  # type: ignore[no-untyped-call]
                smiles=smiles, includeChirality=chirality
            )
        except ValueError as error:  # "No molecule provided"
            raise InvalidSmilesError(f"{smiles!r} has no scaffold: not a SMILES string") from error
    return str(rings or "")
