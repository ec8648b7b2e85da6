"""Rules that weigh losses: closed forms, and torchjd as the witness."""

from __future__ import annotations

import pytest
import torch
from problems import Cycle
from torch import nn
from torchjd.aggregation import MGDA

from molweight.errors import ConfigError, DivergedError
from molweight.tapweight.balancing import (
    BALANCES,
    DynamicWeightAverage,
    Fixed,
    GradientConflict,
    GradNorm,
    Uncertainty,
    gradient_of,
    make_balance,
)
from molweight.tapweight.one_level import Balanced, BalancedPretraining, OneLevel
from molweight.tapweight.solver import Solver


class TwoHeads(nn.Module):
    """A shared matrix and one vector a loss; losses that pull the matrix different ways."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.backbone = nn.Linear(4, 3, bias=False)
        self.heads = nn.ParameterList([nn.Parameter(torch.randn(3, generator=generator)) for _ in range(3)])
        with torch.no_grad():
            self.backbone.weight.copy_(torch.randn(3, 4, generator=generator))

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Three squared errors, [3]."""
        hidden = self.backbone(batch["x"])
        return torch.stack(
            [(hidden @ h - batch["y"][:, i]).square().mean() for i, h in enumerate(self.heads)]
        )


def batch(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {"x": torch.randn(16, 4, generator=generator), "y": torch.randn(16, 3, generator=generator)}


def gradients(balance: nn.Module, model: TwoHeads) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Weights and the gradients that a balance leaves behind."""
    module = Balanced(model, balance)
    for parameter in module.parameters():
        parameter.grad = None
    weights = balance.backward(model(batch()), tuple(module.parameters()), (model.backbone.weight,))
    return weights, [p.grad.clone() for p in module.parameters()]


def rows_of(model: TwoHeads) -> torch.Tensor:
    """The losses' gradients on the shared matrix, [3, 12]."""
    losses = [model(batch())[i] for i in range(3)]
    return torch.stack([torch.autograd.grad(loss, model.backbone.weight)[0].flatten() for loss in losses])


def expected(model: TwoHeads, weights: list[float]) -> list[torch.Tensor]:
    total = torch.tensor(weights) @ model(batch())
    return list(torch.autograd.grad(total, list(model.parameters())))


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [0.2, 3.0, 0.8], [0.0, 1.0, 0.0]])
def test_fixed_is_the_weighted_sum(weights: list[float]) -> None:
    model = TwoHeads()
    found, slopes = gradients(Fixed(weights), model)
    shares = [w / sum(weights) for w in weights]
    torch.testing.assert_close(found, torch.tensor(shares))
    for one, other in zip(slopes, expected(model, shares), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("weights", [[], [-1.0, 2.0], [float("nan"), 1.0], [0.0, 0.0]])
def test_fixed_refuses_what_is_no_weighting(weights: list[float]) -> None:
    with pytest.raises(ConfigError, match="weights must"):
        Fixed(weights)


def test_one_weight_is_one() -> None:
    assert Fixed([3.0]).weights.tolist() == [1.0]


@pytest.mark.parametrize("name", ["equal", "uncertainty", "dwa", "gradnorm", "mgda"])
def test_only_the_parameters_that_are_named_get_a_gradient(name: str) -> None:
    inside, head, outside = (
        nn.Parameter(torch.ones(1, 2)),
        nn.Parameter(torch.ones(1)),
        nn.Parameter(torch.ones(1)),
    )
    losses = torch.stack([inside.sum() + head.sum(), 2 * inside.sum() + outside.sum()])
    make_balance(name, 2).backward(losses, (inside, head), (inside,))
    assert inside.grad is not None and head.grad is not None and outside.grad is None


@pytest.mark.parametrize("name", ["equal", "uncertainty", "dwa", "gradnorm", "mgda", "upgrad"])
def test_losses_in_double_precision_have_such_gradients(name: str) -> None:
    parameter = nn.Parameter(torch.ones(1, 2, dtype=torch.float64))
    losses = torch.stack([parameter.sum(), 2 * parameter[0, 0]])
    make_balance(name, 2).backward(losses, (parameter,), (parameter,))
    assert parameter.grad is not None and parameter.grad.dtype == torch.float64 and parameter.grad.any()


def test_uncertainty_settles_where_the_variance_is_the_loss() -> None:
    """d/ds (exp(-s) L + s/2) = 0 at exp(s) = 2 L."""
    balance = Uncertainty(2)
    losses = torch.tensor([0.5, 4.0])
    optimizer = torch.optim.SGD(balance.parameters(), lr=0.2)
    for _ in range(400):
        optimizer.zero_grad()
        balance.backward(losses.clone().requires_grad_(), tuple(balance.parameters()), ())
        optimizer.step()
    torch.testing.assert_close(balance.log_variances.exp(), 2 * losses, rtol=1e-4, atol=1e-4)
    weights = balance.backward(losses.clone().requires_grad_(), tuple(balance.parameters()), ())
    torch.testing.assert_close(weights, torch.tensor([8 / 9, 1 / 9]), rtol=1e-4, atol=1e-4)


def test_dwa_compares_the_last_two_windows() -> None:
    balance = DynamicWeightAverage(2, window=2, temperature=2.0)
    parameter = nn.Parameter(torch.ones(2))
    seen = []
    for scale in ([4.0, 4.0], [2.0, 2.0], [1.0, 3.0], [0.5, 2.4], [1.0, 1.0]):
        seen.append(balance.backward(parameter * torch.tensor(scale), (parameter,), (parameter,)))
    equal = torch.tensor([0.5, 0.5])
    for weights in seen[:4]:
        torch.testing.assert_close(weights, equal)
    ratios = torch.tensor([0.75 / 3, 2.7 / 3])  # means of the windows (4, 2), (1, 0.5) and (4, 2), (3, 2.4)
    torch.testing.assert_close(seen[4], torch.softmax(ratios / 2, dim=0))


def test_dwa_keeps_the_means_of_two_windows() -> None:
    balance = DynamicWeightAverage(1, window=2)
    parameter = nn.Parameter(torch.ones(1))
    for value in (1.0, 3.0, 10.0, 20.0, 7.0):
        balance.backward(parameter * value, (parameter,), (parameter,))
    assert balance.means.tolist() == [[2.0], [15.0]] and balance.total.tolist() == [7.0]
    assert balance.seen.item() == 5 and balance.seen.dtype == torch.int64


def test_dwa_has_the_papers_temperature_and_bounds() -> None:
    balance = DynamicWeightAverage(2)
    assert (balance.window, balance.temperature) == (50, 2.0)
    DynamicWeightAverage(2, window=1, temperature=0.1)
    for wrong in ({"window": 0}, {"temperature": 0.0}):
        with pytest.raises(ConfigError, match="dwa needs window >= 1 and temperature > 0"):
            DynamicWeightAverage(2, **wrong)


def test_a_loss_of_zero_does_not_upset_dwa() -> None:
    balance = DynamicWeightAverage(2, window=1)
    parameter = nn.Parameter(torch.ones(2))
    for _ in range(4):
        weights = balance.backward(parameter * torch.tensor([0.0, 1.0]), (parameter,), (parameter,))
    torch.testing.assert_close(weights, torch.tensor([0.5, 0.5]))


def test_gradnorm_makes_the_gradients_equally_long() -> None:
    """With alpha = 0 all targets are the mean norm, so w_k |g_k| becomes the same for all."""
    model, balance = TwoHeads(), GradNorm(3, alpha=0.0, lr=0.01)
    for _ in range(600):
        gradients(balance, model)
    norms = rows_of(model).norm(dim=1)
    found = balance.values * norms
    torch.testing.assert_close(found / found.mean(), torch.ones(3), rtol=0.05, atol=0.05)
    assert float(balance.values.sum()) == pytest.approx(3.0, rel=1e-5)


def test_gradnorm_pulls_towards_the_loss_that_fell_least() -> None:
    balance = GradNorm(2, alpha=1.5, lr=0.01)
    parameter = nn.Parameter(torch.ones(1, 1))
    balance.backward(torch.stack([parameter.sum(), parameter.sum()]), (parameter,), (parameter,))
    for _ in range(20):
        losses = torch.stack([0.1 * parameter.sum() + parameter.sum().detach() * 0, parameter.sum()])
        balance.backward(losses, (parameter,), (parameter,))
    assert balance.values[1] > 1.0 > balance.values[0]


def test_gradnorm_is_the_published_algorithm() -> None:
    """Its weights are those of Adam on ``sum_k |w_k |g_k| - target_k|``, differentiated by autograd.

    The norms are those on the last matrix alone: another matrix and a vector have gradients too.
    """
    before, last, vector = (nn.Parameter(torch.ones(shape)) for shape in ((2, 2), (1, 2), (5,)))
    directions = torch.tensor([[3.0, 4.0], [0.0, 1.0], [2.0, 0.0]])
    balance = GradNorm(3, alpha=0.5, lr=0.1)
    values = torch.ones(3, requires_grad=True)
    optimizer = torch.optim.Adam([values], lr=0.1)
    first = None
    for scale in ([1.0, 1.0, 1.0], [0.5, 1.5, 0.8], [0.1, 1.2, 0.7], [0.3, 0.2, 0.9]):
        slopes = directions * torch.tensor(scale)[:, None]
        losses = slopes @ last[0] + 0.1 * before.sum() + 0.1 * vector.sum()
        expected = values.detach() / values.sum().item()
        found = balance.backward(losses, (before, last, vector), (before, last, vector))
        torch.testing.assert_close(found, expected)
        first = losses.detach() if first is None else first
        rates = losses.detach() / first
        weighted = values * slopes.norm(dim=1)
        target = (weighted.mean() * (rates / rates.mean()) ** 0.5).detach()
        optimizer.zero_grad()
        (weighted - target).abs().sum().backward()
        optimizer.step()
        with torch.no_grad():
            values.clamp_(min=1e-3)
            values *= 3 / values.sum()
        torch.testing.assert_close(balance.values, values.detach())


def test_gradnorm_has_the_papers_constants() -> None:
    balance = GradNorm(2)
    assert balance.alpha == 1.5 and balance.optimizer.param_groups[0]["lr"] == 0.025


def test_conflicts_are_solved_by_torchjd() -> None:
    """Its autograd engine, run on the shared parameters, is the witness for the gradients."""
    model = TwoHeads()
    _, slopes = gradients(make_balance("mgda", 3), model)
    rows = rows_of(model)
    torch.testing.assert_close(slopes[0].flatten(), MGDA()(rows), rtol=1e-4, atol=1e-5)
    for i, head in enumerate(model.heads):
        torch.testing.assert_close(slopes[1 + i], torch.autograd.grad(model(batch())[i], head)[0])


def test_pcgrad_on_two_losses_in_closed_form() -> None:
    """g1 - (g1.g2 / |g2|^2) g2 and the other way round, where the two conflict (Yu et al. 2020)."""
    parameter = nn.Parameter(torch.zeros(1, 2))
    one, two = torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1.0])
    balance = make_balance("pcgrad", 2)
    losses = torch.stack([(parameter @ one).sum(), (parameter @ two).sum()])
    balance.backward(losses, (parameter,), (parameter,))
    projected = (one - (one @ two) / (two @ two) * two) + (two - (one @ two) / (one @ one) * one)
    torch.testing.assert_close(parameter.grad, projected[None])


