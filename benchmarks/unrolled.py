"""A small problem whose hypergradient is known: autograd through every step of both lower levels.

Real molecules (RDKit's NCI file), 24 px pictures, a two-layer convolutional network, four objectives, full
batches. Level 1 takes 50 SGD steps, level 2 another 50, all recorded by autograd in float64, so that the
derivative of the validation loss with respect to the logits is exact for this training.
"""

from __future__ import annotations

import functools
from copy import deepcopy
from dataclasses import dataclass

import torch
from rdkit import Chem
from rdkit.Chem import Crippen
from torch import Tensor, nn
from torch.func import functional_call

from molweight.molecules.cards import CorpusCard
from molweight.molecules.corpora import load_corpus
from molweight.molecules.render import render_all
from molweight.objectives.corpus import UnlabelledMolecules
from molweight.tapweight.levels import Finetuning, Pretraining, ThreeLevels, Weighting, shared_parameters
from molweight.tapweight.mixture import Mixture
from molweight.tapweight.proximal import SquaredL2
from molweight.tapweight.replay import trainable
from molweight.tapweight.typing import Batch

NAMES = ("clusters", "size", "colour", "noise")
SIDE, CHANNELS = 24, 8  # px; features of the network
PART = 48  # molecules in each of: unlabelled, train, validation


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One kind of problem.

    Args:
        batchnorm: whether the network normalises its features.
        momentum: of SGD on both levels.
        gamma: strength of the proximal term.
        pretrained: steps with equal weights before the ones that count.
        lr: of SGD on both levels, before it is scaled by ``1 - momentum``.
        steps: of each level.
    """

    batchnorm: bool = True
    momentum: float = 0.0
    gamma: float = 0.5
    pretrained: int = 100
    lr: float = 0.01
    steps: int = 50

    @property
    def rate(self) -> float:
        """The learning rate used: momentum lengthens the way ``1 / (1 - momentum)`` times."""
        return self.lr * (1 - self.momentum)

    def __str__(self) -> str:
        norm = "BatchNorm" if self.batchnorm else "no BatchNorm"
        start = "pretrained" if self.pretrained else "from scratch"
        return f"{norm}, momentum {self.momentum:g}, gamma {self.gamma:g}, {start}"


SETTINGS = tuple(
    Setting(batchnorm=b, momentum=m, gamma=g, pretrained=p)
    for b in (True, False)
    for m in (0.0, 0.9)
    for g in (1e-3, 0.5)
    for p in (0, 100)
)


class Network(nn.Module):
    """Pixels [b, 3, 24, 24] -> [b, 8]."""

    def __init__(self, batchnorm: bool) -> None:
        super().__init__()

        def norm() -> nn.Module:
            return nn.BatchNorm2d(CHANNELS) if batchnorm else nn.Identity()

        self.layers = nn.Sequential(
            *(nn.Conv2d(3, CHANNELS, 3, stride=2, padding=1), norm(), nn.Tanh()),
            *(nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1), norm(), nn.Tanh()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.layers(pixels)
        return features


class Pretrain(nn.Module):
    """Four objectives: fingerprint clusters, molecule size, mean colour, random labels. Losses [4]."""

    def __init__(self, backbone: Network) -> None:
        super().__init__()
        self.backbone = backbone
        self.clusters, self.noise = nn.Linear(CHANNELS, 5), nn.Linear(CHANNELS, 5)
        self.size, self.colour = nn.Linear(CHANNELS, 1), nn.Linear(CHANNELS, 3)

    def forward(self, batch: Batch) -> Tensor:
        h = self.backbone(batch["pixels"])
        cross_entropy = nn.functional.cross_entropy
        return torch.stack(
            [
                cross_entropy(self.clusters(h), batch["clusters"]),
                (self.size(h).squeeze(1) - batch["size"]).square().mean(),
                (self.colour(h) - batch["pixels"].mean(dim=(2, 3))).square().mean(),
                cross_entropy(self.noise(h), batch["noise"]),
            ]
        )


class Finetune(nn.Module):
    """Predicts log P: [b, 1]."""

    def __init__(self, backbone: Network) -> None:
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(CHANNELS, 1)

    def forward(self, batch: Batch) -> Tensor:
        prediction: Tensor = self.head(self.backbone(batch["pixels"]))
        return prediction


def task_loss(outputs: Tensor, batch: Batch) -> Tensor:
    """Mean squared error of log P, in its standard deviations."""
    return (outputs.squeeze(1) - batch["logp"]).square().mean()


class Same:
    """One batch for ever."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def next(self) -> Batch:
        return self.batch

    def state_dict(self) -> dict[str, object]:
        return {}

    def load_state_dict(self, state: dict[str, object]) -> None:
        pass


