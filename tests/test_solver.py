"""The loop, the two engines, and what level 3 may not touch."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from problems import network_problem

from molweight.errors import ConfigError, DivergedError
from molweight.tapweight.betty_solver import find_betty
from molweight.tapweight.engines import make_solver
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.inverse import ConjugateGradient
from molweight.tapweight.products import CentralDifference, ForwardMode
from molweight.tapweight.solver import NativeSolver, Unroll

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
@pytest.mark.parametrize("unroll", [Unroll(), Unroll(pretrain=2, finetune=3)], ids=["1-1", "2-3"])
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
    solver = NativeSolver(levels, PRESETS[preset])
    solver.step()
    before, random_state = state(levels), torch.get_rng_state()
    solver.reweight()
    after = state(levels)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed <= {"lambda", "weights.logits", "weights.0.momentum_buffer"} and "lambda" in changed
    assert torch.equal(random_state, torch.get_rng_state())
    assert all(p.grad is None for p in (*levels.pretrain.parameters, *levels.finetune.parameters))


@pytest.mark.parametrize("level", ["pretrain", "finetune", "weights"])
def test_a_loss_that_is_not_finite_stops_before_its_update(level):
    levels = network_problem(2)
    solver = NativeSolver(levels, PRESETS["forward"])
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


def test_unknown_engine_and_empty_unroll_are_refused():
    levels = network_problem(0)
    with pytest.raises(ConfigError, match="unknown solver 'beti'"):
        make_solver("beti", levels, PRESETS["paper"])
    with pytest.raises(ConfigError, match="steps >= 1"):
        Unroll(pretrain=0)