def test_without_conflict_gradients_are_added() -> None:
    parameter = nn.Parameter(torch.zeros(1, 2))
    balance = GradientConflict(lambda gram: torch.ones(len(gram)))
    losses = torch.stack([parameter[0, 0], 3 * parameter[0, 1]])
    weights = balance.backward(losses, (parameter,), (parameter,))
    torch.testing.assert_close(parameter.grad, torch.tensor([[1.0, 3.0]]))
    torch.testing.assert_close(weights, torch.tensor([0.5, 0.5]))


@pytest.mark.parametrize(
    ("weights", "shares"),
    [([1.0, 3.0], [0.25, 0.75]), ([0.125, 0.375], [0.25, 0.75]), ([0.0, 0.0], [0.5, 0.5])],
)
def test_shares_of_a_conflict_sum_to_one(weights: list[float], shares: list[float]) -> None:
    parameter = nn.Parameter(torch.zeros(1, 2, dtype=torch.float64))
    balance = GradientConflict(lambda gram: torch.tensor(weights))
    losses = torch.stack([parameter[0, 0], 3 * parameter[0, 1]])
    found = balance.backward(losses, (parameter,), (parameter,))
    assert found.tolist() == shares and parameter.grad is not None
    assert parameter.grad.tolist() == [[weights[0], 3 * weights[1]]]


