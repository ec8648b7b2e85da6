"""Which atoms a prediction comes from: integrated gradients of the picture, shared out among the atoms.

Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks (ICML 2017), equation 1, from a blank
picture to the molecule's. The attributions of all pixels add up to the difference between both predictions;
each pixel counts for the atom that is nearest to it, so the atoms' scores add up to that difference too.

Letters: S a picture's side in px, a atoms, t targets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from molweight.data.readers import Source
from molweight.data.standardise import input_atoms
from molweight.errors import ConfigError, DataError, unknown
from molweight.images.render import atom_positions
from molweight.images.transforms import normalised
from molweight.inference.model import TrainedModel, load_model
from molweight.inference.pipeline import drawings, pictures_of, status_of, text_of
from molweight.inference.requests import Request, requests
from molweight.utils.pages import svg_address

STEPS = 256  # points on the way from the blank picture; with fewer the sum misses by more (64: a tenth)
BLANK = 255  # white
AT_ONCE = 64  # pictures that are differentiated at a time
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """One molecule and one target.

    Args:
        row: of the source, from 1.
        input: as it stood there.
        status: ``ok``, ``invalid`` or ``unsupported``; without ``ok`` there is nothing but the reason.
        reason: why there is no explanation.
        smiles: canonical; its atoms are numbered from 0 in its order.
        target: what was predicted.
        prediction: a value in the target's units, or a logit.
        blank: the same of a picture without a molecule.
        scores: [a], what each atom adds on the way from the blank picture.
        input_atoms: [a], the number of each atom in the input, counted from 0 with explicit hydrogens.
    """

    row: int
    input: str
    status: str = "ok"
    reason: str = ""
    smiles: str = ""
    target: str = ""
    prediction: float = float("nan")
    blank: float = float("nan")
    scores: Array | None = None
    input_atoms: tuple[int, ...] = ()

    @property
    def remainder(self) -> float:
        """What the scores miss of the difference between prediction and blank, by finitely many steps."""
        return self.prediction - self.blank - (0.0 if self.scores is None else float(self.scores.sum()))

    def _repr_html_(self) -> str:
        """The molecule with its atoms coloured, for notebooks."""
        from molweight.inference.atom_pictures import atom_picture

        if self.scores is None:
            return f"<p>row {self.row} is {escape(self.status)}: {escape(self.reason)}</p>"
        picture = svg_address(atom_picture(self.smiles, self.scores))
        words = f"{escape(self.target)}: {self.prediction:.4g}"
        return f'<img src="{picture}" alt="{escape(self.smiles)}"><p>{words}</p>'


def explain(
    run_dir: str | Path,
    source: Source | pd.Series[str],
    *,
    targets: Sequence[str] | None = None,
    steps: int = STEPS,
    smiles_column: str | None = None,
) -> list[Explanation]:
    """Explanations of a model's predictions, for every row and target.

    Args:
        run_dir: folder of a finished run.
        source, smiles_column: as of :func:`molweight.inference.prediction.predict`.
        targets: names; None takes the first one.
        steps: on the way from a blank picture; more are more exact.

    Raises:
        ConfigError: an unknown target, or no steps.
        DataError: the folder holds no model, the source cannot be read, or captum is not installed.
    """
    model = load_model(run_dir)
    queries = requests(source, smiles_column=smiles_column, preferred=[model.smiles_column])
    return list(explanations(model, queries, targets=targets, steps=steps))


def explanations(
    model: TrainedModel,
    queries: Iterable[Request],
    *,
    targets: Sequence[str] | None = None,
    steps: int = STEPS,
) -> Iterator[Explanation]:
    """Explanations in the order of the rows, and in each of the targets; see :func:`explain`."""
    indices = target_indices(model, targets)
    if steps < 1:
        raise ConfigError(f"steps must be at least 1, got {steps}")
    size = model.image_size
    for row, (request, results) in enumerate(drawings(queries, [model.picture_config]), start=1):
        text = text_of(request)
        status, reason = status_of(request, results)
        if status != "ok":
            yield Explanation(row=row, input=text, status=status, reason=reason)
            continue
        smiles, pixels = results[0].smiles, pictures_of(results, size)
        atoms = atom_positions(smiles, size)  # which has been drawn by now, and so can be
        numbers = tuple(input_atoms(text, smiles, model.standardise))
        nearest = nearest_atoms(atoms, size)
        for target in indices:
            attributed, prediction, blank = integrated_gradients(model, pixels, target, steps)
            scores: Array = np.bincount(nearest.ravel(), attributed.ravel(), len(atoms)).astype(np.float64)
            yield Explanation(
                row=row,
                input=text,
                smiles=smiles,
                target=model.task.names[target],
                prediction=prediction,
                blank=blank,
                scores=scores,
                input_atoms=numbers,
            )


def target_indices(model: TrainedModel, targets: Sequence[str] | None) -> list[int]:
    """Which outputs are these targets; the first one if none is named."""
    names = list(model.task.names)
    for name in targets or ():
        if name not in names:
            raise ConfigError(unknown("target", name, names))
    return [names.index(name) for name in targets or names[:1]]


def nearest_atoms(positions: Array, size: int) -> np.ndarray:
    """For every pixel [S, S] the atom whose position [a, 2] (column, row) is nearest to it.

    >>> nearest_atoms(np.array([[0.5, 0.5], [2.5, 0.5]]), 3)[0].tolist()
    [0, 0, 1]
    """
    middle = np.arange(size) + 0.5
    columns = np.square(middle[None, :] - positions[:, :1])  # [a, S]
    rows = np.square(middle[None, :] - positions[:, 1:])
    nearest: np.ndarray = np.argmin(rows[:, :, None] + columns[:, None, :], axis=0)
    return nearest


def integrated_gradients(
    model: TrainedModel, picture: Tensor, target: int, steps: int
) -> tuple[Array, float, float]:
    """What every pixel adds to one output, and the output with and without the molecule.

    Args:
        model: on any device.
        picture: [1, 3, S, S] uint8.
        target: index of the output.
        steps: points at which gradients are taken.

    Returns:
        [S, S] float64; a value in the target's units or a logit, twice.

    Raises:
        DataError: captum is not installed.
    """
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise DataError("explanations need captum: pip install 'molweight[explain]'") from error
    device = model.module.head.weight.device
    drawn = normalised(picture).to(device)
    blank = normalised(torch.full_like(picture, BLANK)).to(device)

    def output(pixels: Tensor) -> Tensor:
        outputs: Tensor = model.module({"pixels": pixels})
        return outputs[:, target]

    attribution = IntegratedGradients(output, multiply_by_inputs=True).attribute(
        drawn, blank, n_steps=steps, internal_batch_size=min(steps, AT_ONCE)
    )
    with torch.inference_mode():
        ends = output(torch.cat([drawn, blank])).cpu().double()
    attributed: Array = attribution.detach().cpu().double().sum(1)[0].numpy()
    if model.task.kind == "classification":
        return attributed, float(ends[0]), float(ends[1])
    mean, std = float(model.task.mean[target]), float(model.task.std[target])
    return attributed * std, float(ends[0]) * std + mean, float(ends[1]) * std + mean


def atom_table(explanations: Iterable[Explanation]) -> pd.DataFrame:
    """A row for every atom: of which molecule and target, its score, and its number in the input."""
    from rdkit import Chem

    columns = ["row", "smiles", "target", "prediction", "atom", "symbol", "score", "input_atom"]
    atoms: list[tuple[object, ...]] = []
    for item in explanations:
        if item.scores is None:
            continue
        symbols = [atom.GetSymbol() for atom in Chem.MolFromSmiles(item.smiles).GetAtoms()]
        for atom, of_atom in enumerate(zip(symbols, item.scores.tolist(), item.input_atoms, strict=True)):
            atoms.append((item.row, item.smiles, item.target, item.prediction, atom, *of_atom))
    return pd.DataFrame(atoms, columns=columns)
