"""Molecules whose atoms are coloured by their scores: red raises the prediction, blue lowers it."""

from __future__ import annotations

import numpy as np
from rdkit import Chem
from rdkit.Chem.Draw import rdMolDraw2D

WIDTH, HEIGHT = 420, 320  # px
RADIUS = 0.45  # of a highlight; a bond is about 1.5 long
UP = np.array([0.84, 0.19, 0.15])  # red
DOWN = np.array([0.13, 0.40, 0.67])  # blue


def atom_picture(smiles: str, scores: np.ndarray, *, size: tuple[int, int] = (WIDTH, HEIGHT)) -> str:
    """An SVG picture.

    Args:
        smiles: valid.
        scores: [a], one for each of its atoms.
        size: width and height, px.
    """
    mol = Chem.MolFromSmiles(smiles)
    top = float(np.abs(scores).max(initial=0.0)) or 1.0
    canvas = rdMolDraw2D.MolDraw2DSVG(*size)
    atoms = list(range(mol.GetNumAtoms()))
    rdMolDraw2D.PrepareAndDrawMolecule(
        canvas,
        mol,
        highlightAtoms=atoms,
        highlightAtomColors={atom: colour(float(scores[atom]) / top) for atom in atoms},
        highlightAtomRadii=dict.fromkeys(atoms, RADIUS),
        highlightBonds=[],
    )
    canvas.FinishDrawing()
    return str(canvas.GetDrawingText())


def colour(score: float) -> tuple[float, float, float]:
    """White at 0, red at 1, blue at -1."""
    strength = min(abs(score), 1.0)
    mixed = 1 - strength * (1 - (UP if score > 0 else DOWN))
    return float(mixed[0]), float(mixed[1]), float(mixed[2])
