"""Lower precision for the losses of levels 1 and 2; updates and hypergradients stay float32."""

import math
from copy import deepcopy

import pytest
import torch

from molweight import load_config
from molweight.errors import ConfigError
from molweight.tapweight.engines import make_solver
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.inverse import ConjugateGradient
from molweight.tapweight.precision import Precision
from tests.problems import hypergradient_of, network_problem

HALVES = ["bfloat16", "float16"]
ESTIMATOR = Hypergradient(finetune=ConjugateGradient())


def problem(precision):
    levels = network_problem()
    levels.pretrain.precision, levels.finetune.precision = Precision(precision), Precision(precision)
    return levels


def gradient(level):
    level.compute_gradients(level.next_batch())
    level.precision.unscale(level.optimizer)
    return torch.cat([p.grad.flatten() for p in level.parameters])


@pytest.mark.parametrize("precision", HALVES)
@pytest.mark.parametrize("name", ["pretrain", "finetune"])
def test_losses_and_gradients_are_those_of_float32_but_for_rounding(precision, name):
    rough, exact = (getattr(problem(p), name) for p in (precision, "float32"))
    torch.manual_seed(0)
    found = gradient(rough)
    torch.manual_seed(0)
    expected = gradient(exact)
    assert found.dtype == torch.float32
    # bfloat16 keeps 8 bits: errors of 2**-8 a number, some layers deep
    assert rough.value == pytest.approx(exact.value, rel=0.03)
    assert torch.cosine_similarity(found, expected, dim=0) > 0.99
    assert not torch.equal(found, expected)


@pytest.mark.parametrize("precision", HALVES)
def test_the_hypergradient_is_computed_in_float32(precision):
    rough, exact = problem(precision), problem("float32")
    found = [hypergradient_of(levels, ESTIMATOR) for levels in (rough, exact)]
    assert torch.equal(*found)


@pytest.mark.parametrize("precision", HALVES)
def test_engines_agree_bit_for_bit(precision):
    solvers = [make_solver(engine, problem(precision), ESTIMATOR) for engine in ("native", "betty")]
    for _ in range(3):
        torch.manual_seed(1)
        one = solvers[0].step()
        torch.manual_seed(1)
        assert one.weights == solvers[1].step().weights
    for one, other in zip(*(s.levels.finetune.parameters for s in solvers), strict=True):
        assert torch.equal(one, other) and one.dtype == torch.float32


def test_an_overflow_in_float16_leaves_the_update_out_and_lowers_the_scale():
    level = problem("float16").pretrain
    level.precision.load_state_dict(level.precision.state_dict() | {"scale": 2.0**80})
    before = [p.clone() for p in level.parameters]
    level.train_step()
    assert all(torch.equal(p, b) for p, b in zip(level.parameters, before, strict=True))
    assert level.precision.state_dict()["scale"] == 2.0**79 and math.isfinite(level.value)
    level.precision.load_state_dict(level.precision.state_dict() | {"scale": 2.0**10})
    level.train_step()
    assert not all(torch.equal(p, b) for p, b in zip(level.parameters, before, strict=True))


def test_the_scale_is_part_of_the_state():
    straight = make_solver("native", problem("float16"), ESTIMATOR)
    straight.levels.pretrain.precision.load_state_dict(
        straight.levels.pretrain.precision.state_dict() | {"scale": 2.0**60}
    )
    for _ in range(2):
        straight.step()
    state = deepcopy(straight.state_dict())
    continued = make_solver("native", problem("float16"), ESTIMATOR)
    continued.load_state_dict(state)
    scales = [s.levels.pretrain.precision.state_dict()["scale"] for s in (straight, continued)]
    assert scales[0] == scales[1] == 2.0**58
    torch.set_rng_state(state["random"])
    one = straight.step()
    torch.set_rng_state(state["random"])
    assert one.weights == continued.step().weights


def test_options():
    plain = load_config()
    assert plain.precision == "float32" and load_config("precision=float32").hash == plain.hash
    assert load_config("precision=bfloat16").hash != plain.hash
    assert load_config("sync_batchnorm=false").hash != plain.hash
    with pytest.raises(ConfigError, match=r"unknown precision 'bf16'.* Did you mean 'bfloat16'"):
        load_config("precision=bf16")
    with pytest.raises(ConfigError, match="unknown precision"):
        load_config("precision={a: 1}")
    with pytest.raises(ConfigError, match="method=dwa would follow: use precision=bfloat16"):
        load_config("precision=float16", "method=dwa")
    assert load_config("precision=float16", "method=equal").precision == "float16"
    with pytest.raises(ConfigError, match="sync_batchnorm"):
        load_config("sync_batchnorm=perhaps")


@pytest.mark.parametrize("precision", ["float32", *HALVES])
def test_a_step_says_whether_it_was_made(precision):
    level = problem(precision).pretrain
    gradient(level)
    before = [p.clone() for p in level.parameters]
    assert level.precision.step(level.optimizer) is True
    assert not all(torch.equal(p, b) for p, b in zip(level.parameters, before, strict=True))


def test_a_step_that_overflowed_was_not_made():
    level = problem("float16").pretrain
    level.precision.load_state_dict(level.precision.state_dict() | {"scale": 2.0**80})
    gradient(level)
    assert level.precision.step(level.optimizer) is False
