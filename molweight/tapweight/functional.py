"""Calling a module without leaving a trace: same random numbers, statistics untouched.

A training-mode forward moves BatchNorm statistics and draws dropout masks. A derivative needs several
forwards that agree with each other, and level 3 must leave both models bitwise as they were. So the
module is called on *copies* of its buffers, under a random state that is put back afterwards; there is
nothing to undo, even when the call is interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


def stateless_call(module: nn.Module, batch: Batch, parameters: Params | None = None) -> Tensor:
    """``module(batch)`` at given parameters, leaving buffers and the random state as they were.

    Args:
        module: in the mode (training or evaluation) it is in.
        batch: handed to the module.
        parameters: replace the trained parameters, in their order; None keeps them, and gradients
            then reach the module's own parameters.
    """
    values = {id(buffer): buffer.clone() for buffer in module.buffers()}
    if parameters is not None:
        values |= {id(p): value for p, value in zip(trainable(module).values(), parameters, strict=True)}
    with same_random_numbers(module):
        output: Tensor = functional_call(module, by_place(module, values), (batch,), tie_weights=False)
    return output


def by_place(module: nn.Module, values: Mapping[int, Tensor]) -> dict[str, Tensor]:
    """Values by name, one name for each place that holds the tensor.

    A tensor that two layers share has two places. A layer that has two names, being part of two modules, is
    one place: torch's own ``tie_weights`` replaces it twice and puts back the first replacement.

    Args:
        module: holds the tensors.
        values: by the ``id`` of the parameter or buffer that each replaces.
    """
    named = {}
    for path, part in module.named_modules():  # every module once
        tensors = (*part.named_parameters("", False, False), *part.named_buffers("", False, False))
        for name, tensor in tensors:
            if id(tensor) in values:
                named[f"{path}.{name}" if path else name] = values[id(tensor)]
    return named
