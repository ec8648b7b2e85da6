"""Explanations as a folder to look at: a page, a table of atoms, and a picture for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from molweight.inference.atom_pictures import atom_picture
from molweight.inference.explanation import Explanation, atom_table
from molweight.inference.model import TrainedModel
from molweight.utils.files import write_text
from molweight.utils.pages import render_page, svg_address
from molweight.utils.spreadsheets import csv_text


def save_gallery(found: Sequence[Explanation], folder: Path, *, model: TrainedModel) -> Path:
    """Write ``explanations.html``, ``atoms.csv`` and the pictures.

    Args:
        found: explanations, of one model.
        folder: made when missing.
        model: that was explained.

    Returns:
        The page.

    Raises:
        DataError: the folder cannot be written.
    """
    shown = []
    for one in found:
        svg = "" if one.scores is None else atom_picture(one.smiles, one.scores)
        if svg:
            place = list(model.task.names).index(one.target)
            write_text(folder / f"row{one.row}-target{place + 1}.svg", svg)
        shown.append((one, svg_address(svg)))
    write_text(folder / "atoms.csv", csv_text(atom_table(found)))
    classes = model.task.kind == "classification"
    page = folder / "explanations.html"
    units = "logit" if classes else model.units or ""
    values = {"shown": shown, "units": units, "model": str(model.path)}
    write_text(page, render_page("molweight.inference", "explanations.html", **values))
    return page
