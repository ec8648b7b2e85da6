"""A small three-level problem, in float64 and full batches, for `benchmarks/unrolled.py` to solve exactly.

Real molecules (RDKit's NCI file), 24 px pictures, a two-layer convolutional network, four objectives.
"""

from __future__ import annotations

import functools
from copy import deepcopy
from dataclasses import dataclass

import torch
from rdkit import Chem
from rdkit.Chem import Crippen, rdMolDescriptors
from torch import Tensor, nn

from molweight.data.corpora import load_corpus
from molweight.data.specs import CorpusSpec
from molweight.images.pictures import Pictures
from molweight.objectives.corpus import UnlabelledMolecules
from molweight.tapweight.levels import (
    Finetuning,
    Pretraining,
    ThreeLevels,
    WeightLevel,
    shared_parameters,
)
from molweight.tapweight.objective_weights import ObjectiveWeights
from molweight.tapweight.proximal import make_proximal
from molweight.tapweight.typing import Batch

NAMES = ("clusters", "size", "polarity", "noise")
SIDE, CHANNELS = 24, 16  # px; features of the network
PART = 64  # molecules in each of: unlabelled, train, validation
BETA = 0.01  # of the smooth L1 term


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One kind of problem.

    Args:
        batchnorm: whether the network normalises its features.
        optimiser: ``sgd`` or ``adam``, of both levels.
        momentum: of SGD on both levels.
        gamma: strength of the proximal term.
        proximal: its kind.
        pretrained: level-1 steps with equal weights before the ones that count.
        warm: level-2 steps before them, as in a run that is under way.
        steps: of each level.
    """

    batchnorm: bool = True
    optimiser: str = "sgd"
    momentum: float = 0.0
    gamma: float = 0.5
    proximal: str = "l2"
    pretrained: int = 300
    warm: int = 200
    steps: int = 50

    @property
    def rate(self) -> float:
        """The learning rate of both levels: stable, and long enough for curvature to matter.

        The largest curvature is about 5 without BatchNorm, and 10 to 20 with it at this rate (it rises to
        ``2 / lr`` at larger ones, where the derivative of 50 steps explodes). SGD's is scaled by
        ``1 - momentum``, which lengthens the way ``1 / (1 - momentum)`` times.
        """
        if self.optimiser == "adam":
            return 1e-4
        return (3e-3 if self.batchnorm else 3e-2) * (1 - self.momentum)

    def optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        """The optimiser of a level."""
        if self.optimiser == "adam":
            return torch.optim.Adam(module.parameters(), lr=self.rate)
        return torch.optim.SGD(module.parameters(), lr=self.rate, momentum=self.momentum)

    def __str__(self) -> str:
        norm = "BatchNorm" if self.batchnorm else "no BatchNorm"
        start = "pretrained" if self.pretrained else "from scratch"
        optimiser = "Adam" if self.optimiser == "adam" else f"SGD, momentum {self.momentum:g}"
        proximal = "" if self.proximal == "l2" else f", {self.proximal}"
        return f"{norm}, {optimiser}, gamma {self.gamma:g}{proximal}, {start}"


SETTINGS = tuple(
    Setting(batchnorm=b, momentum=m, gamma=g, pretrained=p)
    for b in (True, False)
    for m in (0.0, 0.9)
    for g in (1e-3, 0.5)
    for p in (0, 300)
)
ADAM = tuple(Setting(batchnorm=b, optimiser="adam") for b in (True, False))


class Network(nn.Module):
    """Pixels [b, 3, 24, 24] -> [b, 16]."""

    def __init__(self, batchnorm: bool) -> None:
        super().__init__()

        def norm() -> nn.Module:
            return nn.BatchNorm2d(CHANNELS) if batchnorm else nn.Identity()

        self.layers = nn.Sequential(
            *(nn.Conv2d(3, CHANNELS, 3, stride=2, padding=1, bias=not batchnorm), norm(), nn.Tanh()),
            *(nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1, bias=not batchnorm), norm(), nn.Tanh()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.layers(pixels)
        return features


class Pretrain(nn.Module):
    """Four objectives: fingerprint clusters, molecule size, polar surface, random labels. Losses [4]."""

    def __init__(self, backbone: Network) -> None:
        super().__init__()
        self.backbone = backbone
        self.clusters, self.noise = nn.Linear(CHANNELS, 5), nn.Linear(CHANNELS, 5)
        self.size, self.polarity = nn.Linear(CHANNELS, 1), nn.Linear(CHANNELS, 1)

    def forward(self, batch: Batch) -> Tensor:
        h = self.backbone(batch["pixels"])
        cross_entropy = nn.functional.cross_entropy
        return torch.stack(
            [
                cross_entropy(self.clusters(h), batch["clusters"]),
                (self.size(h).squeeze(1) - batch["size"]).square().mean(),
                (self.polarity(h).squeeze(1) - batch["polarity"]).square().mean(),
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
    """Pictures and labels of 192 molecules, float64."""
    from sklearn.cluster import KMeans

    smiles = load_corpus(CorpusSpec(name="nci", limit=3 * PART), task_smiles=()).smiles
    molecules = UnlabelledMolecules(smiles)
    mols = [Chem.MolFromSmiles(s) for s in smiles]

    def scaled(values: list[float]) -> Tensor:
        column = torch.tensor(values, dtype=torch.float64)
        return (column - column.mean()) / column.std()

    return {
        "pixels": 1
        - Pictures(smiles, SIDE)[torch.arange(len(smiles))].double()
        / 255,  # ink, not paper: features start alive
        "clusters": torch.from_numpy(
            KMeans(5, random_state=0, n_init=3).fit_predict(molecules.maccs())
        ).long(),
        "size": scaled([float(m.GetNumHeavyAtoms()) for m in mols]),
        "polarity": scaled([float(rdMolDescriptors.CalcTPSA(m)) for m in mols]),
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
    mixture = ObjectiveWeights(names=NAMES, dtype=torch.float64)
    optimizer = setting.optimizer(theta)
    for _ in range(setting.pretrained):
        optimizer.zero_grad()
        theta(unlabelled).mean().backward()
        optimizer.step()
    with torch.random.fork_rng():
        torch.manual_seed(seed + 1)
        omega = Finetune(deepcopy(theta.backbone)).double()
    with torch.no_grad():
        mixture.logits.copy_(logits)
    shared, anchor = shared_parameters(omega, omega.backbone, theta.backbone)
    finetune = Finetuning(
        module=omega,
        batches=Same(train),
        optimizer=setting.optimizer(omega),
        task_loss=task_loss,
        proximal=make_proximal(setting.proximal, gamma=setting.gamma, reduction="sum", beta=BETA),
        shared=shared,
        anchor=anchor,
    )
    for _ in range(setting.warm):
        finetune.train_step()
    return ThreeLevels(
        pretrain=Pretraining(module=theta, batches=Same(unlabelled), optimizer=optimizer, mixture=mixture),
        finetune=finetune,
        weights=WeightLevel(
            module=mixture, batches=Same(valid), optimizer=setting.optimizer(mixture), finetuning=finetune
        ),
    )
