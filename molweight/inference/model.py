"""A finished run's folder becomes a model that predicts.

Everything in the folder may come from a stranger: ``model.json`` is read as data and checked field by field,
tensors come from safetensors and must be exactly those of the network, and nothing else is opened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molweight.errors import ConfigError, DataError
from molweight.molecules.backbone import ResNet18
from molweight.molecules.model import PictureModel
from molweight.molecules.render import check_size
from molweight.molecules.standardise import Standardisation
from molweight.objectives.augment import MEAN, STD, normalised
from molweight.tensor_files import read_tensors
from molweight.training.task import Task

SCHEMA = 1  # of ``model.json``
WIDEST = 1_024  # channels of the first stage, 16 times ResNet-18
MOST_TARGETS = 100_000


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
    """

    path: Path
    module: PictureModel
    task: Task
    image_size: int
    standardise: Standardisation
    units: str | None
    temperature: Tensor | None

    @torch.inference_mode()
    def outputs(self, pictures: Tensor) -> Tensor:
        """Logits, or standardised values.

        Args:
            pictures: [b, 3, S, S] uint8.

        Returns:
            [b, t] float32, on the CPU.
        """
        device = self.module.head.weight.device
        found: Tensor = self.module({"pixels": normalised(pictures).to(device)})
        return found.float().cpu()

    @torch.inference_mode()
    def embeddings(self, pictures: Tensor) -> Tensor:
        """What the backbone makes of pictures [b, 3, S, S] uint8: [b, d] float32, on the CPU."""
        device = self.module.head.weight.device
        return self.module.embed({"pixels": normalised(pictures).to(device)}).float().cpu()

    @property
    def recipe(self) -> tuple[int, Standardisation]:
        """What its pictures depend on besides their molecules."""
        return self.image_size, self.standardise

    def values(self, outputs: Tensor) -> Tensor:
        """Probabilities as the network says them, or values in the targets' units, [b, t]."""
        return self.task.predict(outputs)

    def calibrated(self, outputs: Tensor) -> Tensor | None:
        """Probabilities after temperature scaling, [b, t]; None for a regression."""
        return None if self.temperature is None else (outputs / self.temperature).sigmoid()

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
    card = read_card(path)
    try:
        checked = Card(path / "model.json", card)
        if checked.text("task_type") not in ("classification", "regression"):
            raise checked.error("task_type", "classification or regression")
        size = checked.whole("image_size", 1, 1 << 20)
        check_size(size)
        targets = checked.texts("targets")
        task = Task(
            kind=checked.text("task_type"),  # type: ignore[arg-type]
            metric=checked.text("metric"),
            names=targets,
            mean=checked.numbers("mean", len(targets)),
            std=checked.numbers("std", len(targets), positive=True),
        )
        temperature = None
        if task.kind == "classification":
            ones = {"temperature": [1.0] * len(targets)}  # of runs before there was any
            temperature = Card(checked.path, ones | card).numbers("temperature", len(targets), positive=True)
        if card.get("normalisation") != {"mean": list(MEAN), "std": list(STD)}:
            raise checked.error("normalisation", "that of ImageNet")
        with torch.device("meta"):  # without memory: how large it is, a stranger may have written
            backbone = ResNet18(width=checked.whole("width", 1, WIDEST))
            module = PictureModel(backbone, outputs=len(targets), dropout=0.0, seed=0)
        standardise = Standardisation(**checked.flags("standardise", Standardisation.__dataclass_fields__))
        units = None if card.get("units") is None else checked.text("units")
    except ConfigError as error:
        raise DataError(f"{path / 'model.json'}: {error}") from error
    tensors = read_tensors(path / "model.safetensors", module, "the network of its model.json")
    module.load_state_dict(tensors, assign=True)
    module.to(memory_format=torch.channels_last)
    return TrainedModel(
        path=path,
        module=module.eval().requires_grad_(False),
        task=task,
        image_size=size,
        standardise=standardise,
        units=units,
        temperature=temperature,
    )


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


