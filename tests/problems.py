"""Small three-level problems: one in closed form, one with a convolutional network."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from molweight.tapweight.levels import Finetuning, Pretraining, ThreeLevels, WeightLevel, shared_parameters
from molweight.tapweight.objective_weights import ObjectiveWeights
from molweight.tapweight.proximal import SquaredL2
from molweight.tapweight.typing import Batch


def symmetric(eigenvalues: tuple[float, ...]) -> Tensor:
    """A symmetric float64 matrix with given eigenvalues and random eigenvectors."""
    size, generator = len(eigenvalues), torch.Generator().manual_seed(0)
    q, _ = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    return q @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ q.T


def matvec_of(H: Tensor) -> Any:
    """The product with H of a direction kept as two tensors, the first of three numbers."""

    def matvec(direction: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        product = H @ torch.cat(direction)
        return product[:3], product[3:]

    return matvec


class Cycle:
    """The same few batches over and over."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches, self.position = batches, 0

    def next(self) -> Batch:
        self.position += 1
        return self.batches[(self.position - 1) % len(self.batches)]

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = state["position"]


class Quadratics(nn.Module):
    """``L_k(theta) = 1/2 theta' A_k theta - b_k' theta`` for every k: [k]."""

    def __init__(self, A: Tensor, b: Tensor, start: Tensor) -> None:
        super().__init__()
        self.point = nn.Parameter(start.clone())
        self.A, self.b = A, b  # [k, d, d], [k, d]

    def forward(self, batch: Batch) -> Tensor:
        return 0.5 * torch.einsum("i,kij,j->k", self.point, self.A, self.point) - self.b @ self.point


class Point(nn.Module):
    """Returns its parameter; the task loss does the rest."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.point = nn.Parameter(start.clone())

    def forward(self, batch: Batch) -> Tensor:
        return self.point


def levels_of(
    theta: nn.Module,
    omega: nn.Module,
    backbones: tuple[nn.Module, nn.Module],
    task_loss: Any,
    batches: tuple[Cycle, Cycle, Cycle],
    *,
    names: tuple[str, ...],
    gamma: float,
    lr: float = 0.05,
    weights_lr: float = 0.5,
    momentum: float = 0.9,
    schedule: bool = True,
    clip: float | None = None,
) -> ThreeLevels:
    """Wire modules and batches into the three levels, with SGD throughout."""
    dtype = next(theta.parameters()).dtype
    mixture = ObjectiveWeights(names=names, dtype=dtype)
    shared, anchor = shared_parameters(omega, backbones[1], backbones[0])

    def optimizer(module: nn.Module, rate: float) -> tuple[Any, Any]:
        sgd = torch.optim.SGD(module.parameters(), lr=rate, momentum=momentum, weight_decay=1e-5)
        return sgd, torch.optim.lr_scheduler.StepLR(sgd, 7, 0.9) if schedule else None

    (o1, s1), (o2, s2), (o3, s3) = optimizer(theta, lr), optimizer(omega, lr), optimizer(mixture, weights_lr)
    pretrain = Pretraining(
        module=theta, batches=batches[0], optimizer=o1, scheduler=s1, clip=clip, mixture=mixture
    )
    finetune = Finetuning(
        module=omega,
        batches=batches[1],
        optimizer=o2,
        scheduler=s2,
        clip=clip,
        task_loss=task_loss,
        proximal=SquaredL2(gamma=gamma),
        shared=shared,
        anchor=anchor,
    )
    weights = WeightLevel(module=mixture, batches=batches[2], optimizer=o3, scheduler=s3, finetuning=finetune)
    return ThreeLevels(pretrain=pretrain, finetune=finetune, weights=weights)


def lower_batches(levels: ThreeLevels) -> dict[str, Batch]:
    """The next batch of both lower levels, as an update of the weights needs them."""
    return {level.name: level.next_batch() for level in (levels.pretrain, levels.finetune)}


def hypergradient_of(levels: ThreeLevels, how: Any, batches: dict[str, Batch] | None = None) -> Tensor:
    """The hypergradient on the next batches, [k]."""
    batches = batches or lower_batches(levels)
    return how(levels, batches, levels.weights.loss(levels.weights.next_batch()))


class SmallNet(nn.Module):
    """Two convolutions with BatchNorm and dropout: pixels [b, 3, 16, 16] -> [b, 8]."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        return self.layers(pixels)


class ThreeHeads(nn.Module):
    """Classification, regression and reconstruction of the mean colour: losses [3]."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.classes, self.value, self.colour = nn.Linear(8, 4), nn.Linear(8, 1), nn.Linear(8, 3)

    def forward(self, batch: Batch) -> Tensor:
        h = self.backbone(batch["pixels"])
        return torch.stack(
            [
                nn.functional.cross_entropy(self.classes(h), batch["label"]),
                (self.value(h).squeeze(1) - batch["y"]).square().mean(),
                (self.colour(h) - batch["pixels"].mean(dim=(2, 3))).square().mean(),
            ]
        )


class OneHead(nn.Module):
    """A regression model."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(8, 1)

    def forward(self, batch: Batch) -> Tensor:
        return self.head(self.backbone(batch["pixels"]))


def squared_error(outputs: Tensor, batch: Batch) -> Tensor:
    return (outputs.squeeze(1) - batch["y"]).square().mean()


def network_problem(seed: int = 0, dtype: torch.dtype = torch.float32, **options: Any) -> ThreeLevels:
    """Levels over a small network; equal seeds give bitwise equal problems."""
    torch.manual_seed(seed)

    def batches(count: int) -> Cycle:
        return Cycle(
            [
                {
                    "pixels": torch.randn(12, 3, 16, 16, dtype=dtype),
                    "label": torch.randint(4, (12,)),
                    "y": torch.randn(12, dtype=dtype),
                }
                for _ in range(count)
            ]
        )

    backbone = SmallNet()
    theta, omega = ThreeHeads(backbone), OneHead(deepcopy(backbone))
    return levels_of(
        theta.to(dtype),
        omega.to(dtype),
        (theta.backbone, omega.backbone),
        squared_error,
        (batches(5), batches(3), batches(2)),
        names=("classes", "value", "colour"),
        **{"gamma": 1e-2, **options},
    )
