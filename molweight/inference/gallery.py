"""Explanations as a folder to look at: a page, a table of atoms, and a picture for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from molweight.inference.atom_pictures import atom_picture
from molweight.inference.explanation import Explanation, atom_table
from molweight.inference.model import TrainedModel
from molweight.utils.files import write_bytes, write_text
from molweight.utils.pages import render_page, svg_address
from molweight.utils.spreadsheets import csv_bytes


def save_gallery(explanations: Sequence[Explanation], folder: Path, *, model: TrainedModel) -> Path:
    """Write ``explanations.html``, ``atoms.csv`` and the pictures.

    Args:
        explanations: of one model.
        folder: made when missing.
        model: that was explained.

    Returns:
        The page.

    Raises:
        DataError: the folder cannot be written.
    """
    shown = []
    for explanation in explanations:
        svg = "" if explanation.scores is None else atom_picture(explanation.smiles, explanation.scores)
        if svg:
            target = list(model.task.names).index(explanation.target) + 1
            write_text(folder / f"row{explanation.row}-target{target}.svg", svg)
        shown.append((explanation, svg_address(svg)))
    write_bytes(folder / "atoms.csv", csv_bytes(atom_table(explanations)))
    classes = model.task.kind == "classification"
    units = "logit" if classes else model.units or ""
    text = render_page(
        "molweight.inference", "explanations.html", shown=shown, units=units, model=str(model.path)
    )
    page = folder / "explanations.html"
    write_text(page, text)
    return page
