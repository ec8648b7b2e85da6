"""A picture: ImageMol's, pixel by pixel."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import Draw

from molweight.data.smiles import InvalidSmilesError, canonical
from molweight.errors import ConfigError
from molweight.images import render as module
from molweight.images.render import render

CAFFEINE = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"


@pytest.fixture(scope="module")
def molecules(moleculenet: Path) -> list[str]:
    """40 canonical SMILES: large and chiral (BACE), salts and metals (Tox21)."""
    found = []
    for name in ("bace", "tox21"):
        with (moleculenet / f"{name}.csv").open() as file:
            raw = [row["smiles"] for row in csv.DictReader(file)]
        found += [canonical(smiles) for smiles in raw[:: len(raw) // 20][:20]]
    return found


@pytest.mark.parametrize("size", [64, 224])
def test_picture_is_imagemols(molecules: list[str], size: int) -> None:
    """Oracle: ImageMol's data preparation, ``Draw.MolsToGridImage`` with one molecule."""
    assert len(molecules) == 40
    for smiles in molecules:
        mol = Chem.MolFromSmiles(smiles)
        expected = np.asarray(Draw.MolsToGridImage([mol], molsPerRow=1, subImgSize=(size, size)))
        picture = render(smiles, size)
        assert picture.dtype == np.uint8
        np.testing.assert_array_equal(picture, expected, err_msg=smiles)


def test_background_is_white_and_the_molecule_is_there() -> None:
    picture = render(CAFFEINE, 64)
    assert picture.shape == (64, 64, 3)
    assert (picture[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    assert 0.02 < (picture < 255).any(axis=2).mean() < 0.5


def test_colours_are_rgb() -> None:
    """RDKit draws oxygen red and nitrogen blue."""
    red, _, blue = np.moveaxis(render("O", 64).astype(int), 2, 0)
    assert (red - blue).max() > 100 > (blue - red).max()
    red, _, blue = np.moveaxis(render("N", 64).astype(int), 2, 0)
    assert (blue - red).max() > 100 > (red - blue).max()


def test_canonical_spelling_makes_the_picture_invariant() -> None:
    mol = Chem.MolFromSmiles(CAFFEINE)
    spellings = set(Chem.MolToRandomSmilesVect(mol, 20, 1))
    assert len(spellings) > 10
    raw = {render(smiles, 64).tobytes() for smiles in spellings}
    assert len(raw) > 1, "the raw spelling is expected to matter, or canonicalising would be idle"
    assert {render(canonical(smiles), 64).tobytes() for smiles in spellings} == {
        render(canonical(CAFFEINE), 64).tobytes()
    }


def test_undrawable_single_molecule() -> None:
    with pytest.raises(InvalidSmilesError, match="not a SMILES string"):
        render("C(C)(C)(C)(C)C", 32)


def test_drawing_process_does_not_import_torch() -> None:
    program = "import sys; import molweight.images.drawing_processes; sys.exit('torch' in sys.modules)"
    root = str(Path(module.__file__).parents[2])
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0


@pytest.mark.parametrize("size", [15, 2049, 0, -64, 64.0, True])
def test_size_out_of_range(size: int) -> None:
    message = f"the picture size must lie in 16..2048 px, found {size!r}"
    with pytest.raises(ConfigError, match=re.escape(message)):
        render("C", size)
