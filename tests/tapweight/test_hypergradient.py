"""The chain rule against dense linear algebra, where every matrix is known."""

from __future__ import annotations

import pytest
import torch
from problems import (
    Cycle,
    Point,
    Quadratics,
    hypergradient_of,
    levels_of,
    lower_batches,
    network_problem,
)

from molweight.errors import ConfigError
from molweight.tapweight.directional import CentralDifference, ForwardMode
from molweight.tapweight.functional import stateless_call
from molweight.tapweight.hessian import DoubleBackward, GradientDifference
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.inverse import ConjugateGradient
from molweight.tapweight.objective_weights import ObjectiveWeights
from molweight.tapweight.proximal import SmoothL1

K, D = 4, 6


def spd(generator, condition):
    """A symmetric positive definite matrix of a given condition number."""
    q, _ = torch.linalg.qr(torch.randn(D, D, generator=generator, dtype=torch.float64))
    return q @ torch.diag(torch.logspace(0, torch.log10(torch.tensor(condition)).item(), D).double()) @ q.T


def quadratic_problem(seed, condition, gamma):
    """Levels with quadratic losses, and their matrices."""
    g = torch.Generator().manual_seed(seed)
    A = torch.stack([spd(g, condition) for _ in range(K)])
    b = torch.randn(K, D, generator=g, dtype=torch.float64)
    T, t = spd(g, condition), torch.randn(D, generator=g, dtype=torch.float64)
    V, v = spd(g, condition), torch.randn(D, generator=g, dtype=torch.float64)
    start = torch.randn(D, generator=g, dtype=torch.float64)
    theta, omega = Quadratics(A, b, start), Point(start)

    def task_loss(point, batch):
        return 0.5 * point @ batch["H"] @ point - batch["c"] @ point

    levels = levels_of(
        theta,
        omega,
        (theta, omega),
        task_loss,
        (Cycle([{}]), Cycle([{"H": T, "c": t}]), Cycle([{"H": V, "c": v}])),
        names=tuple("abcd"),
        gamma=gamma,
    )
    return levels, (A, b, T, t, V, v)


def solve_exactly(levels, matrices, gamma):
    """Put both lower levels at their optimum and return dL_val/dalpha by autograd through the solutions."""
    A, b, T, t, V, v = matrices
    alpha = levels.mixture.logits.detach().clone().requires_grad_()
    weights = torch.softmax(alpha, 0)
    theta = torch.linalg.solve(torch.einsum("k,kij->ij", weights, A), weights @ b)
    omega = torch.linalg.solve(T + 2 * gamma * torch.eye(D).double(), t + 2 * gamma * theta)
    loss = 0.5 * omega @ V @ omega - v @ omega
    (truth,) = torch.autograd.grad(loss, alpha)
    with torch.no_grad():
        levels.pretrain.module.point.copy_(theta)
        levels.finetune.module.point.copy_(omega)
    return truth


