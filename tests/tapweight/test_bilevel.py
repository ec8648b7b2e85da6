"""Two levels: the hypergradient in closed form, resuming, and a real run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from problems import Cycle, Point, Quadratics
from smallest import SMALLEST
from torch import Tensor, nn

from molweight.config.image_run import load_config
from molweight.runs.experiment import run_experiment
from molweight.tapweight.averaging import AveragingConfig
from molweight.tapweight.bilevel import Bilevel, JointLevel, JointModel, ZippedLoaders
from molweight.tapweight.functional import stateless_call
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.inverse import ConjugateGradient
from molweight.tapweight.levels import SharedTask, WeightLevel
from molweight.tapweight.objective_weights import ObjectiveWeights
from molweight.tapweight.typing import Batch

D, K = 6, 3


def problem(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Curvatures [k, d, d], slopes [k, d], the labels of training and validation [d]; float64."""
    generator = torch.Generator().manual_seed(seed)
    roots = torch.randn(K, D, D, generator=generator, dtype=torch.float64)
    curvatures = roots @ roots.transpose(1, 2) / D + 0.5 * torch.eye(D, dtype=torch.float64)
    slopes = torch.randn(K, D, generator=generator, dtype=torch.float64)
    return curvatures, slopes, *torch.randn(2, D, generator=generator, dtype=torch.float64)


def best(logits: Tensor, A: Tensor, b: Tensor, train: Tensor) -> Tensor:
    """The lower level's minimum, with its graph."""
    weights = torch.softmax(logits, dim=0)
    H = torch.einsum("k,kij->ij", weights, A) + torch.eye(D, dtype=A.dtype)
    return torch.linalg.solve(H, weights @ b + train)


def squared(outputs: Tensor, batch: Batch) -> Tensor:
    """Half the squared distance to the labels."""
    return 0.5 * (outputs - batch["y"][0]).square().sum()


def trainer(seed: int, hypergradient: Hypergradient | None = None, *, lr: float = 0.05) -> Bilevel:
    A, b, train, valid = problem(seed)
    objectives, task = Quadratics(A, b, torch.zeros(D, dtype=A.dtype)), Point(torch.zeros(D, dtype=A.dtype))
    task.point = objectives.point  # shared, as the backbone is
    module = JointModel(objectives, task, squared)
    mixture = ObjectiveWeights(names=("a", "b", "c"), dtype=A.dtype)
    with torch.no_grad():
        mixture.logits.copy_(torch.tensor([0.3, -0.2, 0.1]))
    empty: Batch = {"x": torch.zeros(1, 1)}
    joint = JointLevel(
        module=module,
        optimizer=torch.optim.SGD(module.parameters(), lr=lr),
        batches=ZippedLoaders(Cycle([empty]), Cycle([{"y": train[None]}])),
        mixture=mixture,
    )
    weights = WeightLevel(
        module=mixture,
        optimizer=torch.optim.SGD(mixture.parameters(), lr=0.5),
        batches=Cycle([{"y": valid[None]}]),
        finetuning=SharedTask(task, squared),
    )
    return Bilevel(joint, weights, hypergradient or Hypergradient(), every=4, averaging=AveragingConfig())


@pytest.mark.parametrize("seed", range(5))
def test_the_hypergradient_is_that_of_the_minimum(seed: int) -> None:
    A, b, train, valid = problem(seed)
    found = trainer(seed, Hypergradient(pretrain=ConjugateGradient(iterations=D, damping=0.0)))
    logits = found.joint.mixture.logits.detach().clone().requires_grad_()
    theta = best(logits, A, b, train)
    with torch.no_grad():
        found.joint.parameters[0].copy_(theta)
    batches = {"pretrain": found.joint.next_batch()}
    expected = torch.autograd.grad(0.5 * (theta - valid).square().sum(), logits)[0]
    gradient = found.compute_hypergradient(batches, found.weights.loss(found.weights.next_batch()))
    torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-10)
    assert abs(float(gradient.sum())) < 1e-12


def test_the_lower_level_minimises_both() -> None:
    A, b, train, _ = problem(0)
    found = trainer(0, lr=0.3)
    found.weights.optimizer.param_groups[0]["lr"] = 0.0
    for _ in range(100):
        record = found.step()
    torch.testing.assert_close(
        found.joint.parameters[0].detach(), best(found.joint.mixture.logits.detach(), A, b, train)
    )
    assert set(record.losses) == {"a", "b", "c"} and record.finetune_loss is not None


def test_weights_follow_the_validation_loss() -> None:
    found = trainer(1, Hypergradient(pretrain=ConjugateGradient(iterations=D, damping=0.0)), lr=0.3)
    first = [found.step() for _ in range(60)]
    assert first[-1].validation_loss < first[4].validation_loss


