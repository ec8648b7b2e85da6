"""Calling a module without leaving a trace: same random numbers, statistics untouched.

A training-mode forward moves BatchNorm statistics and draws dropout masks. A derivative needs several
forwards that agree with each other, and level 3 must leave both models bitwise as they were. So the
module is called on *copies* of its buffers, under a random state that is put back afterwards; there is
nothing to undo, even when the call is interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from molweight.tapweight.typing import Batch, Params


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """The trained parameters by name, in the order of ``module.parameters()``."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


@contextmanager
def same_random_numbers(module: nn.Module) -> Iterator[None]:
    """Put the random state back on leaving, whatever happened inside."""
    devices = sorted({p.device.index or 0 for p in module.parameters() if p.is_cuda})
    with torch.random.fork_rng(devices=devices):
        yield


def frozen_call(module: nn.Module, batch: Batch, parameters: Params | None = None) -> Tensor:
    """``module(batch)`` at given parameters, leaving buffers and the random state as they were.

    Args:
        module: in the mode (training or evaluation) it is in.
        batch: handed to the module.
        parameters: replace the trained parameters, in their order; None keeps them, and gradients
            then reach the module's own parameters.
    """
    values: dict[str, Tensor] = {name: buffer.clone() for name, buffer in module.named_buffers()}
    if parameters is not None:
        values |= dict(zip(trainable(module), parameters, strict=True))
    with same_random_numbers(module):
        output: Tensor = functional_call(module, values, (batch,))
    return output
