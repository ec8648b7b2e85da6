"""The loop, the two engines, and what level 3 may not touch."""

from __future__ import annotations

import copy
import math
import time

import pytest
import torch
from problems import lower_batches, network_problem

from molweight.errors import ConfigError, DivergedError
from molweight.tapweight.averaging import AveragingConfig
from molweight.tapweight.betty_solver import find_betty
from molweight.tapweight.directional import CentralDifference, ForwardMode
from molweight.tapweight.engines import make_solver
from molweight.tapweight.hessian import GradientDifference
from molweight.tapweight.horizon import TruncatedInverse
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.inverse import ConjugateGradient, Neumann
from molweight.tapweight.solver import Solver, Unroll

PRESETS = {
    "paper": Hypergradient(directional=CentralDifference()),
    "forward": Hypergradient(directional=ForwardMode()),
    "accurate": Hypergradient(finetune=ConjugateGradient()),
    "both": Hypergradient(finetune=ConjugateGradient(), pretrain=ConjugateGradient(iterations=3)),
}


def state(levels):
    """Everything that training changes, as tensors."""
    found = {"lambda": levels.mixture.weights()}
    for level in (levels.pretrain, levels.finetune, levels.weights):
        found |= {f"{level.name}.{k}": v for k, v in level.module.state_dict().items()}
        for index, slot in level.optimizer.state_dict()["state"].items():
            prefix = f"{level.name}.{index}"
            found |= {f"{prefix}.{k}": torch.as_tensor(v) for k, v in slot.items() if v is not None}
    return copy.deepcopy(found)


def run(engine, dtype, preset, unroll, steps=20):
    levels = network_problem(3, dtype, clip=1.0)
    solver = make_solver(engine, levels, PRESETS[preset], unroll=unroll)
    assert solver.engine == engine
    torch.manual_seed(11)
    records = [solver.step() for _ in range(steps)]
    return state(levels), records, torch.get_rng_state()


def test_betty_is_importable_here():
    assert find_betty() is not None, "the set-up installs betty-ml 0.2.1: parity is never skipped"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("unroll", [Unroll(), Unroll(pretrain=2, every=6)], ids=["1-1", "2-3"])
def test_both_engines_agree_bit_for_bit(dtype, preset, unroll):
    native, native_records, native_rng = run("native", dtype, preset, unroll)
    betty, betty_records, betty_rng = run("betty", dtype, preset, unroll)
    assert native.keys() == betty.keys()
    different = [name for name in native if not torch.equal(native[name], betty[name])]
    assert different == []
    for a, b in zip(native_records, betty_records, strict=True):
        a, b = a.as_dict(), b.as_dict()
        del a["seconds"], b["seconds"]
        assert a == b
    assert torch.equal(native_rng, betty_rng)
    moved = native_records[-1].weights
    assert max(moved.values()) - min(moved.values()) > 1e-3, "the weights never moved: nothing was compared"


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_level_three_leaves_the_models_and_the_random_state_alone(preset):
    levels = network_problem(1)
    solver = Solver(levels, PRESETS[preset])
    solver.step()
    batches = lower_batches(levels)
    before, random_state = state(levels), torch.get_rng_state()
    solver.update_weights(batches)
    after = state(levels)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed <= {"lambda", "weights.logits", "weights.0.momentum_buffer"} and "lambda" in changed
    assert torch.equal(random_state, torch.get_rng_state())
    assert all(p.grad is None for p in (*levels.pretrain.parameters, *levels.finetune.parameters))


@pytest.mark.parametrize("level", ["pretrain", "finetune", "weights"])
def test_a_loss_that_is_not_finite_stops_before_its_update(level):
    levels = network_problem(2)
    solver = Solver(levels, PRESETS["forward"])
    solver.step()
    poisoned = getattr(levels, level)
    poisoned.batches.batches = [
        {**batch, "pixels": batch["pixels"] * math.nan} for batch in poisoned.batches.batches
    ]
    names = {n for n, _ in poisoned.module.named_parameters()}
    before = {n: v.clone() for n, v in poisoned.module.state_dict().items() if n in names}
    with pytest.raises(DivergedError, match="nan"):
        solver.step()
    assert all(torch.equal(before[n], poisoned.module.state_dict()[n]) for n in before)