@pytest.mark.parametrize("condition", [3.0, 1e4])
@pytest.mark.parametrize("gamma", [1e-3, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_exact_inverses_give_the_gradient_of_the_nested_optimum(seed, condition, gamma):
    levels, matrices = quadratic_problem(seed, condition, gamma)
    with torch.no_grad():
        levels.mixture.logits.copy_(torch.tensor([0.3, -0.2, 0.9, 0.0]).double())
    truth = solve_exactly(levels, matrices, gamma)
    exact = ConjugateGradient(iterations=20 * D, damping=0.0, tolerance=1e-14)
    found = hypergradient_of(levels, Hypergradient(finetune=exact, pretrain=exact))
    torch.testing.assert_close(2 * gamma * found, truth, rtol=1e-6, atol=1e-6 * truth.abs().max().item())


def test_identity_is_the_published_formula():
    gamma = 0.1
    levels, (A, b, _, _, V, v) = quadratic_problem(0, 10.0, gamma)
    theta, omega = levels.pretrain.module.point.detach(), levels.finetune.module.point.detach()
    s = (torch.einsum("kij,j->ki", A, theta) - b) @ (V @ omega - v)
    weights = torch.full((K,), 1 / K, dtype=torch.float64)
    expected = -(torch.diag(weights) - torch.outer(weights, weights)) @ s
    for directional in (ForwardMode(), CentralDifference()):
        found = hypergradient_of(levels, Hypergradient(directional=directional))
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("dtype, floor", [(torch.float32, 0.99999), (torch.float64, 1 - 1e-12)])
def test_forward_mode_agrees_with_float64_backward(dtype, floor):
    """The K derivatives along a direction against K gradients taken one by one in float64."""
    torch.manual_seed(5)
    levels, reference = network_problem(7, dtype), network_problem(7, torch.float64)
    reference.pretrain.module.load_state_dict(levels.pretrain.module.state_dict())
    batch = levels.pretrain.next_batch()
    batch64 = {k: v.double() if v.is_floating_point() else v for k, v in batch.items()}
    direction = tuple(torch.randn_like(p) for p in levels.pretrain.parameters)
    for module in (levels.pretrain.module, reference.pretrain.module):
        module.eval()  # dropout draws differ between precisions; BatchNorm in training mode is below
    module, module64 = levels.pretrain.module, reference.pretrain.module
    for m in (*module.modules(), *module64.modules()):
        if isinstance(m, torch.nn.BatchNorm2d):
            m.train()
    point = tuple(p.detach() for p in levels.pretrain.parameters)
    found = ForwardMode()(lambda p: stateless_call(module, batch, p), point, direction)
    truth = []
    for loss in stateless_call(module64, batch64):
        parameters = reference.pretrain.parameters
        gradient = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        pairs = [(g, d.double()) for g, d in zip(gradient, direction, strict=True) if g is not None]
        truth.append(sum((g * d).sum() for g, d in pairs))
    truth = torch.stack(truth)
    assert torch.cosine_similarity(found.double(), truth, dim=0) > floor


def test_difference_sees_the_same_dropout_on_both_sides():
    """With dropout a difference is close to the exact derivative only if its masks are replayed."""
    levels = network_problem(9, torch.float64)
    module, batch = levels.pretrain.module, levels.pretrain.next_batch()
    point = tuple(p.detach() for p in levels.pretrain.parameters)
    direction = tuple(torch.randn_like(p) for p in point)

    def losses(p):
        return stateless_call(module, batch, p)

    exact = ForwardMode()(losses, point, direction)
    difference = CentralDifference(radius=1e-4)(losses, point, direction)
    torch.testing.assert_close(difference, exact, rtol=1e-4, atol=1e-6)


def test_double_backward_equals_the_dense_hessian():
    g = torch.Generator().manual_seed(0)
    A = spd(g, 100.0)

    def loss(p):
        return 0.5 * p[0] @ A @ p[0] + p[0].pow(3).sum() + 0 * p[1].sum()

    point = (torch.randn(D, generator=g).double(), torch.zeros(2).double())
    d = (torch.randn(D, generator=g).double(), torch.ones(2).double())
    product = DoubleBackward()(loss, point)
    expected = (A + torch.diag(6 * point[0])) @ d[0]
    for _ in range(2):  # the graph is reused
        x, zero = product(d)
        torch.testing.assert_close(x, expected)
        assert torch.equal(zero, torch.zeros(2).double())


@pytest.mark.parametrize("central, tolerance", [(False, 1e-3), (True, 1e-5)])
def test_gradient_differences_approach_the_exact_product(central, tolerance):
    """With BatchNorm and dropout: both sides must see the same masks."""
    levels = network_problem(9, torch.float64)
    module, batch = levels.pretrain.module, levels.pretrain.next_batch()

    def loss(p):
        return stateless_call(module, batch, p).sum()

    direction = tuple(torch.randn_like(p) for p in levels.pretrain.parameters)
    exact = DoubleBackward()(loss, levels.pretrain.parameters)(direction)
    product = GradientDifference(radius=1e-4, central=central)(loss, levels.pretrain.parameters)
    for _ in range(2):  # the gradient at the point is reused
        found = product(direction)
        error = sum((f - e).square().sum() for f, e in zip(found, exact, strict=True)).sqrt()
        assert error < tolerance * sum(e.square().sum() for e in exact).sqrt()
    zero = tuple(torch.zeros_like(p) for p in direction)
    assert all(torch.equal(x, z) for x, z in zip(product(zero), zero, strict=True))


def test_a_batch_fraction_uses_the_first_samples():
    levels = network_problem(4, torch.float64)
    hypergradient = Hypergradient(batch_fraction=0.5)
    batches = lower_batches(levels)
    batch = batches["pretrain"]
    part = hypergradient.part(batch)
    assert {len(v) for v in part.values()} == {6} and torch.equal(part["pixels"], batch["pixels"][:6])
    assert {len(v) for v in Hypergradient(batch_fraction=0.01).part(batch).values()} == {2}
    assert {len(v) for v in Hypergradient(batch_fraction=0.45).part(batch).values()} == {6}  # 5.4, rounded up
    valid = levels.weights.next_batch()
    found = hypergradient(levels, batches, levels.weights.loss(valid))
    parts = {name: hypergradient.part(batch) for name, batch in batches.items()}
    of_parts = Hypergradient()(levels, parts, levels.weights.loss(valid))
    torch.testing.assert_close(of_parts, found, rtol=1e-9, atol=1e-12)
    whole = Hypergradient()(levels, parts | {"pretrain": batch}, levels.weights.loss(valid))
    assert not torch.allclose(whole, found)


def test_fresh_batches_are_averaged_and_taken_from_the_stream():
    levels = network_problem(4, torch.float64)
    used, valid, stream = lower_batches(levels), levels.weights.next_batch(), levels.pretrain.batches

    def hypergradient(batches, **options):
        return Hypergradient(**options)(levels, batches, levels.weights.loss(valid))

    position = stream.state_dict()
    found = hypergradient(used, directional_batches=2)
    after = stream.state_dict()
    stream.load_state_dict(position)
    single = [hypergradient(used | {"pretrain": stream.next()}) for _ in range(2)]
    torch.testing.assert_close(found, torch.stack(single).mean(dim=0), rtol=1e-9, atol=1e-12)
    assert stream.state_dict() == after != position
    one_used = hypergradient(used)
    assert not torch.allclose(one_used, found)


def test_directions_of_the_heads_are_zero_and_the_backbone_gets_v():
    levels = network_problem(0)
    v = tuple(torch.randn_like(p) for p in levels.finetune.parameters)
    u = Hypergradient().vjp_level2(levels, levels.finetune.next_batch(), v)
    named = dict(zip([n for n, _ in levels.pretrain.module.named_parameters()], u, strict=True))
    assert all(torch.equal(d, torch.zeros_like(d)) for n, d in named.items() if not n.startswith("backbone"))
    mine = dict(zip([n for n, _ in levels.finetune.module.named_parameters()], v, strict=True))
    assert all(torch.equal(named[n], mine[n]) for n in named if n.startswith("backbone"))


def test_where_the_backbones_are_far_apart_smooth_l1_hands_nothing_down():
    levels = network_problem(0)
    level = levels.finetune
    level.proximal = SmoothL1(gamma=1.0, beta=0.1)
    with torch.no_grad():
        for index in level.shared:
            level.parameters[index].view(-1)[0] += 0.2
    v = tuple(torch.ones_like(p) for p in level.parameters)
    u = Hypergradient().vjp_level2(levels, level.next_batch(), v)
    for name, direction in zip([n for n, _ in levels.pretrain.module.named_parameters()], u, strict=True):
        expected = torch.full_like(direction, float(name.startswith("backbone")))
        expected.view(-1)[0] = 0.0
        assert torch.equal(direction, expected), name


def test_exponentiated_gradient_drops_the_factor_of_the_weight():
    mixture = ObjectiveWeights(names=tuple("abc"), dtype=torch.float64, update="exponentiated")
    with torch.no_grad():
        mixture.logits.copy_(torch.tensor([2.0, 0.0, -1.0]))
    s = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    weights, rate = mixture.weights(), 0.3
    with torch.no_grad():
        mixture.logits -= rate * mixture.gradient(s)
    expected = weights * torch.exp(rate * s)  # Kivinen and Warmuth: multiply, then normalise
    torch.testing.assert_close(mixture.weights(), expected / expected.sum())
    softmax = ObjectiveWeights(names=tuple("abc"), dtype=torch.float64)
    torch.testing.assert_close(softmax.gradient(s), mixture.gradient(s) * 0 - (s - s.mean()) / 3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CentralDifference(radius=0.0), "radius"),
        (lambda: GradientDifference(radius=0.0), "radius"),
        (lambda: Hypergradient(batch_fraction=0.0), "batch_fraction"),
        (lambda: Hypergradient(batch_fraction=1.5), "batch_fraction"),
        (lambda: Hypergradient(directional_batches=-1), "directional_batches"),
        (lambda: ObjectiveWeights(names=("a", "b"), update="newton"), "unknown update of the weights"),
    ],
)
def test_bad_settings_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
