"""Two processes that share every batch compute what one computes with the whole batch."""

import json
import traceback
from copy import deepcopy
from functools import partial

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

from molweight.distributed.batch_norm import SharedBatchNorm, average_statistics, share_statistics
from molweight.distributed.collectives import (
    all_gather,
    all_reduce_mean,
    averaged,
    differ,
    from_all,
    is_main_process,
    of_leader,
    rank,
    shard,
    whole_batch,
    world_size,
)
from molweight.distributed.launch import processes, rank_seed, require_same
from molweight.nlp.objectives.contrastive import Contrastive
from molweight.nlp.objectives.masked_language import MaskedLanguage
from molweight.objectives.contrast import Contrast
from molweight.tapweight.balancing import BALANCES, make_balance
from molweight.tapweight.directional import CentralDifference
from molweight.tapweight.engines import make_solver
from molweight.tapweight.hessian import DoubleBackward, GradientDifference
from molweight.tapweight.horizon import TruncatedInverse
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.inverse import ConjugateGradient
from molweight.tapweight.random_states import random_states, set_random_states
from tests.problems import hypergradient_of, network_problem
from tests.several_processes import in_processes

EXACT = {"rtol": 1e-9, "atol": 1e-12}  # float64, sums in another order
FINDINGS = {}


def finding(function):
    """A comparison that both processes make; it returns pairs (found, expected) and is reported by name."""
    FINDINGS[function.__name__] = function
    return function


def compare():
    """Every comparison, in each of the processes; what failed, as a line of JSON."""
    expected = {}
    torch.set_num_threads(1)
    for name, function in FINDINGS.items():  # alone first
        torch.manual_seed(0)
        expected[name] = function()
    said = {}
    with processes("cpu"):
        assert world_size() == 2
        for name, function in FINDINGS.items():
            torch.manual_seed(0)
            said[name] = complaint(partial(agree, function, expected[name]))
        said |= {check.__name__: complaint(check) for check in CHECKS}
    print(json.dumps(said))


def agree(function, expected):
    torch.testing.assert_close(function(), expected, **EXACT)


def complaint(check):
    """What a check says, or nothing."""
    try:
        check()
    except Exception:
        return traceback.format_exc()
    return ""


def share_batches(levels):
    """Level by level, every process reads its share of the batches; labels are named as a task's."""
    for level in (levels.pretrain, levels.finetune, levels.weights):
        batches = level.batches.batches
        level.batches.batches = [
            {name: shard(value) for name, value in batch.items()} | {"targets": shard(batch["y"])}
            for batch in batches
        ]
    levels.finetune.task_loss = lambda outputs, batch: (outputs.squeeze(1) - batch["targets"]).square().mean()
    whole = levels.pretrain.module.forward
    levels.pretrain.module.forward = lambda batch: averaged(whole(batch))


def shared_problem():
    levels = network_problem(dtype=torch.float64)
    for module in (levels.pretrain.module, levels.finetune.module):
        for layer in module.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0
        share_statistics(module)
    share_batches(levels)
    return levels


ESTIMATORS = {
    "identity": Hypergradient(),
    "cg": Hypergradient(finetune=ConjugateGradient(), pretrain=ConjugateGradient(iterations=2)),
    "horizon": Hypergradient(
        finetune=TruncatedInverse(steps=20), hessian=DoubleBackward(), batch_fraction=0.5
    ),
    "differences": Hypergradient(
        finetune=ConjugateGradient(),
        hessian=GradientDifference(radius=1e-3, central=True),
        directional=CentralDifference(radius=1e-3),
        directional_batches=2,
    ),
}


def trained_batches(levels):
    """What a step of both lower levels was made on."""
    return {level.name: level.train_step() for level in (levels.pretrain, levels.finetune)}


@finding
def hypergradients():
    found = {}
    for name, estimator in ESTIMATORS.items():
        levels = shared_problem()
        found[name] = hypergradient_of(levels, estimator, trained_batches(levels))
    return found


def trajectory(engine):
    solver = make_solver(engine, shared_problem(), ESTIMATORS["cg"])
    records = [solver.step() for _ in range(3)]
    weights = torch.tensor([list(record.weights.values()) for record in records], dtype=torch.float64)
    losses = torch.tensor([list(record.losses.values()) for record in records], dtype=torch.float64)
    values = torch.tensor([[r.finetune_loss, r.validation_loss] for r in records], dtype=torch.float64)
    state = {k: v.double() for k, v in solver.levels.finetune.module.state_dict().items()}
    return {"weights": weights, "losses": losses, "values": values, **state}


