"""What an optimiser makes of a gradient: step length, momentum, and the scale of every parameter.

A level answers a force the way its optimiser moves it. SGD moves along the force; Adam divides every
component by the root of its second moment, which is a diagonal preconditioner that has already been paid for.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.optim import Optimizer

from molweight.tapweight.typing import Params


@dataclass(frozen=True, kw_only=True)
class Dynamics:
    """One step: ``velocity = momentum * velocity + (1 - dampening) * force; p += lr * scale * velocity``.

    Args:
        lr: learning rate, the largest of its schedule.
        momentum: [0, 1).
        dampening: [0, 1); Adam's is its momentum, so that its velocity is an average.
        scale: one positive number a parameter, or None for all ones.
    """

    lr: float
    momentum: float = 0.0
    dampening: float = 0.0
    scale: Params | None = None


def dynamics_of(optimizer: Optimizer, parameters: Params) -> Dynamics:
    """Read an optimiser's way of stepping off its state.

    The learning rate is that of the whole schedule: at the end of a cosine the current one is zero.

    Adam's scale is ``1 / (sqrt(v) + eps)`` with the bias-corrected second moment v (Kingma and Ba 2015,
    algorithm 1); one where it has not stepped yet. Weight decay is left out: it acts on parameters.

    Args:
        optimizer: SGD, Adam or AdamW; anything else counts as SGD without momentum.
        parameters: those of the level, in its order, each in one of the optimiser's groups.
    """
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    rates = {key: float(group.get("initial_lr", group["lr"])) for key, group in groups.items()}
    first, lr = groups[id(parameters[0])], rates[id(parameters[0])]
    if "betas" not in first:
        scale = None
        if any(rates[id(p)] != lr for p in parameters):
            scale = tuple(torch.full_like(p, rates[id(p)] / lr) for p in parameters)
        return Dynamics(
            lr=lr, momentum=first.get("momentum", 0.0), dampening=first.get("dampening", 0.0), scale=scale
        )
    scales = []
    for parameter in parameters:
        group, state = groups[id(parameter)], optimizer.state.get(parameter, {})
        if "exp_avg_sq" not in state:
            scales.append(torch.ones_like(parameter))
            continue
        corrected = state["exp_avg_sq"] / (1 - group["betas"][1] ** float(state["step"]))
        scale = rates[id(parameter)] / lr / (corrected.sqrt() + group["eps"])
        # In the parameter's memory layout: one loaded from a checkpoint may differ, and sums would round so.
        scales.append(torch.empty_like(parameter, requires_grad=False).copy_(scale))
    momentum = float(first["betas"][0])
    return Dynamics(lr=lr, momentum=momentum, dampening=momentum, scale=tuple(scales))
