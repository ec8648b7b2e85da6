"""Layers that forget their activations and compute them again in the backward pass.

torch's ``checkpoint`` calls a layer a second time, when the backward pass needs it. By then the parameters
that a derivative was taken at may have been put back (:mod:`molweight.tapweight.functional`), and the second
call would silently use others. Here they are handed over: the second call gets the tensors of the first.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint


class Recomputed(nn.Module):
    """A layer whose activations are computed twice and kept for no longer than needed.

    Mixed into the class of an existing layer by :func:`recompute`, so that its parameters keep their names
    and a deep copy stays a copy.
    """

    again: bool = False  # inside a call that torch's checkpoint watches

    def forward(self, *args: object, **kwargs: object) -> object:
        """What the layer computes; twice where there will be a backward pass."""
        if self.again or not torch.is_grad_enabled():
            return super().forward(*args, **kwargs)
        names, values = zip(*self.named_parameters(), strict=True)

        def run(*flat: Any) -> object:
            parameters = dict(zip(names, flat, strict=False))
            self.again = True
            try:
                return functional_call(self, parameters, flat[len(names) :], kwargs, tie_weights=False)
            finally:
                self.again = False

        return checkpoint(run, *values, *args, use_reentrant=False)


@functools.cache
def recomputed(kind: type[nn.Module]) -> type[nn.Module]:
    """A class of layers with :class:`Recomputed` in front."""
    return type(f"Recomputed{kind.__name__}", (Recomputed, kind), {})


def recompute(model: nn.Module) -> int:
    """Make every layer of a transformers model recompute its activations; the number of layers."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers = [part for part in model.modules() if isinstance(part, GradientCheckpointingLayer)]
    for layer in layers:
        layer.__class__ = recomputed(type(layer))  # type: ignore[arg-type]
    return len(layers)