@finding
def native_engine():
    return trajectory("native")


@finding
def betty_engine():
    return trajectory("betty")


@finding
def accumulated_validation():
    levels = shared_problem()
    levels.weights.accumulate = 2
    return hypergradient_of(levels, ESTIMATORS["identity"], trained_batches(levels))


@finding
def batch_norm_and_its_derivatives():
    """Value, statistics, gradient, Hessian product and tangent of a net with two BatchNorms."""
    torch.set_default_dtype(torch.float64)
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 4), nn.BatchNorm1d(4)
    )
    x, y = torch.randn(8, 2, 6, 6) + 5, torch.randn(8, 4)
    torch.set_default_dtype(torch.float32)
    share_statistics(net)
    layers = [m for m in net.modules() if isinstance(m, SharedBatchNorm)]
    assert len(layers) == 2
    parameters = tuple(net.parameters())
    direction = tuple(torch.randn_like(p) for p in parameters)

    def loss(values):
        named = dict(zip(dict(net.named_parameters()), values, strict=True))
        outputs = torch.func.functional_call(net, named, (shard(x),))
        return averaged((outputs - shard(y)).pow(3).mean())

    value = loss(parameters)
    slope = torch.autograd.grad(value, parameters, create_graph=True)
    product = torch.autograd.grad(slope, parameters, direction)
    with forward_ad.dual_level():
        dual = tuple(forward_ad.make_dual(p.detach(), d) for p, d in zip(parameters, direction, strict=True))
        tangent = forward_ad.unpack_dual(loss(dual)).tangent
    buffers = {name: value.double() for name, value in net.named_buffers()}
    evaluated = net.eval()(x)
    return {
        **buffers,
        "value": value.detach(),
        "evaluated": evaluated.detach(),
        "tangent": tangent,
        "slope": all_reduce_mean(tuple(g.detach() for g in slope)),
        "product": all_reduce_mean(product),
    }


@finding
def statistics_of_every_share():
    """Without sharing, a process sees its own mean and variance: the losses of two half batches, averaged."""
    torch.set_default_dtype(torch.float64)
    net, x = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh()), torch.randn(8, 3) + 2
    torch.set_default_dtype(torch.float32)
    halves = [x[0::2], x[1::2]] if world_size() == 1 else [shard(x)]
    loss = averaged(sum(net(half).pow(3).sum() for half in halves) / len(halves))
    slope = torch.autograd.grad(loss, tuple(net.parameters()))
    return [loss.detach(), *all_reduce_mean(slope)]


@finding
def gathering_twice_differentiated():
    """A loss in which every sample meets every other: value, gradient, second derivative."""
    x = torch.randn(6, 3, dtype=torch.float64)
    w = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    all_of = whole_batch(shard(x) @ w)
    loss = torch.logsumexp(all_of @ all_of.T, dim=1).mean()
    (slope,) = torch.autograd.grad(loss, w, create_graph=True)
    (second,) = torch.autograd.grad(slope.square().sum() if world_size() == 1 else _square(slope), w)
    return {
        "loss": loss.detach(),
        "slope": all_reduce_mean((slope.detach(),)),
        "second": all_reduce_mean((second,)),
    }


def _square(slope):
    return averaged(slope).square().sum()


@finding
def contrasts():
    """Losses that compare the samples of a batch."""
    torch.set_default_dtype(torch.float64)
    found = []
    for kind in ("l2", "ntxent"):
        objective = Contrast(kind=kind)
        objective.build(5, None, 0)
        views = {name: shard(torch.randn(8, 5)) for name in ("plain", "masked")}
        found.append(averaged(objective.loss(views, {})).detach())
    text = Contrastive()
    text.head = nn.Linear(5, 5)
    states = [shard(torch.randn(8, 3, 5)) for _ in range(2)]
    found.append(averaged(text.loss(None, states, {})).detach())
    torch.set_default_dtype(torch.float32)
    return found