def test_a_gradient_is_one_vector_with_zeros_where_there_is_none() -> None:
    used, unused = nn.Parameter(torch.ones(1, 2)), nn.Parameter(torch.ones(3))
    loss = (used * torch.tensor([2.0, 5.0])).sum()
    for _ in range(2):  # the graph is kept for the next one
        assert gradient_of(loss, [unused, used], keep=True).tolist() == [0, 0, 0, 2, 5]


def test_unknown_and_missing() -> None:
    with pytest.raises(ConfigError, match="uncertainty"):
        make_balance("uncertainti", 2)


def test_a_missing_package_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torchjd", None)
    with pytest.raises(ConfigError, match=r"method=upgrad needs torchjd: pip install 'molweight\[torchjd\]'"):
        make_balance("upgrad", 2)


def trainer(name: str) -> OneLevel:
    torch.manual_seed(0)
    model = TwoHeads()
    module = Balanced(model, make_balance(name, 3))
    level = BalancedPretraining(
        module=module,
        optimizer=torch.optim.Adam(module.parameters(), lr=0.01),
        batches=Cycle([batch(i) for i in range(5)]),
        names=("a", "b", "c"),
        shared=(model.backbone.weight,),
        clip=5.0,
    )
    return OneLevel(level, every=3)


@pytest.mark.parametrize("name", ["equal", *BALANCES])
def test_a_trainer_continues_bit_for_bit(name: str) -> None:
    whole = trainer(name)
    records = [whole.step() for _ in range(40)]
    assert sum(records[-1].losses.values()) < sum(records[0].losses.values())
    assert sum(records[-1].weights.values()) == pytest.approx(1.0, abs=1e-5)
    assert records[-1].validation_loss is None and records[-1].hypergradient == {}
    first = trainer(name)
    for _ in range(21):
        first.step()
    state = first.state_dict()
    second = trainer(name)
    second.load_state_dict(state)
    for _ in range(19):
        last = second.step()
    assert last.weights == records[-1].weights and last.losses == records[-1].losses
    for one, two in zip(whole.level.parameters, second.level.parameters, strict=True):
        assert torch.equal(one, two)


def test_a_loss_that_is_not_finite_stops_before_the_update() -> None:
    stopped = trainer("equal")
    stopped.level.batches = Cycle([{"x": batch()["x"], "y": torch.full((16, 3), float("inf"))}])
    before = [p.clone() for p in stopped.level.parameters]
    with pytest.raises(DivergedError, match="objective 'a' has the loss inf"):
        stopped.step()
    assert all(torch.equal(p, q) for p, q in zip(stopped.level.parameters, before, strict=True))
    assert Solver.engine == stopped.engine
