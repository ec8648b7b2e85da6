"""MIR, molecular image reconstruction: draw the picture again from its embedding."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional

from molweight.errors import ConfigError
from molweight.objectives.base import VIEWS, Objective
from molweight.objectives.corpus import UnlabelledMolecules
from molweight.tapweight.batches import inner
from molweight.tapweight.typing import Batch

SIDE = 64  # px of the decoded picture, as published whatever the input's size


class Reconstruction(Objective):
    """Mean squared error of a decoded 64x64 picture, in normalised pixels; optionally adversarial.

    The target is the very view that was encoded, scaled to 64x64; the published loader encodes one
    random rotation and compares with another.

    Args:
        adversarial: weight of an adversarial term, >= 0; 0 leaves it out. Its discriminator descends
            its own loss and the decoder and backbone ascend it, through a gradient reversal, so that
            one backward pass serves both (ImageMol trains them in turn).
        width: channels of the last decoder layer; None takes an eighth of the embedding, at least 8
            (ImageMol: 64 for 512).
    """

    task = "MIR"
    views = ("plain",)

    def __init__(self, *, adversarial: float = 0.0, width: int | None = None) -> None:
        super().__init__()
        if adversarial < 0 or (width is not None and width < 1):
            raise ConfigError(
                f"reconstruction needs adversarial >= 0 and width >= 1, got {adversarial} and {width}"
            )
        self.adversarial, self.width = adversarial, width

    @property
    def name(self) -> str:
        """``reconstruction``."""
        return "reconstruction"

    def build(self, dim: int, molecules: UnlabelledMolecules, seed: int) -> None:
        """A decoder, and a discriminator when the term is on."""
        width = self.width or max(8, dim // 8)
        self.decoder = Decoder(dim, width)
        self.discriminator = Discriminator(width) if self.adversarial > 0 else None

    def loss(self, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The squared error, plus the weighted adversarial term."""
        drawn = self.decoder(embeddings["plain"])
        target = functional.interpolate(inner(batch, VIEWS)["plain"], size=(SIDE, SIDE), mode="area")
        error = functional.mse_loss(drawn, target)
        if self.discriminator is None:
            return error
        real, fake = self.discriminator(target), self.discriminator(ReversedGradient.apply(drawn))
        cross_entropy = functional.binary_cross_entropy_with_logits
        adversarial_loss = cross_entropy(real, torch.ones_like(real)) + cross_entropy(
            fake, torch.zeros_like(fake)
        )
        return error + self.adversarial * adversarial_loss


class Decoder(nn.Module):
    """Embeddings [b, d] to pictures [b, 3, 64, 64] by five transposed convolutions (DCGAN).

    Args:
        dim: of the embedding.
        width: channels before the last layer; doubles towards the embedding.
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.start = nn.Linear(dim, 8 * width * 16)
        layers: list[nn.Module] = [nn.Unflatten(1, (8 * width, 4, 4)), nn.BatchNorm2d(8 * width), nn.ReLU()]
        for channels in (4 * width, 2 * width, width):  # 8, 16, 32 px
            layers += [nn.ConvTranspose2d(2 * channels, channels, 4, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(channels), nn.ReLU()]
        layers.append(nn.ConvTranspose2d(width, 3, 4, stride=2, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, embedding: Tensor) -> Tensor:
        """[b, d] -> [b, 3, 64, 64]."""
        drawn: Tensor = self.layers(self.start(embedding))
        return drawn


class Discriminator(nn.Module):
    """Pictures [b, 3, 64, 64] to one logit each, [b]: drawn or decoded?"""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for channels in (width, 2 * width, 4 * width):  # 32, 16, 8 px
            layers += [nn.Conv2d(before, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
            before = channels
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * 64, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """[b, 3, 64, 64] -> [b]."""
        logits: Tensor = self.layers(pixels)
        return logits.squeeze(1)


class ReversedGradient(torch.autograd.Function):
    """The identity whose derivative is minus one (Ganin and Lempitsky 2015), in both modes.

    Forward mode negates too, so that a directional derivative is the inner product with the very
    field that training descends.
    """

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        """``x``, as a tensor of its own: a view would need a view for its tangent."""
        return x.clone()

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor], output: Tensor) -> None:
        """Nothing to keep."""

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> Tensor:
        """Minus the gradient."""
        return -gradients[0]

    @staticmethod
    def jvp(ctx: FunctionCtx, *tangents: Tensor) -> Tensor:
        """Minus the tangent."""
        return -tangents[0]
