"""A finished run's folder becomes a model that predicts.

Everything in the folder may come from a stranger: ``model.json`` is read as data and checked field by field,
tensors come from safetensors and must be exactly those of the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from molweight.data.standardise import Standardisation
from molweight.errors import ConfigError, DataError
from molweight.images.render import check_size
from molweight.images.transforms import MEAN, STD, normalised
from molweight.inference.metadata import ModelMetadata, read_metadata
from molweight.models.resnet import ResNet18
from molweight.models.task_model import PictureModel
from molweight.training.task import Task
from molweight.utils.tensor_files import read_tensors

WIDEST = 1_024  # channels of the first stage, 16 times ResNet-18


class PictureConfig(NamedTuple):
    """What a picture depends on besides its molecule."""

    size: int
    """Side, px."""
    standardise: Standardisation
    """Done to the molecule before it is drawn."""


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A finetuned model and what its outputs mean.

    Args:
        path: the run's folder.
        module: in evaluation mode, on the CPU unless :meth:`to` has moved it.
        task: names, units' scale and kind of the t outputs.
        image_size: S, side of its pictures, px.
        standardise: done to every molecule before it is drawn.
        units: of a regression's targets, or None.
        temperature: that logits are divided by, [t]; None for a regression.
        smiles_column: of the table that it was trained on, if its run has noted it.
    """

    path: Path
    module: PictureModel
    task: Task
    image_size: int
    standardise: Standardisation
    units: str | None
    temperature: Tensor | None
    smiles_column: str | None = None

    @torch.inference_mode()
    def outputs(self, pictures: Tensor) -> Tensor:
        """Logits, or standardised values.

        Args:
            pictures: [b, 3, S, S] uint8.

        Returns:
            [b, t] float32, on the CPU.
        """
        head = self.module.head
        weight, bias = head.weight.cpu().double(), head.bias.cpu().double()
        # In float64: sums in float32 differ with a molecule's place in the batch, and files show all digits.
        return functional.linear(self.embeddings(pictures).double(), weight, bias).float()

    @torch.inference_mode()
    def embeddings(self, pictures: Tensor) -> Tensor:
        """What the backbone makes of pictures [b, 3, S, S] uint8: [b, d] float32, on the CPU."""
        device = self.module.head.weight.device
        return self.module.embed({"pixels": normalised(pictures).to(device)}).float().cpu()

    @property
    def picture_config(self) -> PictureConfig:
        """How its pictures are drawn."""
        return PictureConfig(self.image_size, self.standardise)

    def values(self, outputs: Tensor) -> Tensor:
        """Probabilities as the network says them, or values in the targets' units, [b, t] float64."""
        return self.task.predict(outputs)

    def calibrated(self, outputs: Tensor) -> Tensor:
        """Probabilities of a classification after temperature scaling, [b, t] float64."""
        return self.logits(outputs).sigmoid()

    def logits(self, outputs: Tensor) -> Tensor:
        """Logits of a classification over their temperatures, [b, t] float64."""
        assert self.temperature is not None, "a regression has no probabilities"
        return outputs.double() / self.temperature

    def to(self, device: torch.device) -> TrainedModel:
        """This model, moved."""
        self.module.to(device)
        return self


def load_model(run_dir: str | Path) -> TrainedModel:
    """The model that a run has left behind.

    Args:
        run_dir: of a finished run on molecules.

    Raises:
        DataError: there is no such folder, no model in it, or one that is damaged; the message says which
            and what to do.
    """
    path = Path(run_dir)
    content = read_metadata(path)
    checked = ModelMetadata(path / "model.json", content)
    try:
        task, temperature = _task(checked, content)
        size = checked.whole("image_size", 1, 1 << 20)
        check_size(size)
        if content.get("normalisation") != {"mean": list(MEAN), "std": list(STD)}:
            raise checked.error("normalisation", "that of ImageNet")
        with torch.device("meta"):  # without memory: how large it is, a stranger may have written
            backbone = ResNet18(width=checked.whole("width", 1, WIDEST))
            module = PictureModel(backbone, outputs=len(task.names), dropout=0.0, seed=0)
        steps = [step.name for step in fields(Standardisation)]
        standardise = Standardisation(**checked.flags("standardise", steps))
        units = None if content.get("units") is None else checked.text("units")
        column = None if content.get("smiles_column") is None else checked.text("smiles_column")
    except ConfigError as error:
        raise DataError(f"{checked.path}: {error}") from error
    tensors = read_tensors(path / "model.safetensors", module, "the network of its model.json")
    module.load_state_dict(tensors, assign=True)
    backbone.to(memory_format=backbone.memory_format)
    return TrainedModel(
        path=path,
        module=module.eval().requires_grad_(False),
        task=task,
        image_size=size,
        standardise=standardise,
        units=units,
        temperature=temperature,
        smiles_column=column,
    )


def _task(checked: ModelMetadata, content: Mapping[str, object]) -> tuple[Task, Tensor | None]:
    """What the outputs mean, and the temperatures of a classification, [t]."""
    kind, targets = checked.text("task_type"), checked.texts("targets")
    if kind not in ("classification", "regression"):
        raise checked.error("task_type", "classification or regression")
    task = Task(
        kind=kind,  # type: ignore[arg-type]
        metric=checked.text("metric"),
        names=targets,
        mean=checked.numbers("mean", len(targets)),
        std=checked.numbers("std", len(targets), positive=True),
    )
    if kind == "regression":
        return task, None
    default = {"temperature": [1.0] * len(targets)}  # of runs before there was any
    with_default = ModelMetadata(checked.path, default | dict(content))
    return task, with_default.numbers("temperature", len(targets), positive=True)


def with_adapted_backbone(model: TrainedModel) -> TrainedModel:
    """The same with the backbone as continued pretraining left it, before finetuning.

    Raises:
        DataError: the run has none, such as after ``method=direct``, or it is damaged.
    """
    path = model.path / "backbone.safetensors"
    if not path.is_file():
        raise DataError(
            f"{model.path} has no backbone.safetensors, as its method does not pretrain: take the finetuned "
            "weights"
        )
    model.module.backbone.load_state_dict(
        read_tensors(path, model.module.backbone, "the backbone of its model.json")
    )
    return model
