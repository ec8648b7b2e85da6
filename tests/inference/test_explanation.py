"""Scores of atoms: exact for a linear model, complete, faithful to the network, and different for another."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial import cKDTree
from torch import nn

from molweight import explain, load_config, predict, run_experiment
from molweight.__main__ import main
from molweight.data.smiles import canonical
from molweight.errors import ConfigError, DataError
from molweight.images import drawing_processes
from molweight.images.render import atom_positions, render
from molweight.images.transforms import normalised
from molweight.inference.atom_pictures import atom_picture, colour
from molweight.inference.explanation import (
    atom_table,
    explanations,
    integrated_gradients,
    nearest_atoms,
)
from molweight.inference.model import load_model

MOLECULES = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    "O=C(O)c1ccc(Cl)cc1Cl",
    "CCN(CC)CCOC(=O)c1ccc(N)cc1",
]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A finished run from the shipped weights at their own size."""
    folder = tmp_path_factory.mktemp("explained") / "run"
    run_experiment(load_config("experiment=smoke", "method=direct", f"run_dir={folder}"), page=False)
    return folder


class Linear(nn.Module):
    """A model whose output is a weighted sum of pixels."""

    def __init__(self, size):
        super().__init__()
        self.weights = nn.Parameter(torch.randn(3, size, size, generator=torch.Generator().manual_seed(0)))
        self.head = nn.Linear(1, 1)

    def forward(self, batch):
        return (batch["pixels"] * self.weights).sum((1, 2, 3))[:, None]


def picture_of(smiles, size):
    return torch.tensor(render(canonical(smiles), size)).permute(2, 0, 1)[None]


# The numbers


def test_the_scores_of_a_linear_model_are_those_of_its_weights(run_dir):
    model = load_model(run_dir)
    linear = Linear(model.image_size)
    explained = replace(model, module=linear)
    (found,) = explanations(explained, [MOLECULES[0]], steps=3)
    difference = normalised(picture_of(MOLECULES[0], 64)) - normalised(
        torch.full((1, 3, 64, 64), 255, dtype=torch.uint8)
    )
    pixels = (difference * linear.weights).sum(1)[0].detach().numpy() * model.task.std.item()
    owners = nearest_atoms(atom_positions(canonical(MOLECULES[0]), 64), 64)
    expected = [pixels[owners == atom].sum() for atom in range(13)]
    np.testing.assert_allclose(found.scores, expected, rtol=1e-3, atol=1e-3)
    assert abs(found.remainder) < 1e-2


def test_scores_add_up_to_the_prediction(run_dir):
    found = explain(run_dir, MOLECULES)
    missing = [abs(one.remainder) / abs(one.prediction - one.blank) for one in found]
    assert np.median(missing) < 0.1
    coarse = [abs(one.remainder) for one in explain(run_dir, MOLECULES, steps=8)]
    assert np.mean(coarse) > np.mean([abs(one.remainder) for one in found])


def test_predictions_are_those_of_the_model(run_dir):
    found = [one.prediction for one in explain(run_dir, MOLECULES, steps=1)]
    np.testing.assert_allclose(found, predict(run_dir, MOLECULES)["Act"], rtol=1e-5)


def test_a_pixel_belongs_to_the_nearest_atom():
    places = atom_positions(canonical(MOLECULES[1]), 64)
    middle = np.arange(64) + 0.5
    columns, rows = np.meshgrid(middle, middle)
    _, expected = cKDTree(places).query(np.stack([columns, rows], axis=-1))
    np.testing.assert_array_equal(nearest_atoms(places, 64), expected)