@finding
def means_over_what_is_chosen():
    """One process has five chosen tokens, the other three, and once none."""
    torch.set_default_dtype(torch.float64)
    objective = MaskedLanguage()
    encoder = type("Encoder", (), {"dim": 5, "embeddings": torch.randn(7, 5)})()
    objective.build(encoder)
    states = torch.randn(4, 4, 5)
    labels = torch.full((4, 4), -100)
    labels[0, :3], labels[2, :2], labels[1, 1:] = 4, 2, 1
    batches = [labels, torch.where(torch.arange(4)[:, None] % 2 == 0, labels, -100)]
    found = [averaged(objective.loss(encoder, [shard(states)], {"labels": shard(one)})) for one in batches]
    torch.set_default_dtype(torch.float32)
    return [one.detach() for one in found]


@finding
def balances():
    """One step of every method that follows losses or gradients."""
    found = {}
    for name in ("equal", *BALANCES):
        torch.manual_seed(1)
        net, balance = nn.Linear(4, 3).double(), make_balance(name, 3).double()
        heads = nn.Linear(3, 3).double()
        x = torch.randn(8, 4, dtype=torch.float64)
        losses = averaged(heads(torch.tanh(net(shard(x)))).square().mean(dim=0))
        parameters = (*net.parameters(), *heads.parameters(), *balance.parameters())
        weights = balance.backward(losses, parameters, tuple(net.parameters()))
        slopes = all_reduce_mean(tuple(p.grad for p in parameters))
        found[name] = [weights.detach().double(), *slopes]
    return found


def sums():
    """Means are those of all, bit for bit the same everywhere; disagreement is seen."""
    own = torch.arange(7.0) * (rank() + 1) + 0.1
    (found,) = all_reduce_mean((own,))
    everyone = all_gather(own)
    assert torch.equal(found, (everyone[0] + everyone[1]) / 2)
    assert torch.equal(of_leader(own, torch.device("cpu")), everyone[0])
    assert from_all(rank() + 5, torch.device("cpu")) == [5, 6] and is_main_process() == (rank() == 0)
    assert torch.equal(all_gather(found)[0], all_gather(found)[1]) and not differ((found,))
    moved = found.clone()
    moved[[0, 1]] = moved[[1, 0]] if rank() else moved[[0, 1]]
    assert differ((found, moved)) and all_reduce_mean(()) == ()
    require_same(make_balance("gradnorm", 3), "its state, which holds more than tensors")
    (half,) = all_reduce_mean((own.half(),))
    assert torch.equal(half, all_gather(own.half()).float().mean(dim=0).half())


def statistics_of_a_share():
    """Without sharing, running statistics become the mean of the processes', and stay alike."""
    torch.manual_seed(0)
    layer, x = nn.BatchNorm1d(3), torch.randn(8, 3)
    alone = [deepcopy(layer) for _ in range(2)]
    for number, one in enumerate(alone):
        one(x[number::2])
    layer(shard(x))
    assert differ(tuple(layer.buffers()))
    average_statistics(layer)
    expected = (alone[0].running_var + alone[1].running_var) / 2
    torch.testing.assert_close(layer.running_var, expected)
    assert not differ(tuple(layer.buffers()))


def random_numbers():
    """Each draws its own dropout, and goes on with its own after a checkpoint."""
    torch.manual_seed(rank_seed(3))
    kept = random_states(torch.device("cpu"))
    drawn = torch.rand(4)
    assert len(kept) == 2 and differ((drawn,))
    set_random_states(kept, torch.device("cpu"))
    assert torch.equal(torch.rand(4), drawn)


CHECKS = (sums, statistics_of_a_share, random_numbers)


@pytest.fixture(scope="module")
def said():
    """What both processes have found."""
    return [
        json.loads(out.splitlines()[-1])
        for out in in_processes(2, "tests.distributed.test_collectives", "compare")
    ]


@pytest.mark.parametrize("name", [*FINDINGS, *(check.__name__ for check in CHECKS)])
def test_two_processes(said, name):
    assert [one[name] for one in said] == ["", ""]


def test_shared_batch_norm_alone_is_torchs():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, momentum=None))
    other = deepcopy(net)
    share_statistics(other)
    x = torch.randn(4, 2, 5, 5)
    assert torch.equal(net(x), other(x)) and torch.equal(net.eval()(x), other.eval()(x))
    assert list(net.state_dict()) == list(other.state_dict())
    assert [id(p) for p in other[1].parameters()] == [id(other[1].weight), id(other[1].bias)]
