"""Views: what is done to a picture before it is encoded. All randomness of an objective happens here."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from molweight.errors import ConfigError, unknown
from molweight.images.transforms import Augmentation
from molweight.training.draws import Draws

GRID = 3  # tiles along each side
TILES = GRID * GRID


class View(ABC):
    """One way of looking at a batch of pictures.

    ``name`` is the key of its pixels in the batch; ``needs`` names views that must be made before it.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def make(
        self, pictures: Tensor, done: dict[str, Tensor], augment: Augmentation, draws: Draws
    ) -> dict[str, Tensor]:
        """The view's pixels, uint8 [b, 3, H, W], under ``name``, and its targets.

        Args:
            pictures: clean, uint8 [b, 3, H, W]; not changed.
            done: views made so far.
            augment: the common augmentation.
            draws: this view's, of the same b samples; they decide every random choice.
        """


class Plain(View):
    """The picture itself, augmented."""

    name = "plain"

    def make(
        self, pictures: Tensor, done: dict[str, Tensor], augment: Augmentation, draws: Draws
    ) -> dict[str, Tensor]:
        """Pixels only."""
        return {self.name: augment(pictures, draws)}


@dataclass(frozen=True, kw_only=True)
class Jigsaw(View):
    """An augmented picture whose 3x3 tiles are permuted (ImageMol, JigsawLoader.py get_tile_data).

    Augmented once, before the tiles are cut; the published loader turns the result a second time.

    Args:
        classes: fixed permutations besides the identity, which is class 0.
        identity: probability of leaving the tiles in place (ImageMol: 0.8), [0, 1].
    """

    name: ClassVar[str] = "jigsaw"
    classes: int = 100
    identity: float = 0.8

    def __post_init__(self) -> None:
        if not 1 <= self.classes <= 1000 or not 0 <= self.identity <= 1:
            raise ConfigError(
                "a jigsaw needs 1 to 1000 classes and an identity probability in [0, 1], got "
                f"{self.classes} and {self.identity}"
            )

    def make(
        self, pictures: Tensor, done: dict[str, Tensor], augment: Augmentation, draws: Draws
    ) -> dict[str, Tensor]:
        """Pixels, and ``jigsaw_order`` [b] in 0..classes."""
        order = draws.integers("order", self.classes + 1)
        order[draws.uniform("whole") < self.identity] = 0
        table = torch.cat([torch.arange(TILES)[None], permutations(self.classes)])
        return {self.name: permute_tiles(augment(pictures, draws), table[order]), "jigsaw_order": order}


@dataclass(frozen=True, kw_only=True)
class Masked(View):
    """The plain view with one square replaced by the channel means (ImageMol, get_mask_data).

    Args:
        size: side of the square in pixels (ImageMol, ``--cl_mask_shape_h``: 16).
    """

    name: ClassVar[str] = "masked"
    needs: ClassVar[tuple[str, ...]] = ("plain",)
    size: int = 16

    def make(
        self, pictures: Tensor, done: dict[str, Tensor], augment: Augmentation, draws: Draws
    ) -> dict[str, Tensor]:
        """Pixels only."""
        plain = done["plain"]
        height, width = plain.shape[2:]
        if not 0 < self.size < min(height, width):
            raise ConfigError(
                f"the mask's side must lie between 1 and the picture's {height} px, got {self.size}"
            )
        top = draws.integers("top", height - self.size + 1)[:, None]
        left = draws.integers("left", width - self.size + 1)[:, None]
        rows, columns = torch.arange(height), torch.arange(width)
        inside_rows = (rows >= top) & (rows < top + self.size)  # [b, H]
        inside_columns = (columns >= left) & (columns < left + self.size)  # [b, W]
        mask = inside_rows[:, None, :, None] & inside_columns[:, None, None, :]
        # A sum of whole numbers does not depend on its order, nor on the number of threads.
        mean = plain.sum(dim=(2, 3), keepdim=True).float().div_(height * width).round_().byte()
        return {self.name: torch.where(mask, mean, plain)}


def permute_tiles(pixels: Tensor, order: Tensor) -> Tensor:
    """Pictures whose tile t is tile ``order[t]`` of the original.

    Args:
        pixels: uint8 [b, 3, H, W]; a remainder of H or W by 3 stays white.
        order: [b, 9].
    """
    count, channels, height, width = pixels.shape
    h, w = height // GRID, width // GRID
    tiles = pixels[:, :, : h * GRID, : w * GRID].reshape(count, channels, GRID, h, GRID, w)
    tiles = tiles.permute(0, 2, 4, 1, 3, 5).reshape(count, TILES, channels, h, w)
    tiles = tiles[torch.arange(count)[:, None], order]
    tiles = tiles.reshape(count, GRID, GRID, channels, h, w).permute(0, 3, 1, 4, 2, 5)
    result = torch.full_like(pixels, 255)
    result[:, :, : h * GRID, : w * GRID] = tiles.reshape(count, channels, h * GRID, w * GRID)
    return result


@functools.cache
def permutations(count: int) -> Tensor:
    """Fixed permutations of the 9 tiles that lie far apart, [count, 9], none the identity.

    Greedy farthest-point choice in Hamming distance (Noroozi and Favaro 2016, algorithm 1) among
    20,000 candidates from a fixed seed, so that every run and every machine has the same classes.
    """
    rng = np.random.default_rng(0)
    candidates = np.unique(rng.permuted(np.tile(np.arange(TILES), (20_000, 1)), axis=1), axis=0)
    distance = (candidates != np.arange(TILES)).sum(axis=1)
    chosen = []
    for _ in range(count):
        best = int(distance.argmax())
        chosen.append(candidates[best])
        distance = np.minimum(distance, (candidates != candidates[best]).sum(axis=1))
    return torch.from_numpy(np.array(chosen)).long()


VIEWS: dict[str, type[View]] = {view.name: view for view in (Plain, Jigsaw, Masked)}


class ViewSet:
    """The distinct views that a set of objectives asks for, each made once per batch.

    Args:
        names: of the views; what they need is added.
        augment: the common augmentation.
        settings: constructor arguments by view.

    Raises:
        ConfigError: unknown view.
    """

    def __init__(
        self, names: Iterable[str], augment: Augmentation, settings: dict[str, dict[str, float]] | None = None
    ) -> None:
        wanted = set(names)
        for name in wanted:
            if name not in VIEWS:
                raise ConfigError(unknown("view", name, VIEWS))
        wanted |= {need for name in wanted for need in VIEWS[name].needs}
        options = settings or {}
        for name in options:
            if name not in VIEWS:
                raise ConfigError(unknown("view", name, VIEWS))
        self.views = [VIEWS[name](**options.get(name, {})) for name in VIEWS if name in wanted]
        self.augment = augment

    def __call__(self, pictures: Tensor, draws: Draws) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Every view by name, uint8 [b, 3, H, W], and the views' targets.

        Args:
            pictures: uint8 [b, 3, H, W]; not changed.
            draws: of the same b samples; each view has its own, whichever others are made.
        """
        done: dict[str, Tensor] = {}
        for view in self.views:
            done |= view.make(pictures, done, self.augment, draws.of(view.name))
        names = {view.name for view in self.views}
        targets = {name: value for name, value in done.items() if name not in names}
        return {name: done[name] for name in done if name in names}, targets
