"""Molecule images as a :class:`Setup`: parse, split, draw, build the views, objectives and models."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from molweight.data.corpora import Corpus, load_corpus
from molweight.data.datasets import MoleculeDataset, load_dataset
from molweight.data.readers import Source
from molweight.data.smiles import flat
from molweight.data.specs import CorpusSpec, DatasetSpec
from molweight.data.splits.splits import Splits, carve_meta, split
from molweight.data.standardise import Standardisation
from molweight.data.summary import scaffold_sets
from molweight.errors import ConfigError
from molweight.images.pictures import Pictures
from molweight.images.transforms import MEAN, STD, Augmentation, normalised
from molweight.images.views import ViewSet
from molweight.models.forest import forest_predictor
from molweight.models.resnet import ResNet18, make_backbone, weights_sha256
from molweight.models.task_model import PictureModel
from molweight.objectives.base import Objective, ObjectiveSet
from molweight.objectives.unlabelled import unlabelled_part
from molweight.tapweight.batches import map_tensors
from molweight.tapweight.typing import Batch
from molweight.training.draws import Draws
from molweight.training.models import PretrainingModel
from molweight.training.setup import EvalLoaders, Predictor, Setup
from molweight.training.task import Task
from molweight.training.workers import DeviceTransfer
from molweight.utils.files import write_text
from molweight.utils.output_columns import ROW, SMILES, check_target_names

logger = logging.getLogger(__name__)

EVALUATION_BATCH = 256  # pictures at a time without gradients


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """Which network, on pictures of which size, from which weights.

    Args:
        name: for people.
        width: channels of the first stage.
        image_size: side of the pictures, px.
        init: ``random``, the name of shipped weights, or a safetensors file.
    """

    name: str
    width: int
    image_size: int
    init: str | None


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """How the data set is divided into train, validation and test part.

    Args:
        kind: the rule, as its file in ``configs/split`` is called, or ``deepchem:<Splitter>``.
        seed: seed of the rules that draw; None for the others.
        fractions: of train, valid and test, > 0 with sum 1; test may be 0, and nothing is tested.
        path: JSON file with the rows of every part, for ``file``: a run's ``splits.json``, or chemprop's.
    """

    kind: str
    seed: int | None
    fractions: Sequence[float]
    path: str | None


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """All choices that turn molecules into a setup."""

    dataset: DatasetSpec
    corpus: CorpusSpec
    held_out: Sequence[DatasetSpec]
    standardise: Standardisation
    split: SplitConfig
    backbone: BackboneConfig
    objectives: Sequence[Objective]
    views: dict[str, dict[str, float]]
    augment: Augmentation
    finetune_augment: bool
    dropout: float
    protocol: Literal["paper", "strict"]
    meta_fraction: float
    seed: int

    @property
    def name(self) -> str:
        """Of the data set."""
        return self.dataset.name

    @property
    def split_kind(self) -> str:
        """How it is divided."""
        return self.split.kind

    def check_sources(self, labelled: Source | None, unlabelled: Source | None) -> None:
        """Refuse a table beside a data set that has one.

        Raises:
            ConfigError: naming the way out.
        """
        card = self.dataset
        if labelled is not None and (card.builtin or card.files or card.path):
            raise ConfigError(
                f"a table was given beside dataset={card.path or card.name}: "
                'use load_config("dataset=csv", …) for your own table'
            )

    def prepare(
        self,
        *,
        run_dir: Path,
        device: torch.device,
        labelled: Source | None = None,
        unlabelled: Source | None = None,
        progress: bool = False,
    ) -> Setup:
        """The setup; see :func:`image_setup`."""
        return image_setup(
            self, run_dir=run_dir, device=device, table=labelled, unlabelled=unlabelled, progress=progress
        )


def image_setup(
    recipe: ImageConfig,
    *,
    run_dir: Path,
    device: torch.device,
    table: Source | None = None,
    unlabelled: Source | None = None,
    progress: bool = False,
) -> Setup:
    """Prepare the data and the models; writes ``splits.json``, ``training.smi`` and the
    excluded rows of both.

    Args:
        recipe: the choices.
        run_dir: where the files go.
        device: of models and batches.
        table: labelled molecules to read instead of the data set's file, such as a data frame.
        unlabelled: molecules to read instead of the corpus, such as a list of SMILES.
        progress: show bars.
    """
    if recipe.protocol not in ("paper", "strict"):
        raise ConfigError(f"protocol must be 'paper' or 'strict', got {recipe.protocol!r}")
    backbone = make_backbone(width=recipe.backbone.width, init=recipe.backbone.init, seed=recipe.seed)
    objectives = ObjectiveSet(recipe.objectives)
    views = ViewSet(objectives.views, recipe.augment, recipe.views)
    size = recipe.backbone.image_size
    dataset = load_dataset(recipe.dataset, source=table, standardise=recipe.standardise)
    check_target_names(dataset.target_names)
    labelled = Pictures(dataset.smiles, size, progress=progress)
    if labelled.failed:
        logger.warning("%s: %d molecules cannot be drawn", dataset.name, len(labelled.failed))
        dataset = dataset.without(labelled.failed)
    dataset.save_excluded(run_dir / "excluded.csv")
    splits = split_dataset(dataset, recipe)
    splits.save(run_dir / "splits.json", dataset.smiles, dataset.rows.tolist())
    save_training_molecules(run_dir / "training.smi", dataset, splits)
    targets = torch.from_numpy(dataset.targets)
    task = Task.fit(
        kind=dataset.task_type,  # type: ignore[arg-type]
        metric=dataset.metric,
        names=tuple(dataset.target_names),
        train=targets[splits.train],
        units=dataset.units,
    )

    def load() -> Corpus:
        return load_corpus(
            recipe.corpus,
            task_smiles=corpus_candidates(dataset, splits),
            source=unlabelled,
            standardise=recipe.standardise,
            exclude=lambda: {flat(mol) for card in recipe.held_out for mol in load_dataset(card).smiles},
        )

    pretraining = unlabelled_part(
        objectives, views, load, size=size, dim=backbone.dim, seed=recipe.seed, progress=progress
    )
    if pretraining.corpus is not None:
        pretraining.corpus.save_excluded(run_dir / "excluded_corpus.csv")

    transfer = DeviceTransfer(device=device, finish=with_normal_pictures)

    def fetch_plain(positions: Tensor, draws: Draws) -> Batch:
        return {"pixels": labelled[positions], "targets": targets[positions]}

    def fetch_augmented(positions: Tensor, draws: Draws) -> Batch:
        return {"pixels": recipe.augment(labelled[positions], draws), "targets": targets[positions]}

    passes = EvalLoaders(fetch=fetch_plain, transfer=transfer, batch=EVALUATION_BATCH)

    def make_model(encoder: nn.Module, seed: int) -> PictureModel:
        assert isinstance(encoder, ResNet18)
        model = PictureModel(encoder, outputs=len(task.names), dropout=recipe.dropout, seed=seed)
        return model.to(device)

    def forest(positions: Tensor, seed: int) -> Predictor:
        return forest_predictor(dataset.smiles, targets, positions, kind=task.kind, seed=seed)

    parts = {
        name: torch.from_numpy(np.ascontiguousarray(getattr(splits, name))).long()
        for name in ("train", "meta", "valid", "test")
    }
    corpus = pretraining.facts([dataset.smiles[i] for i in splits.test])
    return Setup(
        objectives=objectives.names,
        pretraining=PretrainingModel(backbone, objectives).to(device),
        make_model=make_model,
        task=task,
        unlabelled=pretraining.positions,
        fetch_unlabelled=pretraining.fetch,
        fetch_labelled=fetch_augmented if recipe.finetune_augment else fetch_plain,
        fetch_plain=fetch_plain,
        transfer=transfer,
        train=passes.part(parts["train"]),
        meta=passes.part(parts["meta"]),
        valid=passes.part(parts["valid"]),
        test=passes.held_out(parts["test"]),
        describe={ROW: (dataset.rows + 1).tolist(), SMILES: dataset.smiles},
        facts=facts_of(dataset, splits, corpus, recipe),
        summary=summary(dataset, splits, task, corpus),
        baselines={"ecfp_rf": forest},
        model_card=model_card(dataset, recipe),
    )


def facts_of(
    dataset: MoleculeDataset, splits: Splits, corpus: dict[str, Any], recipe: ImageConfig
) -> dict[str, Any]:
    """What the report says about the data and the weights that a run began with."""
    return {
        "dataset": dataset.name,
        "data_sha256": dataset.sha256,
        "n_rows": dataset.n_rows,
        "n_invalid": dataset.n_invalid,
        "n_unlabelled": dataset.n_unlabelled,
        "n_duplicates": dataset.n_duplicates,
        "n_conflicting": dataset.n_conflicting,
        "scaffolds": asdict(scaffold_sets(dataset.smiles)),
        "units": dataset.units,
        "classes": dataset.classes,
        "read_as": list(dataset.notes),
        "split": {
            "kind": splits.kind,
            "seed": splits.seed,
            "hash": splits.hash(dataset.smiles),
            "sizes": splits.sizes(),
        },
        "corpus": corpus,
        "backbone": recipe.backbone.name,
        "backbone_init": recipe.backbone.init,
        "backbone_sha256": weights_sha256(recipe.backbone.init),
    }


def model_card(dataset: MoleculeDataset, recipe: ImageConfig) -> dict[str, Any]:
    """What ``model.json`` needs to use the finetuned model again, besides the task."""
    return {
        "backbone": recipe.backbone.name,
        "width": recipe.backbone.width,
        "image_size": recipe.backbone.image_size,
        "dropout": recipe.dropout,
        "normalisation": {"mean": list(MEAN), "std": list(STD)},
        "units": dataset.units,
        "smiles_column": dataset.smiles_column,
        "classes": dataset.classes,
        "standardise": asdict(recipe.standardise),
    }


def with_normal_pictures(batch: Batch) -> Batch:
    """A batch whose pictures, its uint8 tensors, are normalised floats."""
    return map_tensors(lambda value: normalised(value) if value.dtype == torch.uint8 else value, batch)


def split_dataset(dataset: MoleculeDataset, recipe: ImageConfig) -> Splits:
    """The parts; ``meta`` is carved out of train under ``strict`` and part of train under ``paper``."""
    chosen = recipe.split
    splits = split(
        dataset.smiles,
        dataset.targets,
        kind=chosen.kind,
        seed=chosen.seed,
        fractions=tuple(chosen.fractions),  # type: ignore[arg-type]
        path=Path(chosen.path) if chosen.path else None,
        rows=dataset.rows.tolist(),
        n_rows=dataset.n_rows,
    )
    if recipe.protocol == "strict":
        return carve_meta(splits, dataset.smiles, fraction=recipe.meta_fraction, seed=recipe.seed)
    return replace(splits, train=np.concatenate([splits.train, splits.meta]), meta=splits.meta[:0])


def save_training_molecules(path: Path, dataset: MoleculeDataset, splits: Splits) -> None:
    """Write the molecules whose labels are learned from: a SMILES and its row, from 1, on every line."""
    own = np.concatenate([splits.train, splits.meta])
    write_text(path, "".join(f"{dataset.smiles[i]} {dataset.rows[i] + 1}\n" for i in own))


def corpus_candidates(dataset: MoleculeDataset, splits: Splits) -> list[str]:
    """The molecules that ``corpus=task`` may use: train and meta, never those that are scored."""
    return [dataset.smiles[i] for part in (splits.train, splits.meta) for i in part]


def summary(dataset: MoleculeDataset, splits: Splits, task: Task, corpus: dict[str, Any]) -> str:
    """One line on what was prepared."""
    parts = ", ".join(f"{name} {count}" for name, count in splits.sizes().items() if count)
    return (
        f"{dataset.name}: {dataset.n_rows} rows ({dataset.n_invalid} invalid, {dataset.n_duplicates} "
        f"duplicates), {len(task.names)} target(s), {task.kind}; {splits.kind} split: "
        f"{parts}; corpus {corpus['name']}: {corpus['molecules']} molecules"
    ) + (f"; read as: {'; '.join(dataset.notes)}" if dataset.notes else "")
