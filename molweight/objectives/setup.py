"""The data module of molecule images: parse, split, draw, build the views, objectives and models."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

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
from molweight.errors import ConfigError, option
from molweight.images.pictures import Pictures
from molweight.images.transforms import MEAN, STD, Augmentation, normalised
from molweight.images.views import ViewSet
from molweight.models.forest import forest_predictor
from molweight.models.resnet import ResNet18, make_backbone, weights_sha256
from molweight.models.task_model import PictureModel
from molweight.objectives.base import Objective, ObjectiveSet
from molweight.objectives.unlabelled import UnlabelledPictures
from molweight.tapweight.batches import map_tensors
from molweight.tapweight.typing import Batch
from molweight.training.draws import Draws
from molweight.training.models import PretrainingModel
from molweight.training.setup import Baseline, DataModule, Facts, Predictor
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
    """All choices that turn molecules into a data module."""

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
        spec = self.dataset
        if labelled is not None and (spec.builtin or spec.files or spec.path):
            raise ConfigError(
                f"a table was given beside {option('dataset', spec.path or spec.name)}",
                hint='use load_config("' + option("dataset", "csv") + '", …) for your own table',
            )

    def prepare(
        self,
        *,
        run_dir: Path,
        device: torch.device,
        labelled: Source | None = None,
        unlabelled: Source | None = None,
        progress: bool = False,
    ) -> ImageData:
        """See :class:`ImageData`."""
        return ImageData(
            self, run_dir=run_dir, device=device, table=labelled, unlabelled=unlabelled, progress=progress
        )


class ImageData(DataModule):
    """Molecule images; writes ``splits.json``, ``training.smi`` and the excluded rows of both tables.

    Args:
        recipe: the choices.
        run_dir: where the files go.
        device: of models and batches.
        table: labelled molecules to read instead of the data set's file, such as a data frame.
        unlabelled: molecules to read instead of the corpus, such as a list of SMILES.
        progress: show bars.
    """

    def __init__(
        self,
        recipe: ImageConfig,
        *,
        run_dir: Path,
        device: torch.device,
        table: Source | None = None,
        unlabelled: Source | None = None,
        progress: bool = False,
    ) -> None:
        if recipe.protocol not in ("paper", "strict"):
            raise ConfigError(f"protocol must be 'paper' or 'strict', got {recipe.protocol!r}")
        self.recipe, size = recipe, recipe.backbone.image_size
        backbone = make_backbone(width=recipe.backbone.width, init=recipe.backbone.init, seed=recipe.seed)
        objectives = ObjectiveSet(recipe.objectives)
        views = ViewSet(objectives.views, recipe.augment, recipe.views)
        self.dataset = load_dataset(recipe.dataset, source=table, standardise=recipe.standardise)
        check_target_names(self.dataset.target_names)
        self.pictures = Pictures(self.dataset.smiles, size, progress=progress)
        if failed := self.pictures.failed:
            logger.warning("%s: %d molecules cannot be drawn", self.dataset.name, len(failed))
            self.dataset = self.dataset.without(failed)
        self.dataset.save_excluded(run_dir / "excluded.csv")
        self.splits = split_dataset(self.dataset, recipe)
        self.save_splits(run_dir)
        self.targets = torch.from_numpy(self.dataset.targets)
        task = self.fit_task()
        corpus = self.load_corpus(unlabelled) if objectives.names else None
        self.corpus = UnlabelledPictures(
            corpus, objectives, views, size=size, dim=backbone.dim, seed=recipe.seed, progress=progress
        )
        if self.corpus.corpus is not None:
            self.corpus.corpus.save_excluded(run_dir / "excluded_corpus.csv")
        super().__init__(
            pretraining=PretrainingModel(backbone, objectives).to(device),
            task=task,
            unlabelled=self.corpus.positions,
            parts={
                name: torch.from_numpy(np.ascontiguousarray(rows)).long()
                for name, rows in self.splits.parts().items()
            },
            transfer=DeviceTransfer(device=device, finish=with_normal_pictures),
            evaluation_batch=EVALUATION_BATCH,
        )

    def save_splits(self, run_dir: Path) -> None:
        """Write the parts, and the molecules whose labels are learned from: a SMILES and its row, from 1."""
        smiles, rows = self.dataset.smiles, self.dataset.rows
        self.splits.save(run_dir / "splits.json", smiles, rows.tolist())
        lines = [f"{smiles[i]} {rows[i] + 1}\n" for i in self.learned_from()]
        write_text(run_dir / "training.smi", "".join(lines))

    def learned_from(self) -> np.ndarray:
        """Positions of the molecules whose labels are learned from, never of those that are scored."""
        return np.concatenate([self.splits.train, self.splits.meta])

    def fit_task(self) -> Task:
        """The task, with the mean and spread of its training labels."""
        return Task.fit(
            kind=self.dataset.task_type,  # type: ignore[arg-type]
            metric=self.dataset.metric,
            names=tuple(self.dataset.target_names),
            train=self.targets[self.splits.train],
            units=self.dataset.units,
        )

    def load_corpus(self, source: Source | None) -> Corpus:
        """The corpus, without the molecules of the benchmarks that are held out."""
        return load_corpus(
            self.recipe.corpus,
            task_smiles=[self.dataset.smiles[i] for i in self.learned_from()],
            source=source,
            standardise=self.recipe.standardise,
            exclude=lambda: {flat(mol) for spec in self.recipe.held_out for mol in load_dataset(spec).smiles},
        )

    def fetch_unlabelled(self, positions: Tensor, draws: Draws) -> Batch:
        """Views of the corpus, and the objectives' targets."""
        return self.corpus.fetch(positions, draws)

    def fetch_plain(self, positions: Tensor, draws: Draws) -> Batch:
        """Pictures and their labels."""
        return {"pixels": self.pictures[positions], "targets": self.targets[positions]}

    def fetch_labelled(self, positions: Tensor, draws: Draws) -> Batch:
        """Pictures, augmented if the configuration says so, and their labels."""
        batch = self.fetch_plain(positions, draws)
        if not self.recipe.finetune_augment:
            return batch
        return {**batch, "pixels": self.recipe.augment(batch["pixels"], draws)}

    def make_model(self, backbone: nn.Module, seed: int) -> PictureModel:
        """A network with an output for each target."""
        assert isinstance(backbone, ResNet18)
        outputs, dropout = self.task.outputs, self.recipe.dropout
        return PictureModel(backbone, outputs=outputs, dropout=dropout, seed=seed).to(self.transfer.device)

    @property
    def baselines(self) -> Mapping[str, Baseline]:
        """A random forest on fingerprints."""
        return {"ecfp_rf": self.forest}

    def forest(self, positions: Tensor, seed: int) -> Predictor:
        """A forest for each target, trained on the molecules at some positions [n]."""
        assert isinstance(self.task, Task)
        smiles, kind = self.dataset.smiles, self.task.kind
        return forest_predictor(smiles, self.targets, positions, kind=kind, seed=seed)

    @property
    def describe(self) -> Mapping[str, Sequence[object]]:
        """The row in the table, from 1, and the SMILES."""
        return {ROW: (self.dataset.rows + 1).tolist(), SMILES: self.dataset.smiles}

    @cached_property
    def facts(self) -> Facts:
        """What the report says about the data and the weights that a run began with."""
        dataset, splits, backbone = self.dataset, self.splits, self.recipe.backbone
        return {
            "dataset": dataset.name,
            "data_sha256": dataset.sha256,
            **dataset.counts,
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
            "corpus": self.corpus.facts([dataset.smiles[i] for i in splits.test]),
            "backbone": backbone.name,
            "backbone_init": backbone.init,
            "backbone_sha256": weights_sha256(backbone.init),
        }

    @property
    def summary(self) -> str:
        """One line on what was prepared."""
        dataset, corpus = self.dataset, self.facts["corpus"]
        parts = ", ".join(f"{name} {count}" for name, count in self.splits.sizes().items() if count)
        return (
            f"{dataset.name}: {dataset.n_rows} rows ({dataset.n_invalid} invalid, {dataset.n_duplicates} "
            f"duplicates), {len(self.task.names)} target(s), {self.task.kind}; {self.splits.kind} split: "
            f"{parts}; corpus {corpus['name']}: {corpus['molecules']} molecules"
        ) + (f"; read as: {'; '.join(dataset.notes)}" if dataset.notes else "")

    @property
    def model_metadata(self) -> dict[str, object]:
        """What ``model.json`` needs to use the finetuned model again, besides the task."""
        backbone = self.recipe.backbone
        return {
            "backbone": backbone.name,
            "width": backbone.width,
            "image_size": backbone.image_size,
            "dropout": self.recipe.dropout,
            "normalisation": {"mean": list(MEAN), "std": list(STD)},
            "units": self.dataset.units,
            "smiles_column": self.dataset.smiles_column,
            "classes": self.dataset.classes,
            "standardise": asdict(self.recipe.standardise),
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
