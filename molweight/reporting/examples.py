"""The best and the worst predicted test samples, with their pictures where they are molecules."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from molweight.utils.output_columns import TRUE
from molweight.utils.pages import svg_address

COUNT = 6  # of the best, and of the worst
WIDTH, HEIGHT = 260, 180  # of a molecule's picture, px
MOST_TARGETS = 3  # of a sample's targets that are written beside it
CERTAIN = 1e-7  # distance of a probability from 0 and 1 below which its cross entropy no longer grows

FEWEST_STEPS, PIXELS = 16, 1 << 20  # of an explanation: some seconds for all of a page's molecules

Array = NDArray[np.float64]
Illustrate = Callable[[str, str], str]
"""``(SMILES, target) -> SVG``, empty where there is no picture."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One sample.

    Args:
        row: in the data set's file, from 1.
        text: its SMILES or sentences.
        data: an address that holds its picture; empty for text, and for what cannot be drawn.
        values: target, prediction and truth of the targets with the largest errors.
    """

    row: int
    text: str
    data: str
    values: list[tuple[str, float, float]]


def examples(
    test: pd.DataFrame,
    inputs: Sequence[str],
    targets: Sequence[str],
    task_type: str,
    illustrate: Illustrate | None,
) -> tuple[list[Example], list[Example]]:
    """The best and the worst predicted samples of the test part; no sample is in both.

    Args:
        test: rows of ``predictions.csv``.
        inputs: columns that say what a sample is.
        targets: columns of predictions, each with its truth beside it.
        task_type: of the run.
        illustrate: draws a molecule; None for sentences.
    """
    if not targets or not len(test):
        return [], []
    y_true = test[[f"{name}{TRUE}" for name in targets]].to_numpy(np.float64)
    predicted = test[list(targets)].to_numpy(np.float64)
    each = errors(y_true, predicted, task_type)
    known = ~np.isnan(each)
    mean = np.where(known, each, 0.0).sum(1) / np.maximum(known.sum(1), 1)
    order = np.argsort(np.where(known.any(1), mean, np.nan), kind="stable")[: int(known.any(1).sum())]
    count = min(COUNT, len(order) // 2)

    def show(position: int) -> Example:
        line = test.iloc[position]
        columns = np.argsort(-np.nan_to_num(each[position], nan=-1.0), kind="stable")[:MOST_TARGETS]
        text = " / ".join(str(line[name]) for name in inputs)
        return Example(
            row=int(line["row"]),
            text=text,
            data=svg_address(illustrate(text, targets[columns[0]])) if illustrate else "",
            values=[
                (targets[j], float(predicted[position, j]), float(y_true[position, j]))
                for j in columns
                if known[position, j]
            ],
        )

    return [show(i) for i in order[:count]], [show(i) for i in order[::-1][:count]]


def errors(y_true: Array, predicted: Array, task_type: str) -> Array:
    """How wrong each prediction is, [n, t]: in spreads of its target, or as cross entropy; NaN if unknown."""
    if task_type == "regression":
        known = ~np.isnan(y_true)
        mean = np.where(known, y_true, 0.0).sum(0) / np.maximum(known.sum(0), 1)
        square = np.where(known, np.square(y_true - mean), 0.0).sum(0) / np.maximum(known.sum(0), 1)
        spread = np.sqrt(square)
        return np.abs(predicted - y_true) / np.where(spread > 0, spread, 1.0)
    if task_type == "classification" and np.isin(y_true[~np.isnan(y_true)], (0.0, 1.0)).all():
        chance = np.clip(np.where(y_true == 1, predicted, 1 - predicted), CERTAIN, 1.0)
        return np.where(np.isnan(y_true), np.nan, -np.log(chance))
    return np.where(np.isnan(y_true), np.nan, (predicted != y_true).astype(np.float64))


def plain_drawing(smiles: str, target: str) -> str:
    """A molecule as SVG; the target plays no part. Empty for what cannot be drawn."""
    from rdkit.Chem.Draw import rdMolDraw2D

    from molweight.data.smiles import InvalidSmilesError, parse

    try:
        mol = parse(smiles)
    except InvalidSmilesError:
        return ""
    canvas = rdMolDraw2D.MolDraw2DSVG(WIDTH, HEIGHT)
    rdMolDraw2D.PrepareAndDrawMolecule(canvas, mol)
    canvas.FinishDrawing()
    return str(canvas.GetDrawingText())


def explaining(run_dir: Path) -> Illustrate | None:
    """Drawings whose atoms show what a run's prediction comes from; None where they cannot be had.

    Those need the run's model and captum.
    """
    if importlib.util.find_spec("captum") is None or not (run_dir / "model.json").is_file():
        return None
    from molweight.inference.atom_pictures import atom_picture
    from molweight.inference.explanation import STEPS, explanations
    from molweight.inference.model import load_model

    model = load_model(run_dir)
    steps = max(FEWEST_STEPS, min(STEPS, PIXELS // model.image_size**2))

    def illustrate(smiles: str, target: str) -> str:
        (explanation,) = explanations(model, [smiles], targets=[target], steps=steps)
        if explanation.scores is None:
            return ""
        return atom_picture(explanation.smiles, explanation.scores, size=(WIDTH, HEIGHT))

    return illustrate