@pytest.mark.parametrize("size", [64, 224])
def test_atoms_are_where_their_letters_are(size):
    """Oxygen is drawn in red and nitrogen in blue, and carbon in neither."""
    from rdkit import Chem

    smiles = canonical("OCCCCCCN")
    picture, places = render(smiles, size).astype(float), atom_positions(smiles, size)
    reach = max(2, size // 24)
    for atom, (column, row) in zip(Chem.MolFromSmiles(smiles).GetAtoms(), places, strict=True):
        x, y = int(column), int(row)
        patch = picture[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        red, blue = (patch[..., 0] - patch[..., 2]).max(), (patch[..., 2] - patch[..., 0]).max()
        found = "O" if red > 100 else "N" if blue > 100 else "C"
        assert found == atom.GetSymbol()


def test_atoms_are_those_of_the_input(run_dir):
    """Atom maps change no score, and every atom keeps its number in the string."""
    plain, mapped, turned = explain(run_dir, ["CCO", "[CH3:1][CH2:2][OH:3]", "[OH:3][CH2:2][CH3:1]"], steps=4)
    assert mapped.smiles == turned.smiles == plain.smiles == "CCO"
    np.testing.assert_array_equal(mapped.scores, plain.scores)
    np.testing.assert_array_equal(turned.scores, plain.scores)
    assert (mapped.input_atoms, turned.input_atoms) == ((0, 1, 2), (2, 1, 0))
    table = atom_table([turned]).set_index("input_atom").sort_index()
    assert table["symbol"].tolist() == ["O", "C", "C"]
    assert table["score"].tolist() == plain.scores[::-1].tolist()


# What they say of the network


def test_other_weights_give_other_scores(run_dir):
    """The sanity check of Adebayo et al. 2018: a map that ignores the weights explains nothing."""
    model = load_model(run_dir)
    before = [one.scores for one in explanations(model, MOLECULES, steps=32)]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for module in model.module.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.reset_parameters()
    after = [one.scores for one in explanations(model, MOLECULES, steps=32)]
    alike = [np.corrcoef(a, b)[0, 1] for a, b in zip(before, after, strict=True)]
    assert np.mean(alike) < 0.5


def test_deleting_the_highest_scored_pixels_changes_more_than_deleting_others(run_dir):
    model, generator = load_model(run_dir), np.random.default_rng(0)
    highest, others = [], []
    for smiles in MOLECULES:
        picture = picture_of(smiles, 64)
        scores, prediction, blank = integrated_gradients(model, picture, 0, 128)
        drawn = np.flatnonzero((picture[0] < 250).any(0).numpy())
        count = len(drawn) // 5
        ranked = drawn[np.argsort(-scores.ravel()[drawn] * np.sign(prediction - blank))]

        def change(pixels, picture=picture, prediction=prediction):
            left = picture.clone()
            left.flatten(2)[..., pixels] = 255
            return abs(model.values(model.outputs(left)).item() - prediction)

        highest.append(change(ranked[:count]))
        others += [change(generator.choice(drawn, count, replace=False)) for _ in range(20)]
    assert np.mean(highest) > 1.2 * np.mean(others)


# Rows, targets, pictures


def test_every_row_has_its_place(run_dir):
    found = explain(run_dir, ["CCO", "no molecule", "", "C" * 6_000], steps=1)
    assert [one.row for one in found] == [1, 2, 3, 4]
    assert [one.status for one in found] == ["ok", "invalid", "invalid", "unsupported"]
    assert [one.reason != "" for one in found] == [False, True, True, True]


CRASHING = """
import json, os, sys
sys.path[:] = json.loads(sys.argv[1])
from molweight.images import drawing_processes as drawing
honest = drawing.draw
def draw(text, size, **how):
    if text == "NCC": os._exit(11)
    return honest(text, size, **how)
drawing.draw = draw
drawing.serve(**json.loads(sys.argv[2]))
"""


def test_many_molecules_are_drawn_by_processes_that_may_crash(run_dir, monkeypatch):
    """One more than are drawn here; none but two are molecules, which keeps it fast."""
    few = explain(run_dir, ["CCO"], steps=1)[0]
    monkeypatch.setattr(drawing_processes, "CHILD", CRASHING)
    found = explain(run_dir, ["", "NCC", *["-"] * 62, "OCC"], steps=1)
    assert [one.status for one in found] == ["invalid", "unsupported", *["invalid"] * 62, "ok"]
    assert found[1].input == "NCC" and "ended the process that drew it (code 11)" in found[1].reason
    assert found[-1].row == len(found) == 65 and found[-1].input == "OCC" and found[-1].smiles == few.smiles
    np.testing.assert_array_equal(found[-1].scores, few.scores)


def test_a_notebook_shows_the_molecule(run_dir):
    good, bad = (one._repr_html_() for one in explain(run_dir, ["CCO", "<b>"], steps=1))
    assert good.startswith('<img src="data:image/svg+xml;base64,') and "<p>Act: " in good
    assert bad == "<p>row 2 is invalid: not a SMILES string</p>"


def test_what_cannot_be_explained_is_a_sentence(run_dir, monkeypatch):
    with pytest.raises(ConfigError, match="unknown target 'act'"):
        explain(run_dir, ["CCO"], targets=["act"])
    with pytest.raises(ConfigError, match="steps must be at least 1"):
        explain(run_dir, ["CCO"], steps=0)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(DataError, match=r"pip install 'molweight\[explain\]'"):
        explain(run_dir, ["CCO"])


def test_colours_are_red_and_blue():
    red, green, blue = colour(1.0)
    assert red > 0.8 and max(green, blue) < 0.2 and colour(0.0) == (1.0, 1.0, 1.0)
    red, green, blue = colour(-1.0)
    assert blue > 0.6 and red < 0.2 and colour(-5.0) == colour(-1.0)
    picture = atom_picture("CO", np.array([1.0, -0.5]))
    assert "#D63026" in picture.upper()


def test_the_command_writes_a_folder(run_dir, tmp_path, capsys):
    folder = tmp_path / "why"
    arguments = [str(run_dir), "CCO", "bad<b>", "c1ccccc1O", "-o", str(folder), "--steps", "4"]
    assert main(["explain", *arguments]) == 0
    assert "2 explained, 1 not" in capsys.readouterr().err
    names = {path.name for path in folder.iterdir()}
    assert names == {"explanations.html", "atoms.csv", "row1-target1.svg", "row3-target1.svg"}
    table = pd.read_csv(folder / "atoms.csv")
    assert table.groupby("row").size().to_dict() == {1: 3, 3: 7}
    assert "".join(table[table.row == 1].symbol) == "CCO"
    page = (folder / "explanations.html").read_text()
    assert "bad&lt;b&gt;" in page and page.count("data:image/svg+xml") == 2 and "<script" not in page
