"""``model.json``, what a model's weights mean: untrusted data, checked field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from molweight.errors import DataError, option
from molweight.utils.files import read_json

SCHEMA = 1
MOST_TARGETS = 100_000


def read_metadata(path: Path) -> dict[str, object]:
    """The content of ``model.json``, a model of molecules.

    Args:
        path: the folder of a finished run.

    Raises:
        DataError: saying what the folder holds instead.
    """
    file = path / "model.json"
    try:
        content = read_json(file)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{path} {what_is_there(path)}") from error
    except (OSError, ValueError) as error:
        raise DataError(
            f"{file} cannot be read ({error}); run again into another {option('run_dir')}"
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"{file} is no model card: expected a table of keys and values")
    if content.get("schema") != SCHEMA:
        raise DataError(
            f"{file} has schema {content.get('schema')!r}, expected {SCHEMA}: was it made by another version?"
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
    baseline = option("method", "ecfp_rf")
    return f"holds a run without a network, such as {baseline} leaves; predictions need a network"


def read_status(path: Path) -> dict[str, object]:
    """The content of ``status.json``; empty where it cannot be read."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


@dataclass(frozen=True)
class ModelMetadata:
    """The fields of a ``model.json``, checked as they are asked for.

    Args:
        path: for messages.
        content: what it holds.
    """

    path: Path
    content: Mapping[str, object]

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number within limits."""
        value = self.content.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.error(name, f"a whole number from {low} to {high}")
        return value

    def text(self, name: str) -> str:
        """A text that is not empty."""
        value = self.content.get(name)
        if not isinstance(value, str) or value == "":
            raise self.error(name, "a text")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Some texts, all different."""
        values = self.content.get(name)
        if not (
            isinstance(values, list)
            and 0 < len(values) <= MOST_TARGETS
            and all(map(is_text, values))
            and len(set(values)) == len(values)
        ):
            raise self.error(name, f"1 to {MOST_TARGETS} different texts")
        return tuple(values)

    def numbers(self, name: str, count: int, *, positive: bool = False) -> Tensor:
        """So many finite numbers, as float64."""
        values = self.content.get(name)
        if not (
            isinstance(values, list)
            and len(values) == count
            and all(map(is_number, values))
            and (min(values) > 0 or not positive)
        ):
            raise self.error(name, f"{count} {'positive' if positive else 'finite'} numbers")
        return torch.tensor(values, dtype=torch.float64)

    def flags(self, name: str, known: Sequence[str]) -> dict[str, bool]:
        """Known names, each true or false."""
        values = self.content.get(name)
        if not (
            isinstance(values, dict)
            and set(values) <= set(known)
            and all(isinstance(flag, bool) for flag in values.values())
        ):
            raise self.error(name, f"true or false for {', '.join(known)}")
        return dict(values)

    def error(self, name: str, expected: str) -> DataError:
        """What is wrong with a field."""
        return DataError(
            f"{self.path}: {name!r} is {shortened(self.content.get(name))}, expected {expected}; "
            "it is damaged, or was made by another version"
        )


def shortened(value: object) -> str:
    """A value for a message."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


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
