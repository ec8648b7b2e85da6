"""Betty's own finite differences as a witness for the published estimator."""

from __future__ import annotations

import pytest
import torch
from problems import network_problem

from benchmarks.stock_betty import advance, stock_engine
from molweight.tapweight.directional import CentralDifference, ForwardMode
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.proximal import SmoothL1
from molweight.tapweight.solver import Solver, Unroll


class Recorder:
    """Keeps the gradient of the logits instead of using it."""

    def __init__(self, logits):
        self.logits, self.gradient = logits, None
        self.param_groups = [{"params": [logits]}]

    def step(self):
        self.gradient = self.logits.grad.clone()

    def zero_grad(self):
        self.logits.grad = None


def problem(unroll, gamma=0.05):
    levels = network_problem(3, torch.float64, gamma=gamma, momentum=0.0, schedule=False)
    for module in (levels.pretrain.module, levels.finetune.module):
        for part in module.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0  # Betty draws new masks at every pass
    levels.weights.optimizer = Recorder(levels.mixture.logits)
    for level in (levels.pretrain, levels.finetune):
        level.module.train()
    return levels


@pytest.mark.parametrize("unroll", [Unroll(), Unroll(every=4, pretrain=2)], ids=["1-1", "2-2"])
@pytest.mark.parametrize("directional", [CentralDifference(), ForwardMode()], ids=["difference", "forward"])
def test_the_published_estimator_is_bettys_darts(unroll, directional):
    gamma = 0.05
    stock, ours = problem(unroll), problem(unroll)
    # The same difference gives the same digits; next to none, what is exact.
    radius, rtol = (0.01, 1e-9) if isinstance(directional, CentralDifference) else (1e-6, 1e-4)
    advance(stock_engine(stock, unroll=unroll, radius=radius), unroll)
    solver = Solver(ours, Hypergradient(directional=directional), unroll=unroll)
    solver.advance()
    betty = stock.weights.optimizer.gradient
    assert betty.abs().max() > 1e-6
    torch.testing.assert_close(2 * gamma * ours.weights.optimizer.gradient, betty, rtol=rtol, atol=1e-12)


def test_the_smooth_l1_term_passes_on_what_bettys_differences_see():
    stock, ours = problem(Unroll()), problem(Unroll())
    term = SmoothL1(gamma=0.05, beta=0.2)
    for levels in (stock, ours):
        levels.finetune.proximal = term
    advance(stock_engine(stock, radius=1e-6))
    Solver(ours, Hypergradient()).advance()
    betty = stock.weights.optimizer.gradient
    torch.testing.assert_close(
        term.gamma / term.beta * ours.weights.optimizer.gradient, betty, rtol=1e-3, atol=1e-7
    )
