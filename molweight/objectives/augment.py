"""Random flips, rotations and greying of pictures, whole batches at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from molweight.errors import ConfigError

# torchvision's ImageNet statistics, as in ImageMol, pretrain.py load_norm_transform
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as PIL and torchvision turn colour to grey


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How a picture is varied (ImageMol, pretrain.py ``img_tra``: flip, grey 0.2, rotation by any angle).

    Args:
        flip: probability of a horizontal flip, [0, 1].
        grey: probability of losing the colours, [0, 1].
        rotate: largest angle in degrees, either way, [0, 360].
        fill: colour of what a rotation uncovers: ``white`` like the background, or ``black`` as
            published.
    """

    flip: float = 0.5
    grey: float = 0.2
    rotate: float = 360.0
    fill: str = "white"

    def __post_init__(self) -> None:
        if not (0 <= self.flip <= 1 and 0 <= self.grey <= 1 and 0 <= self.rotate <= 360):
            raise ConfigError(
                "augmentation needs flip and grey in [0, 1] and rotate in [0, 360], got "
                f"{self.flip}, {self.grey}, {self.rotate}"
            )
        if self.fill not in ("white", "black"):
            raise ConfigError(f"augmentation fill must be 'white' or 'black', got {self.fill!r}")

    def __call__(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """A random variant of each picture.

        Args:
            pixels: [b, 3, H, W] in [0, 1]; not changed.
            generator: CPU generator that decides everything.
        """
        count = len(pixels)
        draws = torch.rand(3, count, generator=generator)
        angle = (2 * draws[0] - 1) * torch.pi * self.rotate / 180
        mirror = torch.where(draws[1] < self.flip, -1.0, 1.0)
        matrix = torch.zeros(count, 2, 3)
        matrix[:, 0, 0], matrix[:, 0, 1] = angle.cos() * mirror, -angle.sin()
        matrix[:, 1, 0], matrix[:, 1, 1] = angle.sin() * mirror, angle.cos()
        grid = functional.affine_grid(matrix.to(pixels), list(pixels.shape), align_corners=False)
        background = 1.0 if self.fill == "white" else 0.0  # grid_sample pads with 0, so work relative to it
        turned = functional.grid_sample(pixels - background, grid, mode="nearest", align_corners=False)
        grey = (draws[2] < self.grey).to(pixels.device)
        return decoloured(turned + background, grey)


def decoloured(pixels: Tensor, which: Tensor) -> Tensor:
    """Pictures [b, 3, H, W] with those of ``which`` [b] (bool) in shades of grey."""
    luma = torch.tensor(LUMA, device=pixels.device, dtype=pixels.dtype).view(1, 3, 1, 1)
    return torch.where(which.view(-1, 1, 1, 1), (pixels * luma).sum(dim=1, keepdim=True), pixels)


def as_float(pixels: Tensor) -> Tensor:
    """uint8 pictures [b, 3, H, W] as float32 in [0, 1]."""
    return pixels.float() / 255


def normalised(pixels: Tensor) -> Tensor:
    """Pictures [b, 3, H, W] in [0, 1] with ImageNet's mean and spread, in the memory layout CPUs like."""
    mean = torch.tensor(MEAN, device=pixels.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=pixels.device).view(1, 3, 1, 1)
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)