def test_learn_false_keeps_the_weights_equal_and_trains_the_rest():
    levels = network_problem(4)
    solver = make_solver("auto", levels, PRESETS["paper"], learn=False)
    before = [p.clone() for p in levels.pretrain.parameters]
    record = solver.step()
    assert set(record.weights.values()) == {record.weights["value"]}
    assert any(not torch.equal(a, b) for a, b in zip(before, levels.pretrain.parameters, strict=True))


@pytest.mark.parametrize("engine", ["native", "betty"])
def test_in_the_burn_in_the_weights_wait_and_then_learn_as_without_one(engine):
    unroll = Unroll(every=4, pretrain=2)
    levels, reference = network_problem(3, clip=1.0), network_problem(3, clip=1.0)
    solver = make_solver(engine, levels, PRESETS["accurate"], unroll=unroll, burn_in=3)
    torch.manual_seed(11)
    records = [solver.step() for _ in range(6)]
    torch.manual_seed(11)
    waiting = make_solver("native", reference, PRESETS["accurate"], unroll=unroll, learn=False)
    expected = [waiting.step() for _ in range(3)]
    learning = make_solver("native", reference, PRESETS["accurate"], unroll=unroll)
    expected += [learning.step() for _ in range(3)]
    for found, wanted in zip(records, expected, strict=True):
        for name in ("weights", "losses", "hypergradient", "finetune_loss", "validation_loss"):
            assert getattr(found, name) == getattr(wanted, name), name
    assert [bool(record.hypergradient) for record in records] == [False] * 3 + [True] * 3
    assert [record.validation_loss is None for record in records] == [True] * 3 + [False] * 3
    assert len(set(records[2].weights.values())) == 1 < len(set(records[3].weights.values()))


def test_a_burn_in_goes_on_where_it_was_interrupted():
    torch.manual_seed(11)
    whole = Solver(network_problem(3), PRESETS["paper"], burn_in=3)
    records = [whole.step() for _ in range(5)]
    torch.manual_seed(11)
    half = Solver(network_problem(3), PRESETS["paper"], burn_in=3)
    for _ in range(2):
        half.step()
    state = half.state_dict()
    rest = Solver(network_problem(3), PRESETS["paper"], burn_in=3)
    rest.load_state_dict(state)
    again = [rest.step() for _ in range(3)]
    assert [r.weights for r in again] == [r.weights for r in records[2:]]
    assert [bool(r.hypergradient) for r in again] == [False, True, True]


def test_records_count_their_steps_and_seconds():
    solver, start = Solver(network_problem(0), PRESETS["paper"]), time.perf_counter()
    records = [solver.step() for _ in range(3)]
    assert [record.step for record in records] == [1, 2, 3] and solver.count == 3
    assert min(record.seconds for record in records) > 0
    assert sum(record.seconds for record in records) < time.perf_counter() - start


def test_unknown_engine_and_empty_unroll_are_refused():
    levels = network_problem(0)
    with pytest.raises(ConfigError, match="unknown solver 'beti'"):
        make_solver("beti", levels, PRESETS["paper"])
    with pytest.raises(ConfigError, match="pretrain >= 1"):
        Unroll(pretrain=0)
    with pytest.raises(ConfigError, match="a multiple"):
        Unroll(pretrain=2, every=3)


# What happens inside level 3 when something goes wrong


class Bomb:
    """Behaves as a module until the n-th call inside level 3, then raises, or returns NaN."""

    def __init__(self, module, monkeypatch, after, what):
        self.calls = 0
        forward = module.forward

        def explode(batch):
            self.calls += 1
            output = forward(batch)
            if self.calls <= after:
                return output
            if what is None:
                return output * math.nan
            raise what

        monkeypatch.setattr(module, "forward", explode)


DEFAULTS = {
    "difference": Hypergradient(directional=CentralDifference()),
    "both": Hypergradient(
        finetune=TruncatedInverse(steps=10, iterations=3), pretrain=TruncatedInverse(steps=10, iterations=3)
    ),
    "first order": Hypergradient(
        finetune=Neumann(iterations=3),
        pretrain=ConjugateGradient(precondition=True),
        hessian=GradientDifference(),
    ),
}