@functools.cache
def data() -> dict[str, Tensor]:
    """Pictures and labels of 144 molecules, float64."""
    from sklearn.cluster import KMeans

    smiles = load_corpus(CorpusCard(name="nci", limit=3 * PART), task_smiles=()).smiles
    molecules = UnlabelledMolecules(smiles)
    mols = [Chem.MolFromSmiles(s) for s in smiles]

    def scaled(values: list[float]) -> Tensor:
        column = torch.tensor(values, dtype=torch.float64)
        return (column - column.mean()) / column.std()

    return {
        "pixels": 1 - render_all(smiles, SIDE).double() / 255,  # ink, not paper: features start alive
        "clusters": torch.from_numpy(
            KMeans(5, random_state=0, n_init=3).fit_predict(molecules.maccs())
        ).long(),
        "size": scaled([float(m.GetNumHeavyAtoms()) for m in mols]),
        "logp": scaled([float(Crippen.MolLogP(m)) for m in mols]),
    }


def problem(setting: Setting, seed: int) -> ThreeLevels:
    """Levels at their starting point, with a random start, split and noise labels of a seed."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(3 * PART, generator=generator)
    everything = data() | {"noise": torch.randint(5, (3 * PART,), generator=generator)}
    unlabelled, train, valid = ({k: v[p] for k, v in everything.items()} for p in order.split(PART))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        theta = Pretrain(Network(setting.batchnorm)).double()
        logits = 0.5 * torch.randn(len(NAMES), dtype=torch.float64)
    mixture = Mixture(names=NAMES, dtype=torch.float64)
    descend(theta, lambda module: module(unlabelled).mean(), setting, setting.pretrained)
    with torch.random.fork_rng():
        torch.manual_seed(seed + 1)
        omega = Finetune(deepcopy(theta.backbone)).double()
    with torch.no_grad():
        mixture.logits.copy_(logits)
    shared, anchor = shared_parameters(omega, omega.backbone, theta.backbone)

    def sgd(module: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(module.parameters(), lr=setting.rate, momentum=setting.momentum)

    finetune = Finetuning(
        module=omega,
        batches=Same(train),
        optimizer=sgd(omega),
        task_loss=task_loss,
        proximal=SquaredL2(gamma=setting.gamma),
        shared=shared,
        anchor=anchor,
    )
    return ThreeLevels(
        pretrain=Pretraining(module=theta, batches=Same(unlabelled), optimizer=sgd(theta), mixture=mixture),
        finetune=finetune,
        weights=Weighting(module=mixture, batches=Same(valid), optimizer=sgd(mixture), finetuning=finetune),
    )


def descend(module: nn.Module, loss: object, setting: Setting, steps: int) -> None:
    """Plain SGD, not recorded."""
    optimizer = torch.optim.SGD(module.parameters(), lr=setting.lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(module).backward()  # type: ignore[operator]
        optimizer.step()


def train(levels: ThreeLevels, setting: Setting, logits: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Both lower levels from their start, as a differentiable function of the logits.

    Returns:
        The validation loss, and the final theta and omega.
    """
    lower, upper = levels.pretrain, levels.finetune
    unlabelled, labelled, valid = lower.draw(), upper.draw(), levels.weights.batches.next()
    weights = torch.softmax(logits, 0)
    names, upper_names = list(trainable(lower.module)), list(trainable(upper.module))

    def call(module: nn.Module, keys: list[str], values: list[Tensor], batch: Batch) -> Tensor:
        buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
        output: Tensor = functional_call(module, buffers | dict(zip(keys, values, strict=True)), (batch,))
        return output

    def unroll(values: list[Tensor], loss: object) -> list[Tensor]:
        velocity = [torch.zeros_like(v) for v in values]
        for _ in range(setting.steps):
            gradients = torch.autograd.grad(loss(values), values, create_graph=True)  # type: ignore[operator]
            velocity = [setting.momentum * m + g for m, g in zip(velocity, gradients, strict=True)]
            values = [v - setting.rate * m for v, m in zip(values, velocity, strict=True)]
        return values

    theta = unroll(
        [p.detach().requires_grad_() for p in lower.parameters],
        lambda v: weights @ call(lower.module, names, v, unlabelled),
    )
    by_id = {id(p): v for p, v in zip(lower.parameters, theta, strict=True)}
    anchor = [by_id[id(p)] for p in upper.anchor]
    gamma = upper.proximal.gamma

    def level_two(values: list[Tensor]) -> Tensor:
        tie = sum((values[i] - a).square().sum() for i, a in zip(upper.shared, anchor, strict=True))
        return task_loss(call(upper.module, upper_names, values, labelled), labelled) + gamma * tie

    omega = unroll([p.detach().requires_grad_() for p in upper.parameters], level_two)
    return task_loss(call(upper.module, upper_names, omega, valid), valid), theta, omega


def truth(levels: ThreeLevels, setting: Setting) -> Tensor:
    """The exact hypergradient [k]; leaves both lower levels at the end of their training."""
    logits = levels.mixture.logits.detach().clone().requires_grad_()
    loss, theta, omega = train(levels, setting, logits)
    (gradient,) = torch.autograd.grad(loss, logits)
    with torch.no_grad():
        for level, values in ((levels.pretrain, theta), (levels.finetune, omega)):
            for parameter, value in zip(level.parameters, values, strict=True):
                parameter.copy_(value)
    return gradient