def test_it_continues_bit_for_bit() -> None:
    whole = trainer(2)
    records = [whole.step() for _ in range(12)]
    half = trainer(2)
    for _ in range(7):
        half.step()
    state = half.state_dict()
    assert set(state["levels"]["pretrain"]["batches"]) == {"unlabelled/", "labelled/"}, "as always"
    rest = trainer(2)
    rest.load_state_dict(state)
    for record in records[7:]:
        again = rest.step()
        assert (again.weights, again.hypergradient, again.snr) == (
            record.weights,
            record.hypergradient,
            record.snr,
        )


def test_hypergradients_are_averaged_as_asked() -> None:
    found = trainer(2)
    assert found.step().snr is None and (found.step().snr or 0) > 0


def test_in_the_burn_in_the_weights_wait() -> None:
    held, plain = trainer(1), trainer(1)
    held.burn_in = 2
    before = held.joint.mixture.weights().tolist()
    records = [held.step() for _ in range(3)]
    assert [list(record.weights.values()) == before for record in records] == [True, True, False]
    assert [record.hypergradient == {} for record in records] == [True, True, False]
    assert [record.validation_loss is None for record in records] == [True, True, False]
    assert records[0].losses == plain.step().losses


class Sized(nn.Module):
    """Notes how many samples it is given; its outputs are the bare parameter."""

    def __init__(self, outputs: tuple[int, ...]) -> None:
        super().__init__()
        self.point, self.outputs, self.sizes = nn.Parameter(torch.ones(())), outputs, list[int]()

    def forward(self, batch: Batch) -> Tensor:
        """Zero-dimensional parameter, expanded."""
        self.sizes.append(len(batch["x"]))
        return self.point.square().expand(self.outputs)


def test_a_batch_fraction_keeps_a_share_of_both_batches() -> None:
    objectives, task = Sized((2,)), Sized((1, 1))
    module = JointModel(objectives, task, lambda outputs, batch: outputs.sum())
    mixture = ObjectiveWeights(names=("a", "b"))
    joint = JointLevel(
        module=module,
        optimizer=torch.optim.SGD(module.parameters(), lr=0.1),
        batches=ZippedLoaders(Cycle([{"x": torch.zeros(128, 1)}]), Cycle([{"x": torch.zeros(64, 1)}])),
        mixture=mixture,
    )
    weights = WeightLevel(
        module=mixture,
        optimizer=torch.optim.SGD(mixture.parameters(), lr=0.5),
        batches=Cycle([{"x": torch.zeros(8, 1)}]),
        finetuning=SharedTask(task, lambda outputs, batch: outputs.sum()),
    )
    Bilevel(joint, weights, Hypergradient(batch_fraction=0.25), every=1).step()
    assert objectives.sizes == [128, 32], "a training step, then a quarter for the hypergradient"
    assert task.sizes == [64, 8, 16], "with the validation batch between"


class TwoPlaces(nn.Module):
    """A backbone that stands in two places, as in a joint model, and a weight that two layers share."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        self.task = nn.Sequential(self.backbone, nn.Linear(3, 3))
        self.tied = nn.Linear(3, 3)
        self.tied.weight = self.task[1].weight

    def forward(self, batch: Batch) -> Tensor:
        """Every parameter adds to it."""
        found: Tensor = self.task(batch["x"]) + self.backbone(batch["x"]) + self.tied(batch["x"])
        return found


def test_a_module_in_two_places_is_called_at_other_parameters_and_stays_what_it_was() -> None:
    """torch's functional_call left its replacements behind in a module that has two names."""
    torch.manual_seed(0)
    module, other, batch = TwoPlaces(), TwoPlaces(), {"x": torch.randn(5, 3)}
    before = {
        name: (id(p), p.detach().clone()) for name, p in module.named_parameters(remove_duplicate=False)
    }
    expected = other(batch)
    found = stateless_call(module, batch, tuple(other.parameters()))
    assert torch.equal(found, expected), "called at the parameters of the other one, in every place"
    after = dict(module.named_parameters(remove_duplicate=False))
    assert after.keys() == before.keys()
    for name, (number, value) in before.items():
        assert id(after[name]) == number and torch.equal(after[name], value), name


def test_a_real_run_and_one_under_strict(tmp_path: Path) -> None:
    options = (*SMALLEST, "finetune.epochs=1", "learn.steps=3", "method=bilevel")
    report = run_experiment(load_config(*options, f"run_dir={tmp_path / 'run'}"), page=False).content
    steps = [json.loads(line) for line in (tmp_path / "run" / "steps.jsonl").read_text().splitlines()]
    assert len(steps) == 3 and steps[0]["hypergradient"] == {}, "the burn-in"
    assert all(any(step["hypergradient"].values()) for step in steps[1:])
    config = load_config(*options)
    assert report["images"] == 3 * config.learn.unroll.every * config.learn.batch_size.pretrain
    assert report["method"] == "bilevel" and report["hypergradient"] == "diagonal"
    strict = run_experiment(
        load_config(*options, "protocol=strict", f"run_dir={tmp_path / 'strict'}"),
        page=False,
    ).content
    assert strict["split"]["sizes"]["meta"] > 0
