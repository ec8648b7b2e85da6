"""ResNet-18 as an encoder of pictures, at full or at a quarter of the width."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

from molweight.errors import ConfigError, DataError, option
from molweight.utils.files import sha256_file
from molweight.utils.tensor_files import read_tensors

FULL_WIDTH = 64  # channels of torchvision's first stage
CHANNELS_LAST = 8
"""Channels from which the layout channels_last is safe. With 2 to 7, oneDNN on processors with AVX2 but
without AVX-512 (torch 2.14.1) writes beyond the gradient of a 1x1 convolution with stride 2, and crashes."""
SHIPPED = Path(__file__).parent / "pretrained"
"""Weights of the package, each beside its model card; ``backbone.init`` takes the stem of a file."""


class ResNet18(ResNet):  # type: ignore[misc]
    """torchvision's ResNet-18 without its classifier: pixels [b, 3, H, W] -> embeddings [b, 8 * width].

    Args:
        width: channels of the first stage; 64 is torchvision's network, 16 a quarter of it.
    """

    def __init__(self, *, width: int = FULL_WIDTH) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2])
        if width < 1:
            raise ConfigError(f"backbone.width must be >= 1, got {width}")
        if width != FULL_WIDTH:
            self._narrow(width)
        self.fc = nn.Identity()
        self.dim = 8 * width
        # channels_last: 1.5 times the images/s in training on two cores
        self.memory_format = torch.channels_last if width >= CHANNELS_LAST else torch.contiguous_format
        self.to(memory_format=self.memory_format)

    def forward(self, pixels: Tensor) -> Tensor:
        """[b, 3, H, W] -> [b, 8 * width], in the network's own memory format."""
        embeddings: Tensor = super().forward(pixels.contiguous(memory_format=self.memory_format))
        return embeddings

    def _narrow(self, width: int) -> None:
        """Rebuild the stages with fewer channels, by torchvision's own method and initialisation."""
        self.inplanes = width
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        for stage in range(4):
            layer = self._make_layer(BasicBlock, width << stage, 2, stride=1 if stage == 0 else 2)
            setattr(self, f"layer{stage + 1}", layer)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def make_backbone(*, width: int, init: str | None, seed: int) -> ResNet18:
    """A backbone with the weights that were asked for.

    Args:
        width: channels of the first stage.
        init: ``random``, the name of shipped weights, or a safetensors file; of a backbone of this width.
        seed: of the random weights.

    Raises:
        ConfigError: no ``init``.
        DataError: the file is missing, damaged, or does not hold exactly this backbone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = ResNet18(width=width)
    if init is None:
        raise ConfigError(
            f"this backbone needs weights: {option('backbone.init', 'FILE.safetensors')} (ImageMol.pth.tar "
            "becomes one with `python -m molweight convert`), or "
            f"{option('backbone.init', 'random')} to start from nothing"
        )
    if init != "random":
        load_backbone(backbone, weights_file(init))
    return backbone


def weights_file(init: str) -> Path:
    """Where the weights are that ``backbone.init`` names, shipped or the user's own; perhaps nowhere."""
    return SHIPPED / f"{init}.safetensors" if init in shipped() else Path(init).expanduser()


def weights_sha256(init: str | None) -> str | None:
    """SHA-256 of the file that ``backbone.init`` names; None for random weights."""
    if init is None or init == "random":
        return None
    return sha256_file(weights_file(init))


def shipped() -> list[str]:
    """The names of the weights that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def load_backbone(backbone: ResNet18, path: Path) -> None:
    """Fill a backbone from a file that must hold every one of its tensors and no other.

    Raises:
        DataError: naming what is missing, left over or of another shape.
    """
    scratch = f"pass {option('backbone.init', 'random')} to train from scratch"
    if not path.is_file():
        raise DataError(
            f"backbone.init: there is no file {path}, and no shipped weights of that name "
            f"({', '.join(shipped())})",
            hint=scratch,
        )
    try:
        backbone.load_state_dict(read_tensors(path, backbone, "this backbone"))
    except DataError as error:
        way = "an ImageMol file? `python -m molweight convert` first" if ".pth" in path.name else scratch
        hint = f"choose the matching {option('backbone')}, or {way}"
        raise DataError(f"backbone.init: {error}", hint=hint) from error
