"""Random flips, rotations and greying of pictures, whole batches at once, each picture by its own draws."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as kernels

from molweight.errors import ConfigError
from molweight.training.draws import Draws

# torchvision's ImageNet statistics, as in ImageMol, pretrain.py load_norm_transform
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
FILLS = {"white": 255, "black": 0}
AT_ONCE = 1 << 18  # pixels that are turned at a time; larger temporaries leave the caches (1.3 times as long)


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
        if self.fill not in FILLS:
            raise ConfigError(f"augmentation fill must be 'white' or 'black', got {self.fill!r}")

    def __call__(self, pictures: Tensor, draws: Draws) -> Tensor:
        """A random variant of each picture.

        Args:
            pictures: uint8 [b, 3, H, W]; not changed.
            draws: of the same b samples; ``flip``, ``grey`` and ``angle`` decide everything.
        """
        flip, grey = draws.uniform("flip") < self.flip, draws.uniform("grey") < self.grey
        varied = pictures.clone()
        varied[flip] = kernels.horizontal_flip(pictures[flip])
        varied[grey] = kernels.rgb_to_grayscale(varied[grey], num_output_channels=3)
        if self.rotate == 0:
            return varied
        degrees = (2 * draws.uniform("angle") - 1) * self.rotate
        return rotated(varied, degrees, FILLS[self.fill])


def rotated(pictures: Tensor, degrees: Tensor, fill: int) -> Tensor:
    """Pictures turned about their centres, nearest neighbour, each by an angle of its own.

    torchvision's v2 ``rotate`` takes one angle a call. A loop of it over 128 pictures takes 10 times as long
    at 64 px and 3 times at 224 px (one thread; ``grid_sample`` with an angle for each picture, which needs
    floats: 1.8 and 2 times). The result is v2's, but for pixels whose source lies within float32's rounding
    of the border between two.

    Args:
        pictures: uint8 [b, 3, H, W]; not changed.
        degrees: counter-clockwise, [b] float64.
        fill: what is uncovered, 0 to 255.
    """
    count, channels, height, width = pictures.shape
    # From float64, so that a last digit that depends on the place in a vector register cannot show.
    cos, sin = degrees.deg2rad().cos().float(), degrees.deg2rad().sin().float()
    result = torch.empty_like(pictures)
    step = max(1, AT_ONCE // (height * width))
    for start in range(0, count, step):
        part = slice(start, start + step)
        source = source_index(cos[part], sin[part], height, width).expand(-1, channels, -1)
        padded = torch.nn.functional.pad(pictures[part].flatten(2), (0, 1), value=fill)
        torch.gather(padded, 2, source, out=result[part].view(-1, channels, height * width))
    return result


def source_index(cos: Tensor, sin: Tensor, height: int, width: int) -> Tensor:
    """Where each pixel of a turned picture comes from: row * W + column, or H * W if from outside.

    Args:
        cos, sin: of the angles, [b] float32.

    Returns:
        [b, 1, H * W] int64.
    """
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    y, x = torch.arange(height) - middle_y, torch.arange(width) - middle_x
    cos, sin = cos[:, None], sin[:, None]
    column = ((cos * x)[:, None, :] - (sin * y)[:, :, None]).add_(middle_x).round_()  # [b, H, W]
    row = ((sin * x)[:, None, :] + (cos * y)[:, :, None]).add_(middle_y).round_()
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    # Whole numbers up to 2**24 are exact in float32: pictures up to 4095 px a side.
    return torch.where(inside, row.mul_(width).add_(column), height * width).flatten(1).long()[:, None]


def normalised(pictures: Tensor) -> Tensor:
    """uint8 pictures [b, 3, H, W] as float32 with ImageNet's mean and spread, in the layout CPUs like."""
    pixels = kernels.to_dtype(pictures, torch.float32, scale=True)
    normal: Tensor = kernels.normalize(pixels, list(MEAN), list(STD), inplace=True)
    return normal.contiguous(memory_format=torch.channels_last)
