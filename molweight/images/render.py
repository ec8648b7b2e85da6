"""A molecule as a picture. Imports nothing but RDKit and Pillow, because drawing processes import it."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from rdkit import Chem, rdBase
from rdkit.Chem.Draw import rdMolDraw2D

from molweight.data.smiles import InvalidSmilesError
from molweight.errors import ConfigError

SMALLEST, LARGEST = 16, 2048  # px; below, a molecule is a smudge; above, one picture takes 12 MB


def render(smiles: str, size: int) -> np.ndarray:
    """The picture of a molecule on white, pixel by pixel the one that ImageMol draws.

    ImageMol draws with ``Draw.MolsToGridImage([mol], molsPerRow=1, subImgSize=(S, S))``. The picture depends
    on how the SMILES is spelled: pass the canonical one.

    Args:
        smiles: a valid SMILES.
        size: side of the picture, 16 to 2048 px.

    Returns:
        [S, S, 3] uint8, RGB.

    Raises:
        ConfigError: ``size`` is out of range.
        InvalidSmilesError: RDKit cannot read or draw the molecule.
    """
    _, drawing = _drawn(smiles, size)
    picture = Image.open(io.BytesIO(drawing.GetDrawingText()))
    return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))


def atom_positions(smiles: str, size: int) -> np.ndarray:
    """Where the atoms are in the picture of :func:`render`: column and row in px, [atoms, 2] float64.

    Args:
        smiles, size: as there; atoms in the order of the SMILES.

    Raises:
        ConfigError, InvalidSmilesError: as there.
    """
    mol, drawing = _drawn(smiles, size)
    positions = [drawing.GetDrawCoords(atom) for atom in range(mol.GetNumAtoms())]
    return np.array([(position.x, position.y) for position in positions], dtype=np.float64)


def _drawn(smiles: str, size: int) -> tuple[Chem.Mol, rdMolDraw2D.MolDraw2DCairo]:
    """A molecule, and the canvas on which it is drawn."""
    check_size(size)
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
        if mol is None or mol.GetNumAtoms() == 0:
            raise InvalidSmilesError("not a SMILES string" if mol is None else "no atoms")
        drawing = rdMolDraw2D.MolDraw2DCairo(size, size)
        # Otherwise the PNG holds three spellings of the molecule, which take time.
        drawing.drawOptions().includeMetadata = False  # type: ignore[assignment]
        try:
            drawing.DrawMolecule(mol)
        except (RuntimeError, ValueError) as error:  # what RDKit's C++ exceptions become
            raise InvalidSmilesError(f"cannot be drawn: {error}") from error
        drawing.FinishDrawing()
    return mol, drawing


def check_size(size: int) -> None:
    """Raise :class:`ConfigError` unless a picture of this side makes sense."""
    if type(size) is not int or not SMALLEST <= size <= LARGEST:
        raise ConfigError(f"the picture size must lie in {SMALLEST}..{LARGEST} px, found {size!r}")