@pytest.mark.parametrize("engine", ["native", "betty"])
@pytest.mark.parametrize("preset", sorted(DEFAULTS))
@pytest.mark.parametrize("level", ["pretrain", "finetune"])
@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("what", [KeyboardInterrupt(), RuntimeError("out of memory"), None], ids=repr)
def test_level_three_changes_nothing_when_it_fails(monkeypatch, engine, preset, level, after, what):
    levels = network_problem(1)
    levels.finetune.optimizer = torch.optim.AdamW(levels.finetune.parameters, lr=1e-3)
    levels.finetune.scheduler = None
    solver = make_solver(engine, levels, DEFAULTS[preset], averaging=AveragingConfig())
    solver.step()
    reached, before = [], {}
    product = Hypergradient.vjp_level2

    def armed(self, levels, batch, v):
        reached.append(Bomb(getattr(levels, level).module, monkeypatch, after, what))
        before.update(state(levels), random=torch.get_rng_state(), sums=copy.deepcopy(solver.averaging.sums))
        return product(self, levels, batch, v)

    monkeypatch.setattr(Hypergradient, "vjp_level2", armed)
    try:
        solver.step()
    except (KeyboardInterrupt, RuntimeError, DivergedError) as error:
        assert what is None or error is what
    else:
        assert reached[0].calls <= after, "the failure was swallowed"
        return  # this estimator does not call that module so often
    now = state(levels)
    assert [name for name in now if not torch.equal(before[name], now[name])] == []
    assert torch.equal(before["random"], torch.get_rng_state()) and before["sums"] == solver.averaging.sums
    assert all(p.grad is None for p in (*levels.pretrain.parameters, *levels.finetune.parameters))


@pytest.mark.parametrize("engine", ["native", "betty"])
def test_averages_accumulation_and_first_order_products_agree_between_engines(engine):
    levels = network_problem(3, clip=1.0)
    levels.weights.accumulate = 2
    chosen = Hypergradient(
        finetune=TruncatedInverse(steps=10, iterations=3),
        hessian=GradientDifference(),
        batch_fraction=0.5,
        directional_batches=2,
    )
    solver = make_solver(
        engine, levels, chosen, unroll=Unroll(every=4, pretrain=2), averaging=AveragingConfig()
    )
    records = [solver.step() for _ in range(6)]
    assert records[0].snr is None and all(record.snr > 0 for record in records[1:])
    reference = network_problem(3, clip=1.0)
    reference.weights.accumulate = 2
    native = Solver(reference, chosen, unroll=Unroll(every=4, pretrain=2), averaging=AveragingConfig())
    expected = [native.step() for _ in range(6)]
    assert [r.weights for r in records] == [r.weights for r in expected]
    assert [r.hypergradient for r in records] == [r.hypergradient for r in expected]


def test_accumulated_batches_give_the_gradient_of_their_mean():
    levels = network_problem(5, torch.float64)
    for part in levels.finetune.module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    first, second = levels.weights.batches.batches
    single = [
        torch.autograd.grad(levels.weights.loss(batch), levels.finetune.parameters)
        for batch in (first, second)
    ]
    values = [levels.weights.loss(batch).item() for batch in (first, second)]
    levels.weights.accumulate = 2
    loss = levels.weights.loss(levels.weights.next_batch())
    assert loss.item() == pytest.approx(sum(values) / 2)
    found = torch.autograd.grad(loss, levels.finetune.parameters)
    for f, a, b in zip(found, *single, strict=True):
        torch.testing.assert_close(f, (a + b) / 2)


def test_state_holds_the_average():
    def following(solver):
        found = [solver.step().as_dict() for _ in range(3)]
        return [{k: v for k, v in record.items() if k != "seconds"} for record in found]

    first = Solver(network_problem(6), Hypergradient(), averaging=AveragingConfig())
    for _ in range(3):
        first.step()
    saved = copy.deepcopy(first.state_dict())
    expected = following(first)
    second = Solver(network_problem(6), Hypergradient(), averaging=AveragingConfig())
    second.load_state_dict(saved)
    assert following(second) == expected
