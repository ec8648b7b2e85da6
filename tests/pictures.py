"""Real molecules, small pictures and small networks for tests of objectives and models."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from molweight.config.components import component
from molweight.data.corpora import load_corpus
from molweight.data.specs import CorpusSpec
from molweight.images.pictures import Pictures
from molweight.images.transforms import Augmentation
from molweight.images.views import ViewSet
from molweight.models.resnet import ResNet18
from molweight.objectives.base import Objective, ObjectiveSet
from molweight.objectives.corpus import UnlabelledMolecules
from molweight.objectives.setup import with_normal_pictures
from molweight.training.draws import Draws
from molweight.training.models import PretrainingModel

COUNT, SIDE, WIDTH = 32, 32, 4


@functools.cache
def molecules(count: int = COUNT) -> UnlabelledMolecules:
    """The first molecules of a fixed draw from RDKit's NCI file."""
    return UnlabelledMolecules(load_corpus(CorpusSpec(name="nci", limit=count), task_smiles=()).smiles)


@functools.cache
def pictures(side: int = SIDE) -> Tensor:
    """Their drawings, uint8 [32, 3, side, side]."""
    return Pictures(molecules().smiles, side)[torch.arange(COUNT)]


def backbone(seed: int = 0) -> ResNet18:
    """A ResNet-18 with a sixteenth of the width."""
    torch.manual_seed(seed)
    return ResNet18(width=WIDTH)


def attached(*objectives: Objective, seed: int = 0) -> ObjectiveSet:
    """Objectives with heads and targets for the molecules above."""
    chosen = ObjectiveSet(objectives)
    chosen.build(8 * WIDTH, molecules(), seed)
    return chosen


def batch_of(objectives: ObjectiveSet, positions: Tensor | None = None, seed: int = 0) -> dict[str, Tensor]:
    """A batch of the molecules above, with every view and target that the objectives ask for."""
    positions = torch.arange(COUNT) if positions is None else positions
    views = ViewSet(objectives.views, Augmentation())
    pixels, targets = views(pictures()[positions], Draws(seed, samples=positions))
    return dict(with_normal_pictures({"views": pixels, **targets, **objectives.targets(positions)}))


def model_of(*objectives: Objective, seed: int = 0) -> PretrainingModel:
    """Level 1's model over attached objectives."""
    return PretrainingModel(backbone(seed), attached(*objectives, seed=seed))


__all__ = ["COUNT", "attached", "backbone", "batch_of", "component", "model_of", "molecules", "pictures"]
