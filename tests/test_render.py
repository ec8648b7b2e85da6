"""Pictures: ImageMol's, pixel by pixel, in the order of the molecules, from any number of processes."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import Draw

from molweight.errors import ConfigError, DataError
from molweight.molecules import render as module
from molweight.molecules.render import render, render_all
from molweight.molecules.smiles import InvalidSmilesError, canonical

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


@pytest.mark.parametrize("size", [16, 50])
def test_all_pictures_are_the_single_pictures(molecules: list[str], size: int) -> None:
    pictures = render_all(molecules[:5], size)
    assert pictures.dtype == torch.uint8 and pictures.shape == (5, 3, size, size)
    for picture, smiles in zip(pictures, molecules[:5], strict=True):
        np.testing.assert_array_equal(picture.permute(1, 2, 0).numpy(), render(smiles, size))


def test_no_molecules_no_pictures() -> None:
    assert render_all([], 32).shape == (0, 3, 32, 32)
    assert render_all([], 32, workers=2).shape == (0, 3, 32, 32)


@pytest.mark.parametrize("chunk", [7, 20])  # 40 = 5 * 7 + 5: the last chunk is short; 2 * 20: one each
def test_processes_keep_the_order(molecules: list[str], chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    expected = render_all(molecules, 48)
    assert len({picture.numpy().tobytes() for picture in expected}) > 30, "the order must be visible"
    assert torch.equal(render_all(molecules, 48, workers=2), expected)


def test_many_molecules_use_processes(molecules: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(module, "_cores", lambda: 2)
    monkeypatch.setattr(module, "MANY", 10)
    monkeypatch.setattr(
        module, "_draw_in_processes", lambda smiles, pictures, workers, _: calls.append(workers)
    )
    render_all(molecules[:10], 32)
    assert calls == []
    render_all(molecules[:11], 32)
    assert calls == [2]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("bad", "reason"), [("C(C)(C)(C)(C)C", "not a SMILES string"), ("", "no atoms"), ("xyz", "not a SMILES")]
)
def test_undrawable_molecule_is_named(
    molecules: list[str], workers: int, bad: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 4)
    smiles = [*molecules[:9], bad, *molecules[9:12]]
    with pytest.raises(DataError, match=rf"row 9: cannot draw {re.escape(repr(bad))}: {reason}"):
        render_all(smiles, 32, workers=workers)


def test_undrawable_single_molecule() -> None:
    with pytest.raises(InvalidSmilesError, match="not a SMILES string"):
        render("C(C)(C)(C)(C)C", 32)


def test_a_process_that_dies_is_an_error(molecules: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHILD", "import sys; sys.stdin.readline(); sys.exit(9)")
    with pytest.raises(DataError, match=r"ended with code 9 at rows 0 to 11; .*workers=1"):
        render_all(molecules[:12], 32, workers=2)
    monkeypatch.setattr(module, "CHILD", "import sys; sys.stdin.close(); sys.exit(3)")
    with pytest.raises(DataError, match="ended with code 3"):
        render_all(molecules[:12], 32, workers=2)


def test_drawing_process_does_not_import_torch() -> None:
    program = "import sys; import molweight.molecules.render; sys.exit('torch' in sys.modules)"
    root = str(Path(module.__file__).parents[2])
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0


@pytest.mark.parametrize("size", [15, 2049, 0, -64, 64.0, True])
def test_size_out_of_range(size: int) -> None:
    message = f"the picture size must lie in 16..2048 px, found {size!r}"
    for draw in (lambda: render("C", size), lambda: render_all(["C"], size)):
        with pytest.raises(ConfigError, match=re.escape(message)):
            draw()


def test_workers_out_of_range() -> None:
    with pytest.raises(ConfigError, match="workers must be at least 1, found 0"):
        render_all(["C"], 32, workers=0)


@pytest.mark.parametrize("progress", [True, False])
@pytest.mark.parametrize("workers", [1, 2])
def test_no_bar_without_a_terminal(progress: bool, workers: int, capfd: pytest.CaptureFixture[str]) -> None:
    render_all(["C", "CC"], 32, progress=progress, workers=workers)
    assert capfd.readouterr().err == ""


def test_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    render_all(["C", "CC"], 32, progress=True)
    shown = capsys.readouterr().err
    assert shown.lstrip("\r").startswith("render") and "2/2" in shown
    render_all(["C", "CC"], 32)
    assert capsys.readouterr().err == ""