def read_card(path: Path) -> dict[str, Any]:
    """The content of ``model.json``, a model of molecules.

    Raises:
        DataError: saying what the folder holds instead.
    """
    card = path / "model.json"
    if not card.is_file():
        raise DataError(f"{path} {what_is_there(path)}")
    try:
        content = json.loads(card.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{card} cannot be read ({error}); run again into another run_dir=") from error
    if not isinstance(content, dict):
        raise DataError(f"{card} is no model card: expected a table of keys and values")
    if content.get("schema") != SCHEMA:
        raise DataError(
            f"{card} has schema {content.get('schema')!r}, expected {SCHEMA}: was it made by another version?"
        )
    if "tokens" in content:
        raise DataError(
            f"{path} holds a model of text; predictions are for molecules. AutoModel.from_pretrained reads "
            f"{path / 'encoder'}"
        )
    return content


def what_is_there(path: Path) -> str:
    """The rest of a sentence on a folder without a model, with the cure."""
    if not path.exists():
        return "does not exist: give the folder of a finished run"
    if not path.is_dir():
        return "is a file: give the folder of a finished run"
    state = read_status(path / "status.json").get("state")
    if state is None:
        return "holds no run: give the folder of a finished one"
    if state != "ok":
        return f"holds a run that is not finished (its state is {state!r}); repeat its command to finish it"
    return "holds a run without a network, such as method=ecfp_rf leaves; predictions need a network"


def read_status(path: Path) -> dict[str, Any]:
    """The content of ``status.json``; empty where it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


@dataclass(frozen=True)
class Card:
    """The fields of a ``model.json``, checked as they are asked for.

    Args:
        path: for messages.
        content: what it holds.
    """

    path: Path
    content: Mapping[str, Any]

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number within limits."""
        return int(
            self._checked(
                name, f"a whole number from {low} to {high}", lambda v: is_whole(v) and low <= v <= high
            )
        )

    def text(self, name: str) -> str:
        """A text that is not empty."""
        return str(self._checked(name, "a text", is_text))

    def texts(self, name: str) -> tuple[str, ...]:
        """Some texts, all different."""
        found = self._checked(
            name,
            f"1 to {MOST_TARGETS} different texts",
            lambda v: (
                isinstance(v, list)
                and 0 < len(v) <= MOST_TARGETS
                and all(map(is_text, v))
                and len(set(v)) == len(v)
            ),
        )
        return tuple(found)

    def numbers(self, name: str, count: int, *, positive: bool = False) -> Tensor:
        """So many finite numbers, as float32."""
        found = self._checked(
            name,
            f"{count} {'positive' if positive else 'finite'} numbers",
            lambda v: (
                isinstance(v, list)
                and len(v) == count
                and all(is_number(one) and (one > 0 or not positive) for one in v)
            ),
        )
        return torch.tensor(found, dtype=torch.float32)

    def flags(self, name: str, known: Mapping[str, Any]) -> dict[str, bool]:
        """Known names, each true or false."""
        found = self._checked(
            name,
            f"true or false for {', '.join(known)}",
            lambda v: (
                isinstance(v, dict) and all(k in known and isinstance(one, bool) for k, one in v.items())
            ),
        )
        return dict(found)

    def error(self, name: str, expected: str) -> DataError:
        """What is wrong with a field."""
        return DataError(
            f"{self.path}: {name!r} is {shortened(self.content.get(name))}, expected {expected}; "
            "it is damaged, or was made by another version"
        )

    def _checked(self, name: str, expected: str, right: Callable[[Any], bool]) -> Any:
        value = self.content.get(name)
        if not right(value):
            raise self.error(name, expected)
        return value


def shortened(value: object) -> str:
    """A value for a message."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def is_whole(value: object) -> bool:
    """Whether it is a whole number and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether it is a finite number that float32 can hold."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= torch.finfo(torch.float32).max
    )


def is_text(value: object) -> bool:
    """Whether it is a text that is not empty."""
    return isinstance(value, str) and value != ""
