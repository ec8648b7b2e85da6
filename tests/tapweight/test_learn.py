"""Weights for anybody's encoder: the same bits as the levels by hand, and sentences for what is wrong."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from problems import Cycle
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from molweight import load_config
from molweight.errors import ConfigError, DataError, DivergedError
from molweight.tapweight import HYPERGRADIENTS, AveragingConfig, Hypergradient, learn_weights
from molweight.tapweight.learn import seeded
from molweight.tapweight.levels import Finetuning, Pretraining, ThreeLevels, WeightLevel, shared_parameters
from molweight.tapweight.objective_weights import ObjectiveWeights
from molweight.tapweight.proximal import SquaredL2
from molweight.tapweight.solver import Solver, Unroll

ROOT = Path(__file__).resolve().parents[2]
SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
mse = nn.functional.mse_loss


class Regress(nn.Module):
    """An objective with a head of its own."""

    def __init__(self, target):
        super().__init__()
        self.target, self.head = target, nn.Linear(16, 1)

    def forward(self, encoder, batch):
        return mse(self.head(encoder(batch["x"])), batch[self.target])


def problem(seed=0, **options):
    """Arguments of a call: a task, an objective that is the task without its noise, and random labels."""
    torch.manual_seed(seed)
    x, noise = torch.randn(800, 100), torch.randn(800, 1)
    y = torch.tanh(x[:, :1] + x[:, 1:2])
    return {
        "encoder": nn.Sequential(nn.Linear(100, 16), nn.Tanh(), nn.Dropout(0.1)),
        "head": nn.Linear(16, 1),
        "objectives": {"related": Regress("y"), "random": Regress("noise")},
        "task_loss": mse,
        "pretraining_batches": [{"x": x[:500], "y": y[:500], "noise": noise[:500]}],
        "train_batches": [(x[500:520], y[500:520]), (x[520:540], y[520:540])],
        "validation_batches": [(x[600:], y[600:])],
        "pretraining_optimizer": SGD,
        "finetuning_optimizer": SGD,
        "steps": 12,
    } | options


class ByHand(nn.Module):
    """The loss vector, written out."""

    def __init__(self, encoder, objectives):
        super().__init__()
        self.encoder, self.related, self.random = encoder, *objectives.values()

    def forward(self, batch):
        return torch.stack([self.related(self.encoder, batch), self.random(self.encoder, batch)])


def levels_by_hand(given):
    """The three levels of a problem, wired as the stages do it."""
    encoder, head = copy.deepcopy(given["encoder"]), copy.deepcopy(given["head"])
    theta = ByHand(encoder, copy.deepcopy(given["objectives"]))
    omega = nn.Sequential(copy.deepcopy(encoder), head)
    model = nn.Module()
    model.omega, model.forward = omega, lambda batch: omega(batch["x"])
    shared, anchor = shared_parameters(model, omega[0], theta.encoder)
    mixture = ObjectiveWeights(names=tuple(given["objectives"]))

    def pairs(name):
        return Cycle([{"x": x, "targets": y} for x, y in given[name]])

    finetune = Finetuning(
        module=model,
        batches=pairs("train_batches"),
        optimizer=SGD(omega.parameters()),
        task_loss=lambda outputs, batch: mse(outputs, batch["targets"]),
        proximal=SquaredL2(gamma=1.0),
        shared=shared,
        anchor=anchor,
        clip=1.0,
    )
    pretrain = Pretraining(
        module=theta,
        batches=Cycle(given["pretraining_batches"]),
        optimizer=SGD(theta.parameters()),
        mixture=mixture,
        clip=1.0,
    )
    weights = WeightLevel(
        module=mixture,
        batches=pairs("validation_batches"),
        optimizer=torch.optim.Adam(mixture.parameters(), lr=0.05),
        finetuning=finetune,
    )
    return ThreeLevels(pretrain=pretrain, finetune=finetune, weights=weights)


@pytest.mark.parametrize("name", ["diagonal", "accurate"])
def test_the_result_is_that_of_the_solver_by_either_engine_bit_for_bit(name):
    given = problem(max_grad_norm=1.0, steps=6, burn_in=0.3, hypergradient=name)
    levels = levels_by_hand(given)
    unroll, averaging = Unroll(every=10), AveragingConfig()
    solver = Solver(levels, HYPERGRADIENTS[name], unroll=unroll, averaging=averaging, burn_in=2)
    torch.manual_seed(0)
    expected = [solver.step() for _ in range(6)]
    models = [*levels.pretrain.module.encoder.parameters(), *levels.finetune.module.omega.parameters()]
    for engine in ("native", "betty"):
        result = learn_weights(**given, engine=engine)
        assert [replace(r, seconds=0) for r in result.history] == [replace(r, seconds=0) for r in expected]
        assert result.weights == expected[-1].weights and len(set(result.weights.values())) == 2
        learned = [*result.encoder.parameters(), *result.model.parameters()]
        assert all(torch.equal(a, b) for a, b in zip(learned, models, strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_a_related_objective_gains_weight_and_random_labels_lose_it(seed):
    result = learn_weights(**problem(seed))
    assert result.weights["related"] > 0.65 > 0.35 > result.weights["random"]
    assert result.history[-1].validation_loss < result.history[3].validation_loss
    assert repr(result) == f"LearnedWeights(related={result.weights['related']:.3f}, " + (
        f"random={result.weights['random']:.3f}; 12 steps)"
    )


def test_what_is_passed_in_stays_as_it_is_and_the_seed_decides_all():
    given, seen = problem(steps=3), []
    x, y = given["train_batches"][0]
    given["train_batches"] = DataLoader(TensorDataset(x, y), batch_size=6, shuffle=True)
    modules = nn.ModuleList([given["encoder"], given["head"], *given["objectives"].values()])
    before, random_state = copy.deepcopy(modules.state_dict()), torch.get_rng_state()
    first = learn_weights(**given, callback=seen.append)
    assert torch.equal(torch.get_rng_state(), random_state) and seen == first.history
    assert all(torch.equal(before[k], v) for k, v in modules.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in modules.parameters())
    torch.manual_seed(5)
    again, other = learn_weights(**given), learn_weights(**given, seed=1)
    assert again.weights == first.weights != other.weights
    assert not first.model.training and not first.encoder.training
    head = first.objectives["related"].head
    assert not torch.equal(head.weight, given["objectives"]["related"].head.weight)


class WithPooler(nn.Module):
    """As encoders of transformers: the pooler takes part in one objective, not in the task."""

    def __init__(self):
        super().__init__()
        self.body, self.pooler = nn.Linear(100, 16), nn.Linear(16, 16)

    def forward(self, x):
        return torch.tanh(self.body(x))


class Pooled(Regress):
    def forward(self, encoder, batch):
        return mse(self.head(encoder.pooler(encoder(batch["x"]))), batch[self.target])


def test_parameters_that_the_task_does_not_use_are_trained_by_the_objectives_alone():
    given = problem(encoder=WithPooler(), steps=4)
    given["objectives"]["pooled"] = Pooled("y")
    result = learn_weights(**given)
    assert set(result.weights) == {"related", "random", "pooled"}
    assert torch.equal(result.model[0].pooler.weight, given["encoder"].pooler.weight)
    assert not torch.equal(result.encoder.pooler.weight, given["encoder"].pooler.weight)


def test_a_function_is_an_objective_and_one_alone_has_all_the_weight():
    def spread(encoder, batch):
        return encoder(batch["x"]).var(dim=0).mean()

    result = learn_weights(**problem(objectives={"spread": spread}, steps=2))
    assert result.weights == {"spread": 1.0} and result.history[-1].hypergradient == {}


def test_the_names_are_those_of_the_command_line():
    for name, hypergradient in HYPERGRADIENTS.items():
        configured = load_config(f"hypergradient={name}", "run_dir=x").hypergradient
        assert replace(configured, batch_fraction=1.0) == replace(
            hypergradient, hessian=configured.hessian if name == "paper" else hypergradient.hessian
        )


def tiny(**options):
    """A problem whose steps take a moment."""
    torch.manual_seed(0)
    x, y = torch.randn(12, 2), torch.randn(12, 1)
    objectives = {"mean": lambda encoder, batch: (encoder(batch) - y).square().mean(), "size": size}
    batches = {"pretraining_batches": [x], "train_batches": [(x, y)], "validation_batches": [(-x, y)]}
    modules = {"encoder": nn.Linear(2, 2), "head": nn.Linear(2, 1), "objectives": objectives}
    return modules | batches | {"task_loss": mse} | options


def size(encoder, batch):
    return encoder(batch).square().mean()


def without_time(result):
    return [replace(record, seconds=0) for record in result.history]


def test_what_is_not_given_has_the_documented_values():
    documented = {
        "burn_in": 0.25,
        "gamma": 1.0,
        "hypergradient": "diagonal",
        "averaging": AveragingConfig(),
        "pretraining_optimizer": partial(torch.optim.AdamW, lr=1e-3),
        "finetuning_optimizer": partial(torch.optim.AdamW, lr=1e-3),
        "weights_optimizer": partial(torch.optim.Adam, lr=0.05),
        "max_grad_norm": None,
        "engine": "native",
        "seed": 0,
        "callback": None,
    }
    plain, full = (
        learn_weights(**tiny(inner_steps=1)),
        learn_weights(**tiny(steps=100, inner_steps=1) | documented),
    )
    assert len(plain.history) == 100 and without_time(plain) == without_time(full)
    plain, full = learn_weights(**tiny(steps=5)), learn_weights(**tiny(steps=5, inner_steps=10) | documented)
    assert without_time(plain) == without_time(full)
    assert [bool(record.hypergradient) for record in plain.history] == [False, True, True, True, True]


@pytest.mark.parametrize(("steps", "burn_in", "waited"), [(1, 0.9, 0), (3, 0.9, 2), (4, 0.5, 2), (4, 0.0, 0)])
def test_the_burn_in_is_a_share_of_the_steps_and_leaves_one(steps, burn_in, waited):
    result = learn_weights(**tiny(steps=steps, inner_steps=1, burn_in=burn_in))
    learned = [bool(record.hypergradient) for record in result.history]
    assert learned == [False] * waited + [True] * (steps - waited)


def test_each_argument_reaches_its_level():
    plain = without_time(learn_weights(**tiny(steps=3, inner_steps=2, burn_in=0.0)))
    for option in (
        {"gamma": 3.0},
        {"averaging": None},
        {"max_grad_norm": 1e-3},
        {"hypergradient": "exact"},
        {"pretraining_optimizer": SGD},
        {"finetuning_optimizer": SGD},
        {"weights_optimizer": SGD},
    ):
        other = without_time(learn_weights(**tiny(steps=3, inner_steps=2, burn_in=0.0) | option))
        assert other != plain, option


def test_random_numbers_are_those_of_the_seed_and_the_state_is_put_back():
    module, random_state = nn.Linear(1, 1), torch.get_rng_state()
    with seeded(7, module) as device:
        numbers = torch.rand(3)
    assert device == torch.device("cpu") and torch.equal(torch.get_rng_state(), random_state)
    assert torch.equal(numbers, torch.rand(3, generator=torch.Generator().manual_seed(7)))
    with seeded(7, nn.Identity()) as device:
        assert device == torch.device("cpu")
    with seeded(7, nn.Linear(1, 1, device="meta")) as device:
        assert device == torch.device("meta")


# What is wrong is said before anything is trained

OTHER = nn.Linear(16, 1)  # nobody's


def closure(encoder, batch):
    return mse(OTHER(encoder(batch["x"])), batch["y"])


def detached(encoder, batch):
    return mse(encoder(batch["x"]).detach().mean() * torch.ones((), requires_grad=False), torch.ones(()))


X, Y = torch.ones(4, 100), torch.ones(4, 1)

WRONG = {
    "vector": (
        {"objectives": {"mask": lambda encoder, batch: encoder(batch["x"]).mean(dim=1)}},
        r"objective 'mask' must return a scalar loss, got Tensor \[500\]: take its mean",
    ),
    "none": ({"objectives": {"mask": lambda encoder, batch: None}}, "got NoneType"),
    "closure": ({"objectives": {"mask": closure}}, "'mask' depends on parameters that nothing would train"),
    "detached": ({"objectives": {"mask": detached}}, "'mask' depends on no trainable parameter"),
    "no key": (
        {"objectives": {"mask": Regress("z")}},
        r"'mask' failed .* \{x: Tensor \[500, 100\].*KeyErr",
    ),
    "signature": ({"objectives": {"mask": lambda batch: 0}}, "'mask' failed on the first batch"),
    "uncallable": ({"objectives": {"mask": 3}}, "'mask' must be a function or module"),
    "no objective": ({"objectives": {}}, "objectives must be a dictionary of one or more, .* got {}"),
    "list": ({"objectives": [closure]}, "objectives must be a dictionary of one or more"),
    "encoder": ({"encoder": closure}, "encoder must be an nn.Module, got function"),
    "no pairs": ({"train_batches": [{"x": X}]}, r"train_batches must yield pairs .* got \{x: Tensor"),
    "broadcast": (
        {"train_batches": [(X, Y[:, 0])]},
        r"task_loss on train_batches, with outputs Tensor \[4, 1\], failed .*target size",
    ),
    "head": ({"head": nn.Linear(8, 1)}, "task_loss on train_batches failed .*shapes cannot be multiplied"),
    "task vector": (
        {"task_loss": partial(mse, reduction="none")},
        r"task_loss must return a scalar loss, got Tensor \[20, 1\]",
    ),
    "same": ({"train_batches": [(X, Y)] * 2, "validation_batches": None}, "are the same object"),
    "dataset": (
        {"train_batches": TensorDataset(X, Y)},
        "must yield batches, got TensorDataset: pass .*Data",
    ),
    "tensor": ({"pretraining_batches": X}, "pretraining_batches must yield batches, got Tensor"),
    "steps": ({"steps": 0}, "steps must be a whole number > 0, got 0"),
    "inner steps": ({"inner_steps": 1.5}, "inner_steps must be a whole number > 0, got 1.5"),
    "burn-in": ({"burn_in": 1.0}, "burn_in must be a fraction"),
    "norm": ({"max_grad_norm": 0.0}, "max_grad_norm must be > 0 or None, got 0.0"),
    "gamma": ({"gamma": 0.0}, "gamma must be > 0"),
    "hypergradient": ({"hypergradient": "acurate"}, "Did you mean 'accurate'"),
    "fraction": ({"hypergradient": Hypergradient(batch_fraction=0.5)}, "batch_fraction must be 1, got 0.5"),
    "engine": ({"engine": "beti"}, "unknown solver 'beti'"),
    "optimizer": ({"weights_optimizer": SGD(OTHER.parameters())}, "as a function from parameters to an opt"),
    "other's": ({"weights_optimizer": lambda p: SGD(OTHER.parameters())}, "trained are copies of the modu"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_a_sentence(case):
    changed, sentence = WRONG[case]
    given = problem() | changed
    if given["validation_batches"] is None:
        given["validation_batches"] = given["train_batches"]
    with pytest.raises(ConfigError, match=f"(?s){sentence}"):
        learn_weights(**given)


@pytest.mark.parametrize("name", ["pretraining_batches", "train_batches", "validation_batches"])
def test_a_loader_without_batches_and_one_that_ends_are_refused(name):
    with pytest.raises(DataError, match=f"{name} yields no batch"):
        learn_weights(**problem(**{name: DataLoader(TensorDataset(X, Y), batch_size=8, drop_last=True)}))
    once = iter(problem()[name][:1])
    with pytest.raises(DataError, match=f"{name} gave 1 batches once and none again.*DataLoader or a list"):
        learn_weights(**problem(**{name: once}))


def test_a_loss_that_is_not_finite_is_named():
    with pytest.raises(DivergedError, match=r"task_loss on train_batches is nan on the first batch, before"):
        learn_weights(**problem(train_batches=[(X * torch.nan, Y)]))
    given = problem(steps=1)
    later = [{k: v * torch.nan for k, v in given["pretraining_batches"][0].items()}]
    given["pretraining_batches"] = given["pretraining_batches"] + later
    with pytest.raises(DivergedError, match="objective 'related' has the loss nan"):
        learn_weights(**given)


def test_the_twenty_lines_of_the_page_run():
    page = (ROOT / "docs" / "library.md").read_text()
    (lines,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    pairs = [(torch.rand(8, 64), torch.randint(10, (8,)))]
    names = {"pretraining_loader": [torch.rand(8, 64)], "train_loader": pairs, "validation_loader": [*pairs]}
    exec(lines.replace("head=", "steps=2, head="), names)
    assert set(names["result"].weights) == {"masking", "spread"}


EXAMPLE = """
import sys, doctest
import molweight.tapweight.learn
assert doctest.testmod(molweight.tapweight.learn).attempted > 5
names = {name.partition(".")[0] for name in sys.modules}
print(*names & {"rdkit", "hydra", "omegaconf", "pandas", "sklearn", "torchvision", "scipy", "betty", "PIL"})
print(*sorted(n for n in sys.modules if n.startswith("molweight.") and "tapweight" not in n))
"""


def test_the_example_of_the_docstring_loads_torch_and_nothing_heavier():
    command = [sys.executable, "-c", EXAMPLE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    distributed = ("molweight.distributed", "molweight.distributed.batch_norm")
    names = (*distributed, "molweight.distributed.collectives", "molweight.errors")
    assert done.stdout.splitlines() == ["", " ".join(names)]
