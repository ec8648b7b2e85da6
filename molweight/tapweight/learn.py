"""Weights of pretraining objectives for any encoder: :func:`learn_weights`.

Three coupled problems are trained together (TapWeight). With the weights ``lambda``::

    level 1  theta = argmin  sum_k lambda_k L_k(theta; pretraining batches)
    level 2  omega = argmin  L(omega; train batches) + gamma || omega_encoder - theta_encoder ||^2
    level 3  min over lambda of  L(omega; validation batches)

theta is a copy of the encoder with the objectives' own parameters, omega another copy with the head.

>>> from functools import partial
>>> import torch
>>> from torch import nn
>>> from molweight.tapweight import learn_weights
>>> class Regress(nn.Module):  # an objective: a head of its own, and a loss
...     def __init__(self, target):
...         super().__init__()
...         self.target, self.head = target, nn.Linear(16, 1)
...     def forward(self, encoder, batch):
...         return nn.functional.mse_loss(self.head(encoder(batch["x"])), batch[self.target])
>>> _ = torch.manual_seed(0)
>>> x, noise = torch.randn(800, 100), torch.randn(800, 1)
>>> y = torch.tanh(x[:, :1] + x[:, 1:2])
>>> sgd = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
>>> result = learn_weights(
...     encoder=nn.Sequential(nn.Linear(100, 16), nn.Tanh()),
...     head=nn.Linear(16, 1),
...     objectives={"related": Regress("y"), "random": Regress("noise")},
...     task_loss=nn.functional.mse_loss,
...     pretraining_batches=[{"x": x[:500], "y": y[:500], "noise": noise[:500]}],
...     train_batches=[(x[500:540], y[500:540])],
...     validation_batches=[(x[600:], y[600:])],
...     pretraining_optimizer=sgd,
...     finetuning_optimizer=sgd,
...     steps=12,
... )
>>> {name: round(weight, 1) for name, weight in result.weights.items()}
{'related': 0.7, 'random': 0.3}
>>> result.model(x[600:]).shape
torch.Size([200, 1])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from molweight.tapweight.averaging import AveragingConfig
from molweight.tapweight.checks import require_modules, require_numbers
from molweight.tapweight.engines import make_solver
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.levels import ThreeLevels
from molweight.tapweight.loaders import endless_batches
from molweight.tapweight.presets import find_hypergradient
from molweight.tapweight.solver import Solver, StepRecord, Unroll
from molweight.tapweight.wiring import (
    EncoderWithHead,
    EncoderWithObjectives,
    Objective,
    OptimizerFactory,
    PairLoss,
    wire,
)

ADAMW: OptimizerFactory = partial(torch.optim.AdamW, lr=1e-3)
ADAM: OptimizerFactory = partial(torch.optim.Adam, lr=0.05)  # on an averaged and normalised hypergradient
AVERAGING = AveragingConfig()


@dataclass(frozen=True, kw_only=True, repr=False)
class LearnedWeights:
    """What :func:`learn_weights` returns; its models are in evaluation mode.

    Args:
        weights: by objective, positive, sum 1.
        encoder: the pretrained one (level 1), to be finetuned.
        model: ``nn.Sequential(encoder, head)``, the finetuned copy (level 2).
        objectives: with their trained heads.
        history: what every step did.
    """

    weights: dict[str, float]
    encoder: nn.Module
    model: nn.Sequential
    objectives: dict[str, Objective]
    history: list[StepRecord]

    @classmethod
    def of(
        cls,
        theta: EncoderWithObjectives,
        omega: EncoderWithHead,
        *,
        history: list[StepRecord],
        levels: ThreeLevels,
    ) -> LearnedWeights:
        """The end of learning, of the models of levels 1 and 2."""
        return cls(
            weights=levels.mixture.named(levels.mixture.weights()),
            encoder=theta.eval().encoder,
            model=omega.eval().model,
            objectives=theta.named,
            history=history,
        )

    def __repr__(self) -> str:
        weights = ", ".join(f"{name}={weight:.3f}" for name, weight in self.weights.items())
        return f"LearnedWeights({weights}; {len(self.history)} steps)"


def learn_weights(
    encoder: nn.Module,
    head: nn.Module,
    *,
    objectives: Mapping[str, Objective],
    task_loss: PairLoss,
    pretraining_batches: Iterable[object],
    train_batches: Iterable[object],
    validation_batches: Iterable[object],
    steps: int = 100,
    inner_steps: int = 10,
    burn_in: float = 0.25,
    gamma: float = 1.0,
    hypergradient: str | Hypergradient = "diagonal",
    averaging: AveragingConfig | None = AVERAGING,
    pretraining_optimizer: OptimizerFactory = ADAMW,
    finetuning_optimizer: OptimizerFactory = ADAMW,
    weights_optimizer: OptimizerFactory = ADAM,
    max_grad_norm: float | None = None,
    engine: str = "native",
    seed: int = 0,
    callback: Callable[[StepRecord], object] | None = None,
) -> LearnedWeights:
    """Learn how much each pretraining objective should weigh, from a validation loss.

    What is passed in stays as it is, and so does torch's random state.

    Args:
        encoder: any module that the objectives call.
        head: maps what the encoder returns to the outputs of the task: ``head(encoder(inputs))``.
        objectives: by name, each ``(encoder, batch) -> scalar loss``: a function, or an ``nn.Module`` with
            parameters of its own, which are then trained with the encoder.
        task_loss: ``(outputs, targets) -> scalar``, such as ``nn.functional.cross_entropy``.
        pretraining_batches: a ``DataLoader``, a list, or another iterable that can be iterated again, of
            batches as the objectives take them; tensors in them go to the encoder's device.
        train_batches: pairs ``(inputs, targets)`` that the head learns from.
        validation_batches: pairs that neither the head nor an objective learns from.
        steps: updates of the weights, and those of the burn-in, > 0.
        inner_steps: steps of levels 1 and 2 in each of them, > 0.
        burn_in: fraction of the steps in which the weights wait until the heads have learned, [0, 1).
        gamma: how strongly the two copies of the encoder are tied, > 0.
        hypergradient: a name of ``HYPERGRADIENTS``, or a :class:`Hypergradient`.
        averaging: of the hypergradients over updates; None uses each as it comes.
        pretraining_optimizer, finetuning_optimizer, weights_optimizer: of the three levels, each a function
            from parameters to an optimizer; the last one is over the logits of the weights.
        max_grad_norm: gradients of levels 1 and 2 are clipped to this norm, > 0; None: they are not.
        engine: ``native``, ``betty`` (Betty 0.2 drives the levels) or ``auto``; all give the same bits.
        seed: of all that is drawn from torch's generators, such as dropout and shuffled batches.
        callback: called with the record of every step.

    Raises:
        ConfigError: an argument is out of range; a loss is no scalar, fails on its first batch, does not
            depend on the encoder, or has parameters that nothing would train.
        DataError: a loader yields no batch.
        DivergedError: a loss or a gradient is not finite; the update it belongs to was not made.
    """
    require_modules(encoder, head, objectives)
    require_numbers(steps, inner_steps, burn_in, max_grad_norm)
    with seeded(seed, encoder) as device:
        theta = EncoderWithObjectives(*deepcopy((encoder, dict(objectives))))
        omega = EncoderWithHead(*deepcopy((encoder, head)))
        levels = wire(
            theta,
            omega,
            task_loss,
            batches=endless_batches(pretraining_batches, train_batches, validation_batches, device=device),
            optimizers=(pretraining_optimizer, finetuning_optimizer, weights_optimizer),
            gamma=gamma,
            clip=max_grad_norm,
        )
        solver = make_solver(
            engine,
            levels,
            find_hypergradient(hypergradient),
            unroll=Unroll(every=inner_steps),
            averaging=averaging,
            burn_in=min(round(burn_in * steps), steps - 1),
            learn=len(objectives) > 1,
        )
        return LearnedWeights.of(theta, omega, history=run(solver, steps, callback), levels=levels)


@contextmanager
def seeded(seed: int, module: nn.Module) -> Iterator[torch.device]:
    """Draw random numbers from a seed, and put torch's own state back; the device of the module."""
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield device


def run(solver: Solver, steps: int, callback: Callable[[StepRecord], object] | None) -> list[StepRecord]:
    """The records of a number of steps, each shown to the callback."""
    history = []
    for _ in range(steps):
        history.append(solver.step())
        if callback is not None:
            callback(history[-1])
    return history
