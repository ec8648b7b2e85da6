"""States of trainers from files: taken only where they fit, whoever has written the file.

torch takes most of what an optimiser's or a schedule's ``load_state_dict`` is given, and finds out in the
middle of a step.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from molweight.tapweight.typing import StateDict

MOST_STEPS = 1 << 53  # that a float counts


def require_layout(state: Any, like: object, place: str = "state") -> None:
    """Insist that a state is like another one: the same names, kinds of values and shapes.

    What an optimiser remembers of its parameters is left to :func:`restore_optimizer`: a fresh one remembers
    nothing.

    Raises:
        ValueError: naming the place that differs.
    """
    if not alike(state, like):
        raise ValueError(f"{place} is not what it should be")
    if isinstance(like, dict):
        forgotten = {"state"} if like.keys() == {"state", "param_groups"} else set()
        for key in (key for key in like if key not in forgotten):
            require_layout(state[key], like[key], f"{place}.{key}")
    elif isinstance(like, list | tuple):
        for i, (mine, theirs) in enumerate(zip(state, like, strict=True)):
            require_layout(mine, theirs, f"{place}[{i}]")


def alike(value: object, like: object) -> bool:
    """Whether a value is of the kind of another one, without what is inside."""
    if isinstance(like, dict):
        return isinstance(value, dict) and value.keys() == like.keys()
    if isinstance(like, list | tuple):
        return isinstance(value, list | tuple) and len(value) == len(like)
    if isinstance(like, Tensor):
        return isinstance(value, Tensor) and (value.shape, value.dtype) == (like.shape, like.dtype)
    if isinstance(like, float):
        return type(value) in (int, float)
    if like is None:  # what is not there yet
        return value is None or isinstance(value, int | float | Tensor)
    return type(value) is type(like)


def restore_optimizer(optimizer: Optimizer, state: StateDict) -> None:
    """Continue with a saved state of the same recipe; a schedule multiplies the rate by factors in [0, 1].

    Raises:
        ValueError: it is none of this optimiser with these parameters.
    """
    for group, saved in zip(optimizer.param_groups, state["param_groups"], strict=True):
        largest = group.get("initial_lr", group["lr"])
        if constants(group) != constants(saved) or not 0 <= saved["lr"] <= largest:
            raise ValueError("the optimiser has another recipe")
    optimizer.load_state_dict(state)
    names = {"momentum_buffer"} if isinstance(optimizer, SGD) else {"step", "exp_avg", "exp_avg_sq"}
    parameters = {p: p.shape for group in optimizer.param_groups for p in group["params"]}
    for parameter, remembered in optimizer.state.items():
        if parameter not in parameters or remembered.keys() != names:
            raise ValueError("the optimiser remembers other things")
        for name, value in remembered.items():
            shape = () if name == "step" else parameters[parameter]
            if not (isinstance(value, Tensor) and value.shape == shape):
                raise ValueError(f"the optimiser's {name} has another shape")
        if not 0 <= float(remembered.get("step", 0)) < MOST_STEPS:
            raise ValueError("the optimiser has made no such number of steps")


def constants(group: StateDict) -> StateDict:
    """What stays in a group of parameters through a run; lists for tuples, as files have them."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in group.items()
        if key not in ("params", "lr")
    }


def restore_schedule(scheduler: LRScheduler, state: StateDict) -> None:
    """Continue with a saved state of the same schedule.

    Raises:
        ValueError: it is of another schedule, or at no step of it.
    """
    if state["base_lrs"] != scheduler.base_lrs or state["last_epoch"] < 0:
        raise ValueError("the schedule is another one")
    scheduler.load_state_dict(state)
