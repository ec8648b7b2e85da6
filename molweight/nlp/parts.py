"""How the rows of a task are divided: GLUE's dev part is the test part, validation is carved out of train."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import torch
from torch import Tensor

from molweight.errors import ConfigError
from molweight.utils.seeds import derived_generator


@dataclass(frozen=True, kw_only=True)
class CarveConfig:
    """The validation part, and how many of the other rows are trained on.

    Args:
        valid: fraction of GLUE's train part that validates, (0, 1).
        seed: of the draws; the same for all runs that are compared.
        train: largest number of training rows, drawn at random from the others, >= 10; None takes all.
    """

    valid: float
    seed: int
    train: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.valid < 1:
            raise ConfigError(f"split.valid must be between 0 and 1, got {self.valid}")
        if self.train is not None and self.train < 10:
            raise ConfigError(f"split.train must be >= 10 or null, got {self.train}")


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Positions of rows, those of the train file before those of the test file, each part in their order."""

    train: Tensor
    meta: Tensor
    valid: Tensor
    test: Tensor

    def sizes(self) -> dict[str, int]:
        """Rows of each part."""
        return {name: len(getattr(self, name)) for name in ("train", "meta", "valid", "test")}

    def named(self) -> dict[str, list[int]]:
        """Positions of each part."""
        return {name: getattr(self, name).tolist() for name in ("train", "meta", "valid", "test")}

    def hash(self, data: str) -> str:
        """SHA-256 of the positions, and of the data that they are positions in."""
        return hashlib.sha256(json.dumps([data, self.named()]).encode()).hexdigest()


def carve(n_train: int, n_test: int, recipe: CarveConfig, *, meta: float | None, seed: int) -> Parts:
    """The parts.

    Args:
        n_train, n_test: rows of the two files.
        recipe: of the validation part, and of how many train.
        meta: share of the rest that becomes ``meta``, under protocol ``strict``; None: none.
        seed: of the run, for ``meta``.
    """
    order = torch.randperm(n_train, generator=derived_generator("glue", "valid", recipe.seed))
    size = min(max(2, round(recipe.valid * n_train)), n_train - 2)
    last = None if recipe.train is None else size + recipe.train
    valid, rest = order[:size].sort().values, order[size:last].sort().values
    carved = rest[:0]
    if meta is not None:
        order = rest[torch.randperm(len(rest), generator=derived_generator("glue", "meta", seed))]
        count = min(max(2, round(meta * len(rest))), len(rest) - 2)
        carved, rest = order[:count].sort().values, order[count:].sort().values
    return Parts(train=rest, meta=carved, valid=valid, test=torch.arange(n_train, n_train + n_test))
