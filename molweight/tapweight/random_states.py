"""The random numbers that dropout draws, kept for a run that is continued."""

from __future__ import annotations

import torch
from torch import Tensor

from molweight.distributed.collectives import all_gather, rank, world_size


def random_states(device: torch.device) -> Tensor | list[Tensor]:
    """The state of the generator that a device draws from, of every process."""
    state = torch.get_rng_state() if device.type != "cuda" else torch.cuda.get_rng_state(device)
    if world_size() == 1:
        return state
    # torch reads a generator's state from where the memory begins, so each needs its own.
    return [state.clone() for state in all_gather(state.to(device)).cpu()]


def set_random_states(states: Tensor | list[Tensor], device: torch.device) -> None:
    """Go on drawing where :func:`random_states` was taken.

    Args:
        states: of as many processes as there are now.
        device: of the same kind.
    """
    state = torch.as_tensor(states[rank()] if world_size() > 1 else states)
    if device.type != "cuda":
        torch.set_rng_state(state)
    else:
        torch.cuda.set_rng_state(state, device)
