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
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molweight.data.readers import Source
from molweight.data.standardise import input_atoms
from molweight.data.table_rows import MalformedRow
from molweight.errors import ConfigError, DataError, unknown
from molweight.images.render import atom_places
from molweight.images.transforms import normalised
from molweight.inference.model import TrainedModel, load_model
from molweight.inference.pipeline import drawings, pictures_of, status_of
from molweight.inference.requests import Request, requests
from molweight.utils.pages import svg_address

STEPS = 256  # points on the way from the blank picture; with fewer the sum misses by more (64: a tenth)
BLANK = 255  # white
AT_ONCE = 64  # pictures that are differentiated at a time
Array = np.ndarray[Any, np.dtype[np.float64]]


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
    places = target_places(model, targets)
    if steps < 1:
        raise ConfigError(f"steps must be at least 1, got {steps}")
    size = model.image_size
    for row, (one, drawn) in enumerate(drawings(queries, [model.recipe]), start=1):
        text = one.text if isinstance(one, MalformedRow) else one
        status, reason = status_of(one, drawn)
        if status != "ok":
            yield Explanation(row=row, input=text, status=status, reason=reason)
            continue
        smiles, pixels = drawn[0].smiles, pictures_of(drawn, size)
        atoms = atom_places(smiles, size)  # which has been drawn by now, and so can be
        input_places = tuple(input_atoms(text, smiles, model.standardise))
        owners = nearest_atoms(atoms, size)
        for place in places:
            attributed, prediction, blank = integrated_gradients(model, pixels, place, steps)
            scores: Array = np.bincount(owners.ravel(), attributed.ravel(), len(atoms)).astype(np.float64)
            yield Explanation(
                row=row,
                input=text,
                smiles=smiles,
                target=model.task.names[place],
                prediction=prediction,
                blank=blank,
                scores=scores,
                input_atoms=input_places,
            )


def target_places(model: TrainedModel, targets: Sequence[str] | None) -> list[int]:
    """Where targets are among the outputs; the first one if none is named."""
    names = list(model.task.names)
    for name in targets or ():
        if name not in names:
            raise ConfigError(unknown("target", name, names))
    return [names.index(name) for name in targets or names[:1]]


def nearest_atoms(places: Array, size: int) -> np.ndarray:
    """For every pixel [S, S] the atom whose place [a, 2] (column, row) is nearest to it."""
    middle = np.arange(size) + 0.5
    columns = np.square(middle[None, :] - places[:, :1])  # [a, S]
    rows = np.square(middle[None, :] - places[:, 1:])
    owners: np.ndarray = np.argmin(rows[:, :, None] + columns[:, None, :], axis=0)
    return owners


def integrated_gradients(
    model: TrainedModel, picture: Tensor, target: int, steps: int
) -> tuple[Array, float, float]:
    """What every pixel adds to one output, and the output with and without the molecule.

    Args:
        model: on any device.
        picture: [1, 3, S, S] uint8.
        target: place among the outputs.
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
    whole = normalised(picture).to(device)
    blank = normalised(torch.full_like(picture, BLANK)).to(device)

    def output(pixels: Tensor) -> Tensor:
        found: Tensor = model.module({"pixels": pixels})
        return found[:, target]

    found = IntegratedGradients(output, multiply_by_inputs=True).attribute(
        whole, blank, n_steps=steps, internal_batch_size=min(steps, AT_ONCE)
    )
    with torch.inference_mode():
        ends = output(torch.cat([whole, blank])).cpu().double()
    attributed: Array = found.detach().cpu().double().sum(1)[0].numpy()
    if model.task.kind == "classification":
        return attributed, float(ends[0]), float(ends[1])
    mean, std = float(model.task.mean[target]), float(model.task.std[target])
    return attributed * std, float(ends[0]) * std + mean, float(ends[1]) * std + mean


def atom_table(found: Iterable[Explanation]) -> pd.DataFrame:
    """A row for every atom: of which molecule and target, its score, and its number in the input."""
    from rdkit import Chem

    lines: list[dict[str, Any]] = []
    for one in found:
        if one.scores is None:
            continue
        symbols = [atom.GetSymbol() for atom in Chem.MolFromSmiles(one.smiles).GetAtoms()]
        head = {"row": one.row, "smiles": one.smiles, "target": one.target, "prediction": one.prediction}
        lines += [
            {**head, "atom": place, "symbol": symbol, "score": score, "input_atom": number}
            for place, (symbol, score, number) in enumerate(
                zip(symbols, one.scores.tolist(), one.input_atoms, strict=True)
            )
        ]
    columns = ["row", "smiles", "target", "prediction", "atom", "symbol", "score", "input_atom"]
    return pd.DataFrame(lines, columns=columns)
